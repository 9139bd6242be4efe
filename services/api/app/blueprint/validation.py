"""Reading a request: its query and its body, whole, strictly and within limits, or not at all."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge

from app import strict_json
from app.blueprint.schemas import Body, FieldError, Query
from app.config import current

Schema = TypeVar("Schema", bound=BaseModel)

# pydantic's word for what is wrong -> ours, and a sentence. What is not here is a wrong type or format.
WORDS = {
    "missing": ("required", "This is required."),
    "extra_forbidden": ("unknown_field", "This field does not exist here."),
    "string_too_short": ("too_short", "Give at least {min_length} characters."),
    "string_too_long": ("too_long", "Give at most {max_length} characters."),
    "greater_than_equal": ("too_small", "Give at least {ge}."),
    "less_than_equal": ("too_large", "Give at most {le}."),
    "string_pattern_mismatch": ("invalid_format", "This must match {pattern}."),
    "literal_error": ("invalid_format", "Give {expected}."),
}
CHARSET = r"(\s*;\s*charset=(utf-8|\"utf-8\"))?\s*"
JSON = re.compile(rf"application/json{CHARSET}", re.IGNORECASE)
MERGE_PATCH = re.compile(rf"application/(merge-patch\+)?json{CHARSET}", re.IGNORECASE)
OURS = {
    "required",
    "invalid_format",
    "too_long",
    "too_large",
    "wrong_type",
}  # what the schemas raise themselves
MOST_ERRORS = 20  # in one answer


class MalformedJson(Exception):
    """The body is no JSON, or JSON with more than one meaning."""


class UnsupportedMediaType(Exception):
    """The body is announced as something else than JSON."""


class ValidationFailed(Exception):
    """Body or query are well formed and wrong."""

    def __init__(self, errors: list[FieldError]) -> None:
        super().__init__()
        self.errors = errors


def read_query(schema: type[Query]) -> Query:
    """Validate the query string. Raises ValidationFailed, for an unknown or repeated parameter too."""
    try:
        values = request.args.to_dict(flat=False) if request.query_string else {}
    except UnicodeDecodeError as error:  # bytes as they are, which a URI cannot contain
        raise BadRequest from error
    repeated = [name for name, given in values.items() if len(given) > 1]
    if repeated:
        sentence = "Give this parameter once."
        raise ValidationFailed(
            [FieldError(parameter=name, code="invalid_format", detail=sentence) for name in repeated]
        )
    try:
        return schema.model_validate({name: given[0] for name, given in values.items()})
    except ValidationError as error:
        raise ValidationFailed(_errors(error, "parameter")) from error


def refuse_body() -> None:
    """Raises ValidationFailed if there is one where none is taken. One that is neither measured nor sent in
    chunks is none (RFC 9112, 6.3)."""
    sent = request.environ.get("CONTENT_LENGTH") or "HTTP_TRANSFER_ENCODING" in request.environ
    if sent and _read_whole():
        raise ValidationFailed([FieldError(pointer="", code="unknown_field", detail="Send no body here.")])


def read_body(schema: type[Body], *, optional: bool) -> Body:
    """Validate the body. Raises UnsupportedMediaType, MalformedJson and ValidationFailed."""
    raw = _read_whole()
    if not raw and not request.content_type:
        if optional:
            return schema()
        raise ValidationFailed([FieldError(pointer="", code="required", detail="Send a JSON object.")])
    _refuse_other_media_types()
    try:
        value = strict_json.check(raw)
    except ValueError as error:
        raise MalformedJson from error
    try:
        return _validate(schema, raw, value)
    except ValidationError as error:
        raise ValidationFailed(_errors(error, "pointer")) from error


def _validate(schema: type[Body], raw: bytes, value: Any) -> Body:
    try:
        return schema.model_validate_json(raw)
    except ValidationError as error:
        if error.error_count() == 1 and error.errors()[0]["type"] == "json_invalid":
            # Well formed, with a number of more digits than pydantic's parser takes: it cannot tell where.
            return schema.model_validate(value)
        raise


def _read_whole() -> bytes:
    """Return the body. Raises RequestEntityTooLarge, and BadRequest for one that the client did not send
    to its end: werkzeug takes either, cut, for the whole where the server passes on what comes."""
    limit = current().max_body_bytes
    request.max_content_length = limit + 1  # by the one byte more a longer one is told
    try:
        raw = request.get_data(cache=False)
    except HTTPException:
        raise
    except Exception as error:  # each server has its own for a broken chunk
        raise BadRequest from error
    if len(raw) > limit:
        raise RequestEntityTooLarge
    if len(raw) < (request.content_length or 0):
        raise BadRequest
    return raw


def _refuse_other_media_types() -> None:
    taken = MERGE_PATCH if request.method == "PATCH" else JSON
    if not taken.fullmatch(request.headers.get("Content-Type", "")):
        raise UnsupportedMediaType


def _errors(error: ValidationError, kind: str) -> list[FieldError]:
    found = error.errors(include_url=False)[:MOST_ERRORS]
    return [FieldError(**{kind: _place(item["loc"], kind)}, **_words(item)) for item in found]


def _place(location: tuple[int | str, ...], kind: str) -> str:
    names = [str(name) for name in location]
    if kind == "parameter":
        return names[0]
    return "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)


def _words(item: Mapping[str, Any]) -> dict[str, str]:
    kind = item["type"]
    if kind == "literal_error" and not isinstance(item["input"], str):
        kind = "literal_type"
    if kind in WORDS:
        code, sentence = WORDS[kind]
        return {"code": code, "detail": sentence.format(**item.get("ctx", {}))}
    if kind in OURS:
        return {"code": kind, "detail": item["msg"]}
    if kind.endswith("_type"):
        return {"code": "wrong_type", "detail": "This is of the wrong type."}
    return {"code": "invalid_format", "detail": "This is not of the right form."}
