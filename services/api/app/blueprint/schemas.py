"""Schemas: the bodies and queries that this API accepts, and the bodies that it answers with."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self
from unicodedata import normalize

from pydantic import AfterValidator, Field, StringConstraints, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from app.authentication import current_caller, passwords
from app.config import current
from app.model import models
from app.model.passwords import MAX_LENGTH
from app.model.user_repository import USERNAME, key_of
from kit.errors import FieldError
from kit.web import pagination
from kit.web.pagination import PageSize, sortable
from kit.web.schemas import (
    NO_NUL,
    UNSET,
    Flag,
    Id,
    RequestBody,
    ResponseBody,
    Text,
    Time,
    example,
    matching,
    value_of,
)

JWT = r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$"
# The claims of the examples: {"sub": "...", "jti": "...", "exp": 1795338028}.
CLAIMS = "eyJzdWIiOiAiLi4uIiwgImp0aSI6ICIuLi4iLCAiZXhwIjogMTc5NTMzODAyOH0"


def _not_too_long(text: str) -> str:
    # Measured in NFC, as Passwords does. Very long text is refused before the costly normalization.
    if len(text) > 4 * MAX_LENGTH or len(normalize("NFC", text)) > MAX_LENGTH:
        raise PydanticCustomError("too_long", "Give {longest} or fewer characters.", {"longest": MAX_LENGTH})
    return text


Username = Annotated[
    str,
    StringConstraints(min_length=3, max_length=64),
    *matching(
        f"^{USERNAME}$",
        "Use only the letters a to z and A to Z, digits, dots, underscores and hyphens. "
        "Begin with a letter or a digit.",
    ),
]
NO_CONTROLS = matching(r"^[^\u0000-\u001f\u007f-\u009f]*$", "Control characters aren't allowed.")
# Login accepts any other name, so that an impossible username fails like an unknown one.
LoginName = Annotated[str, StringConstraints(min_length=1, max_length=64), *NO_CONTROLS]
# Phones add a space after a completed word.
TrimmedLoginName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64), *NO_CONTROLS
]
# NewCredentials has the other rules for new passwords.
Password = Annotated[
    str,
    StringConstraints(min_length=1),
    AfterValidator(_not_too_long),
    *NO_NUL,
    Field(json_schema_extra={"maxLength": MAX_LENGTH, "pattern": r"^[^\u0000]*$"}),
]
Jwt = Annotated[str, WithJsonSchema({"type": "string", "maxLength": 2000, "pattern": JWT})]
Seconds = Annotated[int, WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 7_776_000})]
Role = Annotated[str, *value_of(models.Role)]
TokenType = Annotated[str, *value_of(models.TokenType)]
Reason = Annotated[str, *value_of(models.Reason)]


class PageQuery(pagination.PageQuery):
    """The query of every list. Change the default page size here."""

    limit: PageSize = Field(20, description="The page size.", examples=[20])


class NewCredentials(RequestBody):
    """A body with a new username, a new password, or both."""

    @classmethod
    def policy_errors(cls, valid: Mapping[str, Any]) -> Iterator[FieldError]:
        caller = current_caller()
        own_name = caller.user.username if caller else ""
        name = valid.get("username", own_name)
        if key_of(name) in current().reserved_usernames and key_of(name) != key_of(own_name):
            yield FieldError("This username is reserved. Choose another.", "already_exists", "/username")
        if "password" in valid:
            reasons = passwords().reasons_against(valid["password"], name)
            yield from (FieldError(sentence, code, "/password") for code, sentence in reasons.items())


class NewAccount(NewCredentials):
    model_config = example(username="ann", password="correct horse battery staple")

    username: Username
    password: Password


class Login(RequestBody):
    model_config = example(username="ann", password="correct horse battery staple")

    username: TrimmedLoginName
    password: Password


class StepUp(RequestBody):
    """Your password."""

    model_config = example(current_password="correct horse battery staple")

    current_password: Password


class Logout(RequestBody):
    model_config = example(scope="session")

    scope: Literal["session", "others", "all"] = "session"


class AccountChange(NewCredentials):
    model_config = example(username="Ann", current_password="correct horse battery staple")

    username: Username = UNSET
    password: Password = UNSET
    current_password: Password

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.model_fields_set <= {"current_password"}:
            raise PydanticCustomError("required", "Give at least one field to change.")
        return self


class AccountReplacement(NewCredentials):
    model_config = example(
        username="ann",
        password="another horse, another staple",
        current_password="correct horse battery staple",
    )

    username: Username
    password: Password
    current_password: Password


class TokenChange(RequestBody):
    model_config = example(revoke=True)

    revoke: bool


class TokenQuery(PageQuery):
    active: Flag = Field(True, description="Leave out revoked and expired tokens.", examples=[True])


class Index(ResponseBody):
    model_config = example(
        name="flask-api",
        version="0.1.0",
        documentation="/docs",
        openapi="/openapi.json",
        health="/health/ready",
    )

    name: Text
    version: Text
    documentation: Text
    openapi: Text
    health: Text


class Health(ResponseBody):
    model_config = example(status="ok")

    status: Literal["ok"] = "ok"


class Checks(ResponseBody):
    database: Literal["ok"] = "ok"
    migrations: Literal["ok"] = "ok"


class Readiness(ResponseBody):
    model_config = example(status="ok", checks={"database": "ok", "migrations": "ok"})

    status: Literal["ok"] = "ok"
    checks: Checks = Checks()


EXAMPLE_ACCOUNT = {
    "id": "6676cf0e-7e30-437f-adce-39344e766fd4",
    "username": "ann",
    "role": "user",
    "created_at": "2026-11-22T08:45:28.623847Z",
    "updated_at": "2026-11-22T08:45:28.623847Z",
}


class Account(ResponseBody):
    """Your own account."""

    model_config = example(**EXAMPLE_ACCOUNT)

    id: Id
    username: Username
    role: Role
    created_at: Time
    updated_at: Time


EXAMPLE_PAIR = {
    "access_token": (
        f"eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.{CLAIMS}.mbOwc5rP2gI2X1cmw2fVDnPw_HNp1Zgz6_NS7D6tl1Y"
    ),
    "refresh_token": (
        f"eyJhbGciOiJIUzI1NiIsInR5cCI6InJ0K2p3dCJ9.{CLAIMS}.V-IJiO81wlMLJlE7bmyzxZjO8GrKOTHrpT-GfmrSdPE"
    ),
    "token_type": "Bearer",
    "expires_in": 900,
    "refresh_expires_in": 2_592_000,
    "session_id": "56247f90-940c-4a57-8b3e-62fd45eb7d3d",
}


class TokenPair(ResponseBody):
    """An access token and a refresh token, each with its remaining lifetime in seconds."""

    model_config = example(**EXAMPLE_PAIR)

    access_token: Jwt
    refresh_token: Jwt
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: Seconds
    refresh_expires_in: Seconds
    session_id: Id


class AccessToken(ResponseBody):
    """An access token of the same session, with its remaining lifetime in seconds."""

    model_config = example(
        **{name: value for name, value in EXAMPLE_PAIR.items() if not name.startswith("refresh")}
    )

    access_token: Jwt
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: Seconds
    session_id: Id


class ChangedAccount(Account):
    """Your own account. After a change of the password, `tokens` is a new pair: all others have ended."""

    model_config = example(**EXAMPLE_ACCOUNT, tokens=EXAMPLE_PAIR)

    tokens: TokenPair = Field(UNSET, exclude_if=lambda tokens: tokens is UNSET)


EXAMPLE_EXPORT = {
    "exported_at": "2026-11-22T09:00:00.104235Z",
    "tables": {
        "users": [
            EXAMPLE_ACCOUNT
            | {
                "username_key": "ann",
                "password_changed_at": "2026-11-22T08:45:28.623847Z",
                "disabled": False,
            }
        ],
        "sessions": [],
        "tokens": [],
        "known_networks": [
            {
                "id": "0d6c1e53-52c5-4f4c-8f5b-1d6f7a7f3a55",
                "user_id": EXAMPLE_ACCOUNT["id"],
                "network": "192.0.2.1",
                "first_seen_at": "2026-11-22T08:45:28.623847Z",
                "last_seen_at": "2026-11-22T08:45:28.623847Z",
            }
        ],
        "answers": [],
    },
}
Rows = Annotated[list[dict[str, Any]], Field(max_length=2**31 - 1)]


class AccountExport(ResponseBody):
    """Everything that is stored about you: rows by table, as columns and values. Secrets are left out."""

    model_config = example(**EXAMPLE_EXPORT)

    exported_at: Time
    tables: dict[str, Rows]


EXAMPLE_USER = {
    "id": "6676cf0e-7e30-437f-adce-39344e766fd4",
    "username": "ann",
    "role": "user",
    "disabled": False,
    "created_at": "2026-11-22T08:45:28.623847Z",
    "updated_at": "2026-11-22T08:45:28.623847Z",
}


class UserAccount(ResponseBody):
    """An account, as admins see it."""

    model_config = example(**EXAMPLE_USER)

    id: Id
    username: Username
    role: Role
    disabled: bool
    created_at: Time
    updated_at: Time


class UserAccountList(ResponseBody):
    model_config = example(items=[EXAMPLE_USER], next_cursor=None)

    items: Annotated[list[UserAccount], Field(max_length=100)]
    next_cursor: Text | None


class UserAccountChange(RequestBody):
    model_config = example(disabled=True)

    role: Role = UNSET
    disabled: bool = UNSET


class UserQuery(PageQuery):
    rows = models.User
    reads_whole_list = True  # only for admins: filters and several sort keys read all accounts

    sort: str = sortable("created_at", "username", default="-created_at")
    username: LoginName = Field(UNSET, description="Only the account with this name.", examples=["ann"])
    username__contains: LoginName = Field(
        UNSET, description="Only names that contain this, ignoring case.", examples=["an"]
    )
    role: Role = Field(UNSET, description="Only accounts with this role.", examples=["user"])
    disabled: Flag = Field(
        UNSET, description="Only disabled accounts, or only enabled ones.", examples=[False]
    )


EXAMPLE_TOKEN = {
    "id": "cff22324-c6ed-43fd-ade7-5bc769dc8d9e",
    "session_id": "56247f90-940c-4a57-8b3e-62fd45eb7d3d",
    "token_type": "access",
    "issued_at": "2026-11-22T08:45:28.809248Z",
    "expires_at": "2026-11-22T09:00:28Z",
    "revoked_at": None,
    "revoked_reason": None,
    "current": True,
    "user_agent": "curl/8.14.1",
    "ip": "192.0.2.1",
}


class ListedToken(ResponseBody):
    model_config = example(
        **EXAMPLE_TOKEN
        | {"revoked_at": "2026-11-22T08:46:00Z", "revoked_reason": "revoked", "current": False}
    )

    id: Id
    session_id: Id
    token_type: TokenType
    issued_at: Time
    expires_at: Time
    revoked_at: Time | None
    revoked_reason: Reason | None
    current: bool
    user_agent: Text | None
    ip: Text | None


class TokenList(ResponseBody):
    model_config = example(items=[EXAMPLE_TOKEN], next_cursor="AAZg2X_X8EwKht7aDwlHf6y786bBq6p9")

    items: Annotated[list[ListedToken], Field(max_length=100)]
    next_cursor: Text | None
