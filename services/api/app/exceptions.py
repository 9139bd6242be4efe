"""What can go wrong in this API. blueprint/handlers.py says how each error is answered.

The kit has the generic ones: NotFound, AlreadyExists, ... (kit/errors.py).
"""

from kit.errors import DomainError, FieldError, FieldRefused, FieldsRefused


class Forbidden(DomainError):
    message = "Your account's role doesn't allow this."


class UsernameTaken(DomainError):
    message = "An account with this username already exists. Choose another one."


class UsernameRefused(FieldRefused):
    message = (
        "A username has 3 to 64 characters: ASCII letters, digits, dots, underscores and hyphens. "
        "It starts with a letter or a digit."
    )

    def __init__(self) -> None:
        super().__init__("username")


class PasswordRefused(FieldsRefused):
    """A new password is too easy to guess. `reasons` maps each broken rule to a sentence."""

    def __init__(self, reasons: dict[str, str]) -> None:
        fields = [FieldError(sentence, code, "/password") for code, sentence in reasons.items()]
        super().__init__(fields, " ".join(reasons.values()))
        self.reasons = reasons


class InvalidCredentials(DomainError):
    message = "Wrong username or password."


class WrongCurrentPassword(DomainError):
    message = "The current password is wrong, so nothing was changed."


class UserNotFound(DomainError):
    message = "No account has this username."


class LastAdmin(DomainError):
    message = "This is the last account with the role admin. Make another account an admin first."


class TokenNotFound(DomainError):
    message = "You have no token with this id."


class RevocationIsFinal(DomainError):
    message = "A revoked token can't be restored. Log in for a new one."


class TokenReused(DomainError):
    message = (
        "This refresh token was already used, so someone else may have a copy. "
        "The whole session has ended. Log in again."
    )


class FreshTokenRequired(DomainError):
    message = "This action requires a recent login. Log in again and use the new access token."
