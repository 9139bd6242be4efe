"""What can go wrong in this API. blueprint/handlers.py says how each error is answered.

The kit has the generic ones: NotFound, AlreadyExists, ... (kit/errors.py).
"""

from kit.errors import DomainError, FieldError, FieldRefused, FieldsRefused


class Forbidden(DomainError):
    message = "Your account's role doesn't allow this."
    advice = "Ask an admin to do it, or to change your role."


class UsernameTaken(DomainError):
    message = "An account with this username already exists."
    advice = "Choose another name. Upper and lower case don't make a difference."


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
    advice = "Check both. The API doesn't say which one is wrong."


class WrongCurrentPassword(DomainError):
    message = "The current password is wrong, so nothing was changed."
    advice = "Send the password that you log in with as `current_password`."


class UserNotFound(DomainError):
    message = "No account has this username."


class AccountDisabled(DomainError):
    message = "This account is disabled, so its password can't be reset."


class LastAdmin(DomainError):
    message = "This is the last account with the role admin."
    advice = "Make another account an admin first."


class TokenNotFound(DomainError):
    message = "You have no token with this id."
    advice = "List your tokens with GET /auth/token?active=false."


class RevocationIsFinal(DomainError):
    message = "A revoked token can't be restored."
    advice = "Log in for a new token."


class TokenReused(DomainError):
    message = (
        "This refresh token was already used, so someone else may have a copy. The whole session has ended."
    )
    advice = "Log in again. Use each refresh token once, and keep only the newest."


class FreshTokenRequired(DomainError):
    message = "This action requires a recent login."
    advice = "Log in again and use the new access token."


class KeyNotFound(DomainError):
    message = "You have no API key with this id."
    advice = "List your keys with GET /account/keys."


class TooManyKeys(DomainError):
    message = "This account has 20 API keys, and can't have more."
    advice = "Delete a key that is no longer used."


# part: cookies
class CrossOrigin(DomainError):
    message = "A refresh token in a cookie only works for pages of the API's own origin."
    advice = "Serve the page under the scheme, host and port of the API, or send tokens in headers instead."


# end of part


class SecondFactorRequired(DomainError):
    """The password is right, and the login needs a code. `challenge` and the code complete it."""

    message = "The password is right, but this account also needs a code of its second factor."
    advice = (
        "Send `challenge` and the code to POST /auth/login/second-factor, "
        "within `challenge_expires_in` seconds."
    )

    def __init__(self, challenge: str = "", expires_in: int = 0) -> None:
        super().__init__()
        self.members = {"challenge": challenge, "challenge_expires_in": expires_in}


class InvalidCode(DomainError):
    message = "The code is wrong, expired or already used, or the login's challenge is no longer valid."
    advice = "Use the current code of your authenticator app. If that fails during a login, log in again."


class SecondFactorEnrolmentRequired(DomainError):
    message = "Your account must have a second factor before you can do this."
    advice = "Add one with POST /account/second-factor. If that needs a recent login, use POST /auth/step-up."


class SecondFactorActive(DomainError):
    message = "Your account already has a second factor."
    advice = "To replace it, remove it first with DELETE /account/second-factor."


class SecondFactorNotFound(DomainError):
    message = "The account has no second factor."
    advice = "Start with POST /account/second-factor."


class LinkInvalid(DomainError):
    message = "This link can't be used: it was used already, has expired, or isn't complete."
    advice = "Request a new link, and open the newest message."


class EmailTaken(DomainError):
    message = "Another account has verified this e-mail address."
    advice = "Log in to that account, or use another address."


class EmailRefused(FieldRefused):
    message = "This isn't an e-mail address. Give one such as ann@example.com."

    def __init__(self) -> None:
        super().__init__("email")


class MailNotConfigured(DomainError):
    message = "This API doesn't send mail. Set SMTP_URL, MAIL_FROM and APP_URL."


class EmailRequired(DomainError):
    message = "An account needs an e-mail address, so it can't be removed."
    advice = "Change the address with PUT /account/email instead."


class EmailUnverified(DomainError):
    message = "Your e-mail address isn't verified. If your account has one, a new link is on its way to it."
    advice = "Open the newest link, and log in again. If the account has no address, ask an admin to add one."
