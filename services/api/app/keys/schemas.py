"""Schemas of API keys."""

from datetime import datetime
from typing import Annotated, Any

from flask import current_app
from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from app.config import KEY_PREFIX
from kit.clock import now
from kit.security.api_keys import CHECKSUM_LENGTH, RANDOM_LENGTH
from kit.web.endpoint import declared_scopes
from kit.web.fields import DateTime, Line
from kit.web.schemas import UNSET, Id, RequestBody, ResponseBody, Text, Time, example

MAX_SCOPES = 100
LENGTH = RANDOM_LENGTH + CHECKSUM_LENGTH


def _is_declared(scope: str) -> str:
    allowed = declared_scopes(current_app)
    if scope not in allowed:
        listed = {"allowed": ", ".join(allowed)}
        raise PydanticCustomError("invalid_format", "Give one of these scopes: {allowed}.", listed)
    return scope


def _sorted(scopes: list[str]) -> list[str]:
    if len(set(scopes)) < len(scopes):
        raise PydanticCustomError("invalid_format", "Give each scope once.")
    return sorted(scopes)


def _in_the_future(time: datetime) -> datetime:
    if time <= now():
        raise PydanticCustomError("too_small", "Give a time in the future.")
    return time


KeyName = Annotated[Line, StringConstraints(max_length=100)]
Scope = Annotated[str, StringConstraints(min_length=1, max_length=101), AfterValidator(_is_declared)]
Scopes = Annotated[
    list[Scope],
    Field(min_length=1, max_length=MAX_SCOPES, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_sorted),
]
Expiry = Annotated[DateTime, AfterValidator(_in_the_future)]
Key = Annotated[
    str,
    WithJsonSchema({"type": "string", "maxLength": 100, "pattern": f"^{KEY_PREFIX}[0-9A-Za-z]{{{LENGTH}}}$"}),
]


class NewKey(RequestBody):
    model_config = example(name="deploy", scopes=["account:read"])

    name: KeyName
    scopes: Scopes
    expires_at: Expiry | None = Field(None, description="If null or omitted, the key doesn't expire.")


class KeyChange(RequestBody):
    model_config = example(name="nightly report")

    name: KeyName = UNSET
    scopes: Scopes = UNSET
    expires_at: Expiry | None = UNSET


EXAMPLE_KEY: dict[str, Any] = {
    "id": "3d0f2c55-6c8f-4b3c-9a51-2f9f0d2f7c1e",
    "name": "deploy",
    "scopes": ["account:read"],
    "created_at": "2026-11-27T08:45:28.623847Z",
    "expires_at": None,
    "last_used_at": "2026-11-27T09:00:00.104235Z",
    "last_used_ip": "192.0.2.1",
}
UNUSED = {"last_used_at": None, "last_used_ip": None}


class ApiKey(ResponseBody):
    """An API key, without its secret. Times of use are exact to 15 minutes."""

    model_config = example(**EXAMPLE_KEY)

    id: Id
    name: Text
    scopes: Annotated[list[Text], Field(max_length=MAX_SCOPES)]
    created_at: Time
    expires_at: Time | None
    last_used_at: Time | None
    last_used_ip: Text | None


class CreatedApiKey(ApiKey):
    """A new API key. `key` is the secret, which isn't shown again."""

    model_config = example(**EXAMPLE_KEY | UNUSED, key=f"{KEY_PREFIX}0EXAMPLEexampleEXAMPLEexample0000000000")

    key: Key


class ApiKeyList(ResponseBody):
    model_config = example(items=[EXAMPLE_KEY], next_cursor=None)

    items: Annotated[list[ApiKey], Field(max_length=100)]
    next_cursor: Text | None
