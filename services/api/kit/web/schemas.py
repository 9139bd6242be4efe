"""Base classes and types of schemas: what requests may contain, and what responses look like."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Self, cast
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError, SchemaValidator, core_schema

from kit.errors import FieldError
from kit.web.features import in_this_app

# The default of a field that may be left out. An explicit null is a wrong type.
UNSET: Any = None


def example(**fields: Any) -> ConfigDict:
    """Return a schema's `model_config` with an example for the OpenAPI document."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


class RequestBody(BaseModel):
    """A JSON body of a request. Types are exact, and unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @classmethod
    def policy_errors(cls, valid: Mapping[str, Any]) -> Iterable[FieldError]:  # noqa: ARG003
        """Return errors of rules that depend on more than the schema, such as a setting or the caller.

        `valid` contains the fields that the schema accepts. So a client learns of all errors at once, even if
        the schema refuses other fields.
        """
        return ()


class Query(BaseModel):
    """A query string. Unknown parameters are errors."""

    model_config = ConfigDict(extra="forbid")

    def policy_errors(self) -> Iterable[FieldError]:
        """Return errors of rules that depend on more than one field."""
        return ()


class FormFields(BaseModel):
    """The fields of a form beside its file. They are texts, and converted as in a query string."""

    model_config = ConfigDict(extra="forbid")


class ResponseBody(BaseModel):
    """A JSON body of a response."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @classmethod
    def of(cls, row: object, **others: object) -> Self:
        """Return the body for a row: each field is the attribute of that name, or one of `others`.

        Nothing is validated, because the values were when they were stored.
        """
        schema = in_this_app(cls)
        values: dict[str, Any] = {
            name: others[name] if name in others else getattr(row, name) for name in schema.model_fields
        }
        return cast("Self", schema.model_construct(**values))


def _without_nul(text: str) -> str:
    if "\0" in text:  # PostgreSQL can't store it
        raise PydanticCustomError("invalid_format", "The character NUL isn't allowed.")
    return text


def matching(pattern: str, sentence: str) -> tuple[AfterValidator, Any]:
    """Annotate a string that must match a pattern: `Annotated[str, *matching("^[a-z]+$", "Use letters.")]`.

    Clients get the sentence if it doesn't. They can't be expected to read a regular expression.
    """
    form = core_schema.custom_error_schema(
        core_schema.str_schema(pattern=pattern), "invalid_format", custom_error_message=sentence
    )
    check = SchemaValidator(form).validate_python
    return AfterValidator(check), Field(json_schema_extra={"pattern": pattern})


def value_of(values: type[StrEnum]) -> tuple[AfterValidator, WithJsonSchema]:
    """Annotate a string that must be a value of an enum: `Annotated[str, *value_of(Role)]`."""
    allowed = " or ".join(f"'{value}'" for value in values)

    def check(text: str) -> str:
        if text not in tuple(values):
            raise PydanticCustomError("invalid_format", "Give {allowed}.", {"allowed": allowed})
        return text

    return AfterValidator(check), WithJsonSchema({"enum": [each.value for each in values], "type": "string"})


def _flag(value: object) -> bool:
    if value not in ("true", "false", True, False):
        raise PydanticCustomError("invalid_format", "Give true or false.")
    return value in ("true", True)


# These only document responses, which aren't validated.
Id = Annotated[UUID, WithJsonSchema({"type": "string", "format": "uuid", "minLength": 36, "maxLength": 36})]
Time = Annotated[
    datetime, WithJsonSchema({"type": "string", "format": "date-time", "minLength": 20, "maxLength": 27})
]
Text = Annotated[str, WithJsonSchema({"type": "string", "maxLength": 1000})]
Status = Annotated[int, WithJsonSchema({"type": "integer", "minimum": 400, "maximum": 599})]

NO_NUL = (AfterValidator(_without_nul), Field(json_schema_extra={"pattern": r"^[^\u0000]*$"}))
Flag = Annotated[bool, BeforeValidator(_flag)]


class Document(ResponseBody):
    """An OpenAPI 3.1 document."""

    model_config = ConfigDict(extra="ignore")  # it has more members than this

    openapi: Text


class ProblemField(ResponseBody):
    """An error in one field of the body (`pointer`, RFC 6901) or in one parameter."""

    pointer: Text | None = None
    parameter: Text | None = None
    detail: Text
    code: Text


class Problem(ResponseBody):
    """An error (RFC 9457)."""

    type: Text
    title: Text
    status: Status
    detail: Text
    code: Text
    request_id: Text
    errors: Annotated[list[ProblemField] | None, Field(max_length=100)] = None


EXAMPLE_PROBLEM = {
    "type": "/problems/token-expired",
    "code": "token_expired",
    "status": 401,
    "title": "Token expired",
    "meaning": "The token has expired.",
    "advice": "Get a new pair with the refresh token, or log in again.",
}


class ProblemInfo(ResponseBody):
    """What a problem means, and what a client can do about it."""

    model_config = example(**EXAMPLE_PROBLEM)

    type: Text
    code: Text
    status: Status
    title: Text
    meaning: Text
    advice: Text


class ProblemInfoList(ResponseBody):
    model_config = example(items=[EXAMPLE_PROBLEM], next_cursor=None)

    items: Annotated[list[ProblemInfo], Field(max_length=100)]
    next_cursor: None = None
