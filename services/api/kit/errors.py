"""Errors that end a request or a command. They know nothing about HTTP.

kit/web/problems.py says how each is answered. An app adds its own errors by subclassing DomainError.
"""

from collections.abc import Iterable, Mapping
from typing import ClassVar, NamedTuple

FIELD_CODES = frozenset((
    "required", "unknown_field", "wrong_type", "too_short", "too_long", "too_small", "too_large",
    "invalid_format", "too_common", "repetitive", "contains_name", "unknown_reference", "already_exists",
    "read_only",
))  # fmt: skip
"""Every `code` in the `errors` of a problem."""


class FieldError(NamedTuple):
    """An error in one field of the body (`pointer`, RFC 6901) or in one parameter."""

    detail: str
    code: str
    pointer: str | None = None
    parameter: str | None = None


class DomainError(Exception):
    """Base class of errors. Clients get the message and the advice."""

    message: ClassVar[str] = "The request can't be completed."
    advice: ClassVar[str] = "Change the request, then try again."
    members: Mapping[
        str, object
    ] = {}  # more members of the response, which the schema of the problem describes

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.message)


class FieldsRefused(DomainError):
    """Some values are invalid; `fields` says which and why."""

    message = "The request is well-formed, but some values are invalid."
    advice = "Correct the values listed in `errors`."

    def __init__(self, fields: Iterable[FieldError] = (), message: str | None = None) -> None:
        super().__init__(message)
        self.fields = tuple(fields)


class InvalidCursor(FieldsRefused):
    message = "Invalid cursor. Pass `next_cursor` from the previous page unchanged, with the same `sort`."

    def __init__(self) -> None:
        super().__init__([FieldError(self.message, "invalid_format", parameter="cursor")], self.message)


class FieldRefused(FieldsRefused):
    """A value is invalid, of one field if known, or of several. `tag_ids/2` is an item of a list."""

    code: ClassVar[str] = "invalid_format"

    def __init__(self, field: str = "", *others: str) -> None:
        pointers = [f"/{name}" if name else "" for name in (field, *others)]
        super().__init__([FieldError(self.message, self.code, each) for each in pointers], self.message)
        self.field = field


class UnknownReference(FieldRefused):
    """A field refers to a row that doesn't exist."""

    message = "Nothing with the id in this field exists."
    code = "unknown_reference"


class ValueRefused(FieldRefused):
    """The database doesn't allow a value that the schema has accepted. `reason` is for the log."""

    message = "This value isn't allowed."

    def __init__(self, field: str = "", reason: str = "") -> None:
        super().__init__(field)
        self.reason = reason


class NotFound(DomainError):
    message = "Nothing with this id exists, or it isn't yours."


class AlreadyExists(DomainError):
    """Another row has the same value in a unique column, or the same values in several.

    `fields` are the columns, if known, and `field` is the last of them.
    """

    advice = "Choose another value, or change the resource that uses it."

    def __init__(self, *fields: str) -> None:
        named = [field.replace("_", " ") for field in fields if field and field != "owner_id"] or ["value"]
        what = named[0] if len(named) == 1 else f"combination of {', '.join(named[:-1])} and {named[-1]}"
        is_of_owner = "owner_id" in fields  # who didn't choose this value
        super().__init__(
            f"The owner already has a row with this {what}."
            if is_of_owner
            else f"This {what} is already in use."
        )
        self.fields = fields
        self.field = fields[-1] if fields else ""


class StillReferenced(DomainError):
    message = "Other resources still refer to this one."
    advice = "Delete or change the resources that refer to it, then try again."


class IdempotencyKeyInUse(DomainError):
    message = "A request with this Idempotency-Key is in progress."
    advice = "Send the same request again. Once the first one is done, you get the same response."


class IdempotencyKeyReused(DomainError):
    message = "This Idempotency-Key was used for a different request."
    advice = "Create a new key for each request. Send the same key only to repeat a request."


class TooManyAttempts(DomainError):
    """A rate limit is reached. Try again in `seconds`."""

    message = "Too many requests or attempts."
    advice = "Wait the number of seconds in Retry-After, then try again."

    def __init__(self, seconds: int = 1) -> None:
        super().__init__()
        self.seconds = seconds


class Overloaded(DomainError):
    message = "Too many requests of this kind are running right now."
    advice = "Send the request again after the time in Retry-After."


class StorageUnavailable(DomainError):
    message = "The storage of files doesn't answer, or refuses the operation."
    advice = "Send the request again after the time in Retry-After."


class QueryTimeout(DomainError):
    message = "A database query exceeded its time limit."
    advice = "Send the request again after the time in Retry-After. If this repeats, ask for less at once."


class WriteConflict(DomainError):
    """A deadlock: two requests waited for each other's rows, and the database ended one of them."""

    message = "Another request was changing the same rows, so this one was cancelled."
    advice = "Send the request again after the time in Retry-After."


class MissingToken(DomainError):
    message = "This request needs a token."
    advice = "Log in, and send the access token as `Authorization: Bearer <access_token>`."


class InvalidToken(DomainError):
    message = "The token is malformed, has an invalid signature or is of the wrong type."
    advice = "Send the token unchanged. The documentation says which type this path takes."


class TokenExpired(DomainError):
    message = "The token has expired."
    advice = "Get a new pair with the refresh token, or log in again. If it is an API key, create a new one."


class TokenRevoked(DomainError):
    message = "The token was revoked, or its session or account no longer exists."
    advice = "Log in again. If it is an API key, create a new one."


class InsufficientScope(DomainError):
    """An API key may not do this. `scope` is what it would need, or None if no key may."""

    message = "API keys can't be used here."
    advice = "Log in and use an access token. If WWW-Authenticate names a scope, a key with it works, too."

    def __init__(self, scope: str | None = None) -> None:
        super().__init__(f"This needs an API key with the scope {scope}." if scope else None)
        self.scope = scope


class CallerGone(TokenRevoked):
    """The caller's account was deleted while the request was running."""
