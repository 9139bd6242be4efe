"""What goes over the wire: the bodies and queries that come in, the answers that go out."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from struct import error, pack, unpack
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

from app.model.models import Token, User
from app.model.passwords import MAX_LENGTH
from app.model.token_repository import Position
from app.model.user_repository import USERNAME

CURSOR = ">q16s"  # microseconds since 1970, and a UUID
ABSENT: Any = None  # of a field that may be left out; a null that is given is of the wrong type
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Body(BaseModel):
    """A request's body: exact types, known fields only."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Query(BaseModel):
    """A request's query string: known parameters only."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """An answer's body."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _without_nul(text: str) -> str:
    if "\0" in text:  # PostgreSQL cannot store it
        raise PydanticCustomError("invalid_format", "The character NUL is not allowed.")
    return text


def _limit(value: object) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,2}", str(value), re.ASCII):
        raise PydanticCustomError("invalid_format", "Give a whole number from 1 to 100.")
    return int(str(value))


def _flag(value: object) -> bool:
    if value not in ("true", "false", True, False):
        raise PydanticCustomError("invalid_format", "Give true or false.")
    return value in ("true", True)


def _position(value: object) -> Position:
    try:
        microseconds, id = unpack(CURSOR, urlsafe_b64decode(str(value)))
        position = Position(EPOCH + timedelta(microseconds=microseconds), UUID(bytes=id))
        is_ours = write_cursor(position) == value
    except (ValueError, OverflowError, error):
        is_ours = False
    if not is_ours:
        raise PydanticCustomError("invalid_format", "Give the next_cursor of the page before, unchanged.")
    return position


def write_cursor(position: Position) -> str:
    """Write a place in a list as a text of 32 characters that clients need not understand."""
    microseconds = (position.issued_at - EPOCH) // timedelta(microseconds=1)
    return urlsafe_b64encode(pack(CURSOR, microseconds, position.id.bytes)).decode()


Username = Annotated[
    str, StringConstraints(min_length=3, max_length=64, pattern=f"^{USERNAME}$"), Field(examples=["ann"])
]
# What a password must be beyond this is up to the settings, so Passwords.check decides.
Password = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_LENGTH),
    AfterValidator(_without_nul),
    Field(examples=["correct horse battery staple"]),
]
# A name that cannot exist fails like one that does not: the answer to a login tells nothing.
LoginName = Annotated[
    str, StringConstraints(min_length=1, max_length=64), AfterValidator(_without_nul), Field(examples=["ann"])
]
Limit = Annotated[int, BeforeValidator(_limit), Field(ge=1, le=100)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Cursor = Annotated[Position, BeforeValidator(_position)]


class NewAccount(Body):
    username: Username
    password: Password


class Login(Body):
    username: LoginName
    password: Password


class Logout(Body):
    scope: Literal["session", "others", "all"] = "session"


class AccountChange(Body):
    username: Username = ABSENT
    password: Password = ABSENT
    current_password: Password

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.username is None and self.password is None:
            raise PydanticCustomError("required", "Give a new username, a new password or both.")
        return self


class AccountReplacement(Body):
    username: Username
    password: Password
    current_password: Password


class TokenChange(Body):
    revoke: bool


class TokenQuery(Query):
    limit: Limit = 20
    cursor: Cursor | None = None
    active: Flag = True


class Index(Answer):
    name: str
    version: str
    documentation: str
    openapi: str
    health: str


class Health(Answer):
    status: Literal["ok"] = "ok"


class Checks(Answer):
    database: Literal["ok"] = "ok"
    migrations: Literal["ok"] = "ok"


class Readiness(Health):
    checks: Checks = Checks()


class Account(Answer):
    id: UUID
    username: str
    role: str
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, user: User) -> Self:
        return cls(
            id=user.id,
            username=user.username,
            role=user.role,
            created_at=user.created_at,
            updated_at=user.updated_at,
        )


class TokenPair(Answer):
    """Two JWTs, and for how many seconds each is good."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int
    refresh_expires_in: int
    session_id: UUID


class ListedToken(Answer):
    id: UUID
    session_id: UUID
    token_type: str
    issued_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    revoked_reason: str | None
    current: bool
    user_agent: str | None
    ip: str | None

    @classmethod
    def of(cls, token: Token, presented: UUID) -> Self:
        return cls(
            id=token.id,
            session_id=token.session_id,
            token_type=token.type,
            issued_at=token.issued_at,
            expires_at=token.expires_at,
            revoked_at=token.dead_since,
            revoked_reason=token.dead_because,
            current=token.id == presented,
            user_agent=token.user_agent,
            ip=token.ip,
        )


class TokenList(Answer):
    items: list[ListedToken]
    next_cursor: str | None


class ProblemType(Answer):
    """What a problem means, and what a client can do about it."""

    type: str
    code: str
    status: int
    title: str
    meaning: str
    advice: str


class ProblemTypeList(Answer):
    items: list[ProblemType]
    next_cursor: None = None


class FieldError(Answer):
    """What is wrong in one place of a body (a JSON pointer, RFC 6901) or in one parameter."""

    pointer: str | None = None
    parameter: str | None = None
    detail: str
    code: str


class Problem(Answer):
    """An error, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldError] | None = None
