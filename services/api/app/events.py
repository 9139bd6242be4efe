"""The security events of this API. kit/security/events.py records them; operators see these names."""

from enum import StrEnum


class Event(StrEnum):
    REGISTERED = "registered"
    LOGGED_IN = "logged_in"
    LOGIN_FAILED = "login_failed"
    TOKEN_REUSED = "token_reused"
    LOGGED_OUT = "logged_out"
    TOKEN_REVOKED = "token_revoked"
    USERNAME_CHANGED = "username_changed"
    PASSWORD_CHANGED = "password_changed"
    PASSWORD_RESET = "password_reset"
    EMAIL_CHANGE_REQUESTED = "email_change_requested"
    EMAIL_VERIFIED = "email_verified"
    EMAIL_REMOVED = "email_removed"
    KEY_CREATED = "key_created"
    KEY_CHANGED = "key_changed"
    KEY_DELETED = "key_deleted"
    ACCOUNT_DELETED = "account_deleted"
    ACCOUNT_CHANGED_BY_ADMIN = "account_changed_by_admin"
    ACCOUNT_CHANGED_BY_OPERATOR = "account_changed_by_operator"
