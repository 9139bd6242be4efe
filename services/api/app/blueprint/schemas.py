"""What goes over the wire: the bodies and queries that come in, the answers that go out."""

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, Self, cast
from unicodedata import normalize
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from app.model import models
from app.model.listing import check_condition, column_of
from app.model.models import Token
from app.model.passwords import MAX_LENGTH
from app.model.user_repository import USERNAME

JWT = r"^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$"
ABSENT: Any = None  # of a field that may be left out; a null that is given is of the wrong type
# The claims of the examples: {"sub": "...", "jti": "...", "exp": 1795338028}.
CLAIMS = "eyJzdWIiOiAiLi4uIiwgImp0aSI6ICIuLi4iLCAiZXhwIjogMTc5NTMzODAyOH0"


def example(**fields: Any) -> ConfigDict:
    """Return the part of a schema's configuration that shows what it looks like, in the documents."""
    return ConfigDict(json_schema_extra={"examples": [fields]})


class Body(BaseModel):
    """A request's body: exact types, known fields only."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Query(BaseModel):
    """A request's query string: known parameters only."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """An answer's body."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class StoredAnswer(Answer):
    """An answer that tells of a row what is stored, each field under its column's name."""

    @classmethod
    def of(cls, row: Any) -> Self:
        """Write the row. Its values were checked when they came in, so they are not again."""
        fields: dict[str, Any] = {name: getattr(row, name) for name in cls.model_fields}
        return cast("Self", cls.model_construct(**fields))


def _without_nul(text: str) -> str:
    if "\0" in text:  # PostgreSQL cannot store it
        raise PydanticCustomError("invalid_format", "The character NUL is not allowed.")
    return text


def one_of(values: type[StrEnum]) -> tuple[AfterValidator, WithJsonSchema]:
    """Return the annotations of a string that must be a value of an enum: `Annotated[str, *one_of(Role)]`."""
    allowed = " or ".join(f"'{value}'" for value in values)

    def check(text: str) -> str:
        if text not in tuple(values):
            raise PydanticCustomError("invalid_format", "Give {allowed}.", {"allowed": allowed})
        return text

    return AfterValidator(check), WithJsonSchema({"enum": [each.value for each in values], "type": "string"})


def _limit(value: object) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,2}", str(value), re.ASCII):
        raise PydanticCustomError("invalid_format", "Give a whole number from 1 to 100.")
    return int(str(value))


def _flag(value: object) -> bool:
    if value not in ("true", "false", True, False):
        raise PydanticCustomError("invalid_format", "Give true or false.")
    return value in ("true", True)


# Only documented: what goes out was checked when it came in, or is ours.
Id = Annotated[UUID, WithJsonSchema({"type": "string", "format": "uuid", "minLength": 36, "maxLength": 36})]
Time = Annotated[
    datetime, WithJsonSchema({"type": "string", "format": "date-time", "minLength": 20, "maxLength": 27})
]
Text = Annotated[str, WithJsonSchema({"type": "string", "maxLength": 1000})]
Jwt = Annotated[str, WithJsonSchema({"type": "string", "maxLength": 2000, "pattern": JWT})]
Seconds = Annotated[int, WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 7_776_000})]
Role = Annotated[str, *one_of(models.Role)]
TokenType = Annotated[str, *one_of(models.TokenType)]
Reason = Annotated[str, *one_of(models.Reason)]
Status = Annotated[int, WithJsonSchema({"type": "integer", "minimum": 400, "maximum": 599})]


def _not_too_long(text: str) -> str:
    # Composed: a password that another system sends decomposed is the same. The first bound keeps that cheap.
    if len(text) > 4 * MAX_LENGTH or len(normalize("NFC", text)) > MAX_LENGTH:
        raise PydanticCustomError("too_long", f"Give at most {MAX_LENGTH} characters.")
    return text


NO_NUL = (AfterValidator(_without_nul), Field(json_schema_extra={"pattern": r"^[^\u0000]*$"}))
Username = Annotated[str, StringConstraints(min_length=3, max_length=64, pattern=f"^{USERNAME}$")]
# What a password must be beyond this is up to the settings, so Passwords.check decides.
Password = Annotated[
    str,
    StringConstraints(min_length=1),
    AfterValidator(_not_too_long),
    AfterValidator(_without_nul),
    Field(json_schema_extra={"maxLength": MAX_LENGTH, "pattern": r"^[^\u0000]*$"}),
]
# A name that cannot exist fails like one that does not: the answer to a login tells nothing.
LoginName = Annotated[str, StringConstraints(min_length=1, max_length=64), *NO_NUL]
Limit = Annotated[int, Field(ge=1, le=100), BeforeValidator(_limit)]
Flag = Annotated[bool, BeforeValidator(_flag)]
# What else makes a cursor one of ours, paging.py knows.
Cursor = Annotated[str, StringConstraints(max_length=8000, pattern="^[A-Za-z0-9._-]+$")]


class NewAccount(Body):
    model_config = example(username="ann", password="correct horse battery staple")

    username: Username
    password: Password


class Login(Body):
    model_config = example(username="ann", password="correct horse battery staple")

    username: LoginName
    password: Password


class Logout(Body):
    model_config = example(scope="session")

    scope: Literal["session", "others", "all"] = "session"


class AccountChange(Body):
    model_config = example(username="Ann", current_password="correct horse battery staple")

    username: Username = ABSENT
    password: Password = ABSENT
    current_password: Password

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.model_fields_set <= {"current_password"}:
            raise PydanticCustomError("required", "Give at least one field to change.")
        return self


class AccountReplacement(Body):
    model_config = example(
        username="ann",
        password="another horse, another staple",
        current_password="correct horse battery staple",
    )

    username: Username
    password: Password
    current_password: Password


class TokenChange(Body):
    model_config = example(revoke=True)

    revoke: bool


class PageQuery(Query):
    """The query of a list. Beside these two and `sort`, a field is a condition: `title`, or `price__gte`.

    With `rows`, each of them must be a column of that model; a wrong name stops the start with a TypeError.
    """

    rows: ClassVar[type[models.Base] | None] = None

    limit: Limit = Field(20, description="How many to answer at most.", examples=[20])
    cursor: Cursor = Field(ABSENT, description="The `next_cursor` of the page before.")

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        super().__pydantic_init_subclass__(**options)
        if cls.rows:
            for name in _sorted_by(cls.model_fields.get("sort")):
                column_of(cls.rows, name)
            for name in set(cls.model_fields) - {"limit", "cursor", "sort"}:
                check_condition(cls.rows, name)

    @property
    def conditions(self) -> dict[str, Any]:
        """What the client asked of the rows."""
        return self.model_dump(exclude={"limit", "cursor", "sort"}, exclude_unset=True)


def sortable(*names: str, default: str) -> Any:
    """Return the field `sort` of a query: up to three of these names, each with a `-` for descending."""
    if unknown := {each.removeprefix("-") for each in default.split(",")} - set(names):
        raise TypeError(
            f"sortable(..., default={default!r}): {', '.join(sorted(unknown))} isn't among the names."
        )
    name = f"-?({'|'.join(names)})"
    return Field(
        default,
        pattern=f"^{name}(,{name}){{0,2}}$",
        max_length=200,
        description="The fields to sort by, a `-` before those that descend.",
        examples=[default],
    )


def _sorted_by(sort: FieldInfo | None) -> list[str]:
    """Return the names that `sortable` put into the field's pattern."""
    pattern = next((each.pattern for each in sort.metadata if hasattr(each, "pattern")), "") if sort else ""
    return pattern.partition("(")[2].partition(")")[0].split("|") if pattern else []


class TokenQuery(PageQuery):
    active: Flag = Field(True, description="Leave out what is revoked or has expired.", examples=[True])


class Index(Answer):
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


class Document(BaseModel):
    """An OpenAPI 3.1 document."""

    openapi: Text


class Health(Answer):
    model_config = example(status="ok")

    status: Literal["ok"] = "ok"


class Checks(Answer):
    database: Literal["ok"] = "ok"
    migrations: Literal["ok"] = "ok"


class Readiness(Answer):
    model_config = example(status="ok", checks={"database": "ok", "migrations": "ok"})

    status: Literal["ok"] = "ok"
    checks: Checks = Checks()


class Account(StoredAnswer):
    """One's own account."""

    model_config = example(
        id="6676cf0e-7e30-437f-adce-39344e766fd4",
        username="ann",
        role="user",
        created_at="2026-11-22T08:45:28.623847Z",
        updated_at="2026-11-22T08:45:28.623847Z",
    )

    id: Id
    username: Username
    role: Role
    created_at: Time
    updated_at: Time


USER = {
    "id": "6676cf0e-7e30-437f-adce-39344e766fd4",
    "username": "ann",
    "role": "user",
    "disabled": False,
    "created_at": "2026-11-22T08:45:28.623847Z",
    "updated_at": "2026-11-22T08:45:28.623847Z",
}


class UserAccount(StoredAnswer):
    """An account, as admins see it."""

    model_config = example(**USER)

    id: Id
    username: Username
    role: Role
    disabled: bool
    created_at: Time
    updated_at: Time


class UserAccountList(Answer):
    model_config = example(items=[USER], next_cursor=None)

    items: Annotated[list[UserAccount], Field(max_length=100)]
    next_cursor: Text | None


class UserAccountChange(Body):
    model_config = example(disabled=True)

    role: Role = ABSENT
    disabled: bool = ABSENT


class UserQuery(PageQuery):
    rows = models.User

    sort: str = sortable("created_at", "username", default="-created_at")
    username: LoginName = Field(ABSENT, description="Those of this name.", examples=["ann"])
    username__contains: LoginName = Field(
        ABSENT, description="Those with this in their name, whatever its case.", examples=["an"]
    )
    role: Role = Field(ABSENT, description="Those with this role.", examples=["user"])
    disabled: Flag = Field(ABSENT, description="Those that are disabled, or that are not.", examples=[False])


class TokenPair(Answer):
    """Two JWTs, and for how many seconds each is good."""

    model_config = example(
        access_token=f"eyJhbGciOiJIUzI1NiIsInR5cCI6ImF0K2p3dCJ9.{CLAIMS}.mbOwc5rP2gI2X1cmw2fVDnPw_HNp1Zgz6_NS7D6tl1Y",
        refresh_token=f"eyJhbGciOiJIUzI1NiIsInR5cCI6InJ0K2p3dCJ9.{CLAIMS}.V-IJiO81wlMLJlE7bmyzxZjO8GrKOTHrpT-GfmrSdPE",
        token_type="Bearer",
        expires_in=900,
        refresh_expires_in=2_592_000,
        session_id="56247f90-940c-4a57-8b3e-62fd45eb7d3d",
    )

    access_token: Jwt
    refresh_token: Jwt
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: Seconds
    refresh_expires_in: Seconds
    session_id: Id


LISTED = {
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


class ListedToken(Answer):
    model_config = example(
        **LISTED | {"revoked_at": "2026-11-22T08:46:00Z", "revoked_reason": "revoked", "current": False}
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

    @classmethod
    def of(cls, token: Token, presented: UUID) -> Self:
        listed = cls.model_construct(
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
        return cast("Self", listed)


class TokenList(Answer):
    model_config = example(items=[LISTED], next_cursor="AAZg2X_X8EwKht7aDwlHf6y786bBq6p9")

    items: Annotated[list[ListedToken], Field(max_length=100)]
    next_cursor: Text | None


PROBLEM_TYPE = {
    "type": "/problems/token-expired",
    "code": "token_expired",
    "status": 401,
    "title": "Token expired",
    "meaning": "The token has expired.",
    "advice": "Get a new pair with POST /auth/refresh, or log in again.",
}


class ProblemType(Answer):
    """What a problem means, and what a client can do about it."""

    model_config = example(**PROBLEM_TYPE)

    type: Text
    code: Text
    status: Status
    title: Text
    meaning: Text
    advice: Text


class ProblemTypeList(Answer):
    model_config = example(items=[PROBLEM_TYPE], next_cursor=None)

    items: Annotated[list[ProblemType], Field(max_length=100)]
    next_cursor: None = None


class FieldError(Answer):
    """What is wrong in one place of a body (a JSON pointer, RFC 6901) or in one parameter."""

    pointer: Text | None = None
    parameter: Text | None = None
    detail: Text
    code: Text


class Problem(Answer):
    """An error, as RFC 9457 has it."""

    type: Text
    title: Text
    status: Status
    detail: Text
    code: Text
    request_id: Text
    errors: Annotated[list[FieldError] | None, Field(max_length=100)] = None
