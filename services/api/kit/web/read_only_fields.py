"""Fields that PUT and PATCH can't change, but that clients may send back as they have read them."""

from collections.abc import Set
from functools import cache
from typing import Any

from flask import g

from kit.errors import FieldError
from kit.uuids import parse_uuid
from kit.web.errors import ValidationFailed
from kit.web.schemas import RequestBody, ResponseBody

IGNORED = {"id", "created_at", "updated_at"}  # any value
DETAIL = "This can't be changed here. Leave it out, or send back the current value."


@cache
def names(body: type[RequestBody] | None, returns: type[ResponseBody] | None, *, checked: bool) -> Set[str]:
    """Return the fields of the response that aren't in the body.

    Unless they are `checked` (with `check`), return only those that are ignored.
    """
    if body is None or returns is None:
        return frozenset()
    fields = frozenset(returns.model_fields) - frozenset(body.model_fields)
    return fields if checked else fields & IGNORED


def set_aside(body: dict[str, Any], read_only: Set[str]) -> None:
    """Remove these fields from the body, and keep their values for `check`."""
    sent = {name: body.pop(name) for name in read_only & body.keys()}
    g.sent_back = {name: value for name, value in sent.items() if name not in IGNORED}


def check(schema: type[ResponseBody], row: object) -> None:
    """Compare what the client has sent back with a row, represented by a schema. Raises ValidationFailed."""
    if sent := vars(g).get("sent_back"):
        current = schema.of(row).model_dump(mode="json")
        changed = [name for name, value in sent.items() if not _is_same(value, current.get(name, ...))]
        if changed:
            raise ValidationFailed(FieldError(DETAIL, "read_only", f"/{name}") for name in sorted(changed))


def _is_same(sent: object, current: object) -> bool:
    """Compare two JSON values. UUIDs may differ in case."""
    if isinstance(sent, str) and isinstance(current, str) and (id := parse_uuid(sent)):
        return id == parse_uuid(current)
    return sent == current
