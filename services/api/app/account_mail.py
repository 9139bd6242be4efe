"""Messages to the owners of accounts. Without mail, none is sent."""

from enum import StrEnum
from typing import cast

from flask import Flask, current_app

from app.exceptions import MailNotConfigured
from app.model.models import User


class Notice(StrEnum):
    """What a notice is about, which is also the name of its template in app/mail/templates."""

    NEW_NETWORK = "new-network"
    PASSWORD_CHANGED = "password-changed"
    EMAIL_CHANGE_REQUESTED = "email-change-requested"
    EMAIL_CHANGED = "email-changed"
    EMAIL_REMOVED = "email-removed"
    ACCOUNT_DISABLED = "account-disabled"
    SECOND_FACTOR_ADDED = "second-factor-added"
    SECOND_FACTOR_REMOVED = "second-factor-removed"
    RECOVERY_CODE_USED = "recovery-code-used"
    RECOVERY_CODES_REPLACED = "recovery-codes-replaced"


class AccountMail:
    """Sends nothing. With mail, QueuedMail (app/mail/queued_mail.py) replaces it.

    Messages are queued in the current transaction, and sent after its commit.
    """

    def notify(self, user: User, notice: Notice) -> None:
        """Send a notice to the account's verified address, if it has one."""

    def send_verification(self, user: User) -> None:
        """Send a link to the account's address that isn't verified yet, if it has one."""

    def must_verify(self, user: User) -> bool:
        """Return whether the account can't be used until its address is verified."""
        return False

    def send_password_reset(self, user: User) -> None:
        """Send a link for a new password to the account's verified address. Raises MailNotConfigured."""
        raise MailNotConfigured

    def password_reset_link(self, user: User) -> str:
        """Return a link for a new password of a locked account. Raises MailNotConfigured."""
        raise MailNotConfigured


def init_app(app: Flask, account_mail: AccountMail) -> None:
    app.extensions["account_mail"] = account_mail


def account_mail() -> AccountMail:
    """Return what the current app sends to its accounts."""
    return cast("AccountMail", current_app.extensions["account_mail"])
