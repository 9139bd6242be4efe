"""Facts of the domain: what can go wrong, each with its sentence for a person, ignorant of HTTP."""

from typing import ClassVar


class DomainError(Exception):
    """A fact that ends a request or a command. Its text is one sentence for a person."""

    sentence: ClassVar[str] = "Something is not as it should be."

    def __init__(self, sentence: str | None = None) -> None:
        super().__init__(sentence or self.sentence)


class NotFound(DomainError):
    sentence = "There is nothing with this id, or it is not yours."


class AlreadyExists(DomainError):
    """Another row has the same value where each has to have its own; `field` says where."""

    def __init__(self, field: str = "") -> None:
        super().__init__(f"There is one with the same {field.replace('_', ' ') or 'value'} already.")
        self.field = field


class NoSuchReference(DomainError):
    """A field names a row that does not exist; `field` says which."""

    sentence = "There is nothing with the id that this names."

    def __init__(self, field: str = "") -> None:
        super().__init__()
        self.field = field


class StillReferenced(DomainError):
    sentence = "Other rows still refer to this one. Delete or change them first."


class ValueRefused(DomainError):
    """The database doesn't allow a value; `field` is where, if known, `reason` is for the log."""

    sentence = "This value isn't allowed."

    def __init__(self, field: str = "", reason: str = "") -> None:
        super().__init__()
        self.field = field
        self.reason = reason


class NoSuchPlace(DomainError):
    sentence = "Give the next_cursor of the page before, unchanged, and sort as that page was."


class KeyInUse(DomainError):
    sentence = "A request with this Idempotency-Key is under way. Try again in a moment."


class KeyReused(DomainError):
    sentence = "This Idempotency-Key was used for another request. Take a new one for each."


class Forbidden(DomainError):
    sentence = "Your account's role doesn't allow this."


class UsernameTaken(DomainError):
    sentence = "An account with this user name exists already. Choose another name."


class UsernameRefused(DomainError):
    sentence = (
        "A user name is 3 to 64 letters, digits, dots, underscores or hyphens of ASCII, "
        "and starts with a letter or a digit."
    )


class PasswordRefused(DomainError):
    """A new password that is too easy to guess; `reasons` has the rules that refuse it, and sentences."""

    def __init__(self, reasons: dict[str, str]) -> None:
        super().__init__(" ".join(reasons.values()))
        self.reasons = reasons


class InvalidCredentials(DomainError):
    sentence = "The user name or the password is wrong."


class TooManyAttempts(DomainError):
    """A limit is reached; `seconds` from now there is room again."""

    sentence = "There were too many attempts from here, or for this account. Wait, then try again."

    def __init__(self, seconds: int = 1) -> None:
        super().__init__()
        self.seconds = seconds


class Overloaded(DomainError):
    sentence = "Too many passwords are being checked at once. Try again in a moment."


class WrongCurrentPassword(DomainError):
    sentence = "The current password is wrong, so nothing was changed."


class UserNotFound(DomainError):
    sentence = "There is no account with this user name."


class LastAdmin(DomainError):
    sentence = "This is the last account with the role admin. Make another one an admin first."


class TokenNotFound(DomainError):
    sentence = "You have no token with this id."


class RevocationIsFinal(DomainError):
    sentence = "This token is revoked, and a revoked token never comes back. Log in for a new one."


class MissingToken(DomainError):
    sentence = "This needs a token: send the header `Authorization: Bearer <token>`."


class InvalidToken(DomainError):
    sentence = "The token is malformed, forged, or of another kind than this needs."


class TokenExpired(DomainError):
    sentence = "The token has expired. Refresh the session, or log in again."


class TokenRevoked(DomainError):
    sentence = "The token was revoked, or its session or account is gone. Log in again."


class TokenReused(DomainError):
    sentence = (
        "This refresh token was used before, so somebody else may have a copy: "
        "the whole session has ended. Log in again."
    )


class FreshTokenRequired(DomainError):
    sentence = "This needs a login of a few minutes ago at most. Log in again and use the new access token."
