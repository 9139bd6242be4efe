"""This API's name, version and settings.

To add a setting, add a field to Settings and a line to .env.example. kit/setting_types.py has the types.
"""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from kit import settings
from kit.setting_types import Name, OptionalRateLimit, RateLimit, WholeNumber, Words

APP_NAME = "flask-api"
VERSION = "0.1.0"  # the newest heading of CHANGELOG.md
KEY_PREFIX = "fa_"  # of API keys. Secret scanners know it; changing it makes all keys invalid.
# Names that look official, or that mail to a domain belongs to (RFC 2142).
RESERVED_USERNAMES = (
    *("admin", "administrator", "root", "system", "api", "support", "help", "helpdesk", "staff", "moderator"),
    *("official", "security", "abuse", "postmaster", "hostmaster", "webmaster", "info", "noreply"),
)


class Settings(settings.Settings):
    """This API's settings, in addition to the kit's (kit/settings.py)."""

    app_name: ClassVar[str] = APP_NAME
    version: ClassVar[str] = VERSION
    folder: ClassVar[Path] = Path(__file__).parent.parent

    jwt_issuer: Name = APP_NAME
    jwt_audience: Name = APP_NAME
    access_token_seconds: WholeNumber = Field(900, ge=1, le=900)
    refresh_token_seconds: WholeNumber = Field(2_592_000, ge=1, le=2_592_000)
    session_max_seconds: WholeNumber = Field(7_776_000, ge=1, le=7_776_000)
    fresh_seconds: WholeNumber = Field(900, ge=1, le=900)
    refresh_grace_seconds: WholeNumber = Field(10, ge=0, le=10)
    clock_leeway_seconds: WholeNumber = Field(10, ge=0, le=30)
    browser_cookies: Literal["off", "on"] = "off"  # part: cookies
    retention_days: WholeNumber = Field(90, ge=1, le=3650)
    audit_days: WholeNumber = Field(365, ge=30, le=3650)
    password_min_length: WholeNumber = Field(15, ge=8, le=64, json_schema_extra={"weak_below": 15})
    password_hasher: Literal["argon2id", "scrypt"] = "argon2id"
    reserved_usernames: Words = RESERVED_USERNAMES
    login_limit_pair: OptionalRateLimit = RateLimit(5, 300)
    login_limit_client: OptionalRateLimit = RateLimit(20, 300)
    login_limit_account: OptionalRateLimit = RateLimit(50, 3600)
    login_limit_success: OptionalRateLimit = RateLimit(60, 300)
    register_limit: OptionalRateLimit = RateLimit(20, 3600)
    register_email: Literal["optional", "required", "off"] = "optional"
    key_limit: OptionalRateLimit = None
    require_second_factor: Literal["none", "admins", "all"] = "none"  # part: second-factor
    mail_limit: OptionalRateLimit = RateLimit(3, 3600)
    mail_limit_client: OptionalRateLimit = RateLimit(20, 3600)

    @field_validator("register_email")
    @classmethod
    def _needs_mail(cls, value: str, info: ValidationInfo) -> str:
        if value == "required" and info.data.get("smtp_url", ...) is None:
            raise ValueError("can't be required without SMTP_URL")
        return value


def load() -> Settings:
    """Read the settings from the environment. Raises kit.settings.InvalidSettings."""
    return settings.load(Settings)


def current() -> Settings:
    """Return the settings of the current app."""
    return settings.current(Settings)
