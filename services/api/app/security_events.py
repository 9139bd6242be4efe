"""The security events: one line each in the log, told once what they tell of is true."""

import logging
from enum import StrEnum
from uuid import UUID

from flask import current_app

logger = logging.getLogger("app.security")


class Event(StrEnum):
    REGISTERED = "registered"
    LOGGED_IN = "logged_in"
    LOGIN_FAILED = "login_failed"
    REFUSED = "refused"  # a limit is reached
    TOKEN_REUSED = "token_reused"
    LOGGED_OUT = "logged_out"
    TOKEN_REVOKED = "token_revoked"
    USERNAME_CHANGED = "username_changed"
    PASSWORD_CHANGED = "password_changed"
    ACCOUNT_DELETED = "account_deleted"
    ACCOUNT_JUDGED = "account_judged"  # an admin has changed its role, or disabled it


def tell(event: Event, user_id: UUID | None = None, **details: str) -> None:
    """Log and count an event, never with a user name: of a failed login it may be a misplaced password."""
    fields = {"event": event.value, "user_id": user_id, **details}
    logger.info(event.value, extra={"fields": fields})
    if metrics := current_app.extensions.get("metrics"):
        metrics.count_event(event)
