"""Reads and validates the query and the body of a request."""

import json
import re
from collections.abc import Mapping, Set
from functools import cache, lru_cache
from typing import Any, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge

from kit import strict_json
from kit.errors import FIELD_CODES, FieldError
from kit.settings import Settings, current
from kit.web import read_only_fields
from kit.web.errors import MalformedJson, UnsupportedMediaType, ValidationFailed
from kit.web.schemas import Query, RequestBody

Schema = TypeVar("Schema", bound=BaseModel)

# pydantic's error type -> our code and sentence. Any other error is a wrong type or an invalid format.
PYDANTIC_CODES = {
    "missing": ("required", "This is required."),
    "extra_forbidden": ("unknown_field", "Unknown field."),
    "string_too_short": ("too_short", "Give {min_length} or more characters."),
    "string_too_long": ("too_long", "Give {max_length} or fewer characters."),
    "greater_than_equal": ("too_small", "Give at least {ge}."),
    "less_than_equal": ("too_large", "Give at most {le}."),
    "list_too_short": ("too_short", "Give {min_length} or more items."),
    "list_too_long": ("too_long", "Give {max_length} or fewer items."),
    "greater_than": ("too_small", "Give more than {gt}."),
    "less_than": ("too_large", "Give less than {lt}."),
    "literal_error": ("invalid_format", "Give {expected}."),
}
JSON = ("application/json",)
MERGE_PATCH = ("application/json", "application/merge-patch+json")
UTF_8 = {f"charset={charset}" for charset in ("utf-8", "utf8", '"utf-8"', '"utf8"')}
EMPTY_OBJECT = re.compile(rb"[ \t\r\n]*\{[ \t\r\n]*\}[ \t\r\n]*")
MAX_ERRORS = 20  # in one response


def read_query(schema: type[Query]) -> Query:
    """Validate the query string. Raises ValidationFailed, for an unknown or repeated parameter too."""
    try:
        values = request.args.to_dict(flat=False) if request.query_string else {}
    except UnicodeDecodeError as error:  # raw bytes, which a URI can't contain
        raise BadRequest from error
    lists = _lists(schema) if any(len(given) > 1 for given in values.values()) else frozenset()
    repeated = [name for name, given in values.items() if len(given) > 1 and name not in lists]
    if repeated:
        raise ValidationFailed(
            FieldError("Give this parameter once.", "invalid_format", parameter=name) for name in repeated
        )
    try:
        query = schema.model_validate(
            {name: given if len(given) > 1 else given[0] for name, given in values.items()}
        )
    except ValidationError as error:
        raise ValidationFailed(field_errors(error, "parameter")) from error
    if errors := tuple(query.policy_errors()):
        raise ValidationFailed(errors)
    return query


@cache
def _lists(schema: type[Query]) -> frozenset[str]:
    """Return the parameters that are lists. They are documented with commas, but many clients repeat them."""
    properties = schema.model_json_schema().get("properties", {})
    return frozenset(name for name, each in properties.items() if each.get("type") == "array")


def receive_body() -> bool:
    """Wait for the body, without reading what it says. Return whether it may have taken time to arrive.

    waitress calls the app when the body is complete. gunicorn calls it after the headers.
    """
    if not has_body():
        return False
    stream = request.environ["wsgi.input"]
    if hasattr(stream, "seekable") and stream.seekable():  # it's in memory already
        return False
    _read_whole()
    return True


def refuse_body() -> None:
    """Raise ValidationFailed if there is a body, except `{}`, which some clients always send."""
    if has_body() and (raw := _read_whole()) and not EMPTY_OBJECT.fullmatch(raw):
        raise ValidationFailed([FieldError("Send no body here.", "unknown_field", "")])


def has_body() -> bool:
    """Return whether the headers announce a body. Without length or chunks there is none (RFC 9112, 6.3)."""
    environ = request.environ
    return bool(environ.get("CONTENT_LENGTH")) or "HTTP_TRANSFER_ENCODING" in environ


def read_body(schema: type[RequestBody], *, optional: bool, read_only: Set[str] = frozenset()) -> RequestBody:
    """Validate the body. Raises UnsupportedMediaType, MalformedJson and ValidationFailed.

    Clients may send back the fields in `read_only`. They aren't part of the result.
    """
    raw = _read_whole()
    if not raw:
        if optional:
            return schema()
        raise ValidationFailed([FieldError("Send a JSON object.", "required", "")])
    _refuse_other_media_types()
    try:
        value = strict_json.loads(raw)
    except ValueError as error:
        raise MalformedJson from error
    if isinstance(value, dict) and not read_only.isdisjoint(value):
        read_only_fields.set_aside(value, read_only)
        raw = json.dumps(value).encode()
    try:
        body = _validate(schema, raw, value)
    except ValidationError as error:
        raise ValidationFailed(
            [*field_errors(error, "pointer"), *_policy_errors(schema, value, error)]
        ) from error
    if errors := _policy_errors(schema, value):
        raise ValidationFailed(errors)
    return body


def _validate(schema: type[RequestBody], raw: bytes, value: Any) -> RequestBody:
    try:
        return schema.model_validate_json(raw)
    except ValidationError as error:
        if error.error_count() == 1 and error.errors()[0]["type"] == "json_invalid":
            # Well-formed, but a number has more digits than pydantic's parser accepts. This names its place.
            return schema.model_validate(value)
        raise


def _read_whole() -> bytes:
    """Return the body. Raises RequestEntityTooLarge, and BadRequest if the client stopped sending it.

    Where the server streams the body, werkzeug would return the part it has got in both cases.
    """
    limit = current(Settings).max_body_bytes
    request.max_content_length = limit + 1  # one byte more shows that it is too long
    try:
        raw = request.get_data()
    except HTTPException:
        raise
    except Exception as error:  # each server has its own error for a broken chunk
        raise BadRequest from error
    if len(raw) > limit:
        raise RequestEntityTooLarge
    if len(raw) < (request.content_length or 0):
        raise BadRequest
    return raw


def _refuse_other_media_types() -> None:
    environ = request.environ
    taken = MERGE_PATCH if request.method == "PATCH" else JSON
    if not _is_utf_8(environ.get("CONTENT_TYPE", ""), taken):
        raise UnsupportedMediaType
    if environ.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() not in ("identity", ""):
        raise UnsupportedMediaType


@lru_cache(maxsize=64)  # clients send one of a few
def _is_utf_8(content_type: str, taken: tuple[str, ...]) -> bool:
    """Return whether this is one of the media types, with no parameter but a charset of UTF-8."""
    media_type, *parameters = (part.strip(" \t") for part in content_type.lower().split(";"))
    given = [parameter for parameter in parameters if parameter]
    return media_type in taken and len(given) <= 1 and UTF_8.issuperset(given)


def field_errors(error: ValidationError, kind: str) -> list[FieldError]:
    """Return the errors that pydantic found, each with its `parameter` or its `pointer`."""
    found = error.errors(include_url=False)[:MAX_ERRORS]
    return [FieldError(**{kind: _location(item["loc"], kind)}, **_code_and_detail(item)) for item in found]


def _policy_errors(
    schema: type[RequestBody], value: Any, error: ValidationError | None = None
) -> list[FieldError]:
    """Return the errors of `RequestBody.policy_errors` for the fields without another error."""
    if not isinstance(value, dict):
        return []
    wrong = {item["loc"][:1] for item in error.errors(include_url=False)} if error else set()
    return list(schema.policy_errors({name: given for name, given in value.items() if (name,) not in wrong}))


def _location(location: tuple[int | str, ...], kind: str) -> str:
    names = [str(name) for name in location]
    if kind == "parameter":
        return names[0]
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)


def _code_and_detail(item: Mapping[str, Any]) -> dict[str, str]:
    kind, context, is_text = item["type"], item.get("ctx", {}), isinstance(item["input"], str)
    if kind == "literal_error" and not is_text:
        kind = "literal_type"
    if kind in ("too_short", "too_long") and "field_type" in context:  # not from our own validators
        kind = f"string_{kind}" if is_text else f"list_{kind}"
    if kind in PYDANTIC_CODES:
        code, sentence = PYDANTIC_CODES[kind]
        return {"code": code, "detail": sentence.format(**context)}
    if kind in FIELD_CODES:
        return {"code": kind, "detail": item["msg"]}
    if kind.endswith("_type"):
        return {"code": "wrong_type", "detail": "Wrong type."}
    return {"code": "invalid_format", "detail": "Invalid format."}
