"""The settings that the kit needs, and how settings are read from the environment."""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Literal, TypeVar

import click
from flask import Flask, current_app
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import URL

from kit import sqlite_file  # part: sqlite
from kit.secret_key import make_secret_key
from kit.setting_types import (
    MAX_PORT,
    Boolean,
    DatabaseUrl,
    HeaderNames,
    HostNames,
    Networks,
    OptionalAppUrl,
    OptionalRateLimit,
    OptionalSender,
    OptionalSmtpUrl,
    Origins,
    SigningKey,
    SigningKeys,
    StorageUrl,
    WholeNumber,
)
from kit.smtp_url import MailFolder
from kit.storage_url import StorageFolder

SECRETS = (
    "DATABASE_URL",
    "MIGRATION_DATABASE_URL",
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "SMTP_URL",
    "STORAGE_URL",
)


class Settings(BaseModel):
    """The kit's settings, one field per environment variable. .env.example explains each.

    An app subclasses it, adds its own settings and sets the three class variables.
    """

    app_name: ClassVar[str]
    version: ClassVar[str]
    folder: ClassVar[Path]  # contains migrations/ and instance/

    model_config = ConfigDict(
        alias_generator=str.upper,
        arbitrary_types_allowed=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    flask_env: Literal["development", "testing", "production"] = "production"
    database_url: DatabaseUrl
    migration_database_url: DatabaseUrl | None = None
    database_pooler: Literal["none", "transaction"] = "none"
    database_pool_size: WholeNumber = Field(12, ge=1, le=200)
    database_timeout_ms: WholeNumber = Field(2000, ge=100, le=60_000)
    secret_key: SigningKey
    secret_key_fallbacks: SigningKeys = ()
    rate_limit: OptionalRateLimit = None
    max_body_bytes: WholeNumber = Field(65_536, ge=1024, le=16_777_216)
    max_upload_bytes: WholeNumber = Field(10_485_760, ge=1024, le=1_073_741_824)
    max_unsent_bytes: WholeNumber = Field(67_108_864, ge=1_048_576, le=1_073_741_824)
    storage_url: StorageUrl = Field("file:files", validate_default=True)
    allowed_hosts: HostNames = ()
    trusted_proxies: Networks = ()
    forwarded_prefix: Literal["off", "on"] = "off"
    cors_origins: Origins = ()
    cors_headers: HeaderNames = ()
    server: Literal["waitress", "gunicorn"] = "waitress"
    web_concurrency: WholeNumber = Field(1, ge=1, le=64)
    host: str = "127.0.0.1"
    port: WholeNumber = Field(5000, ge=1, le=MAX_PORT)
    threads: WholeNumber = Field(24, ge=1, le=200)
    worker: Literal["process", "thread"] = "process"
    smtp_url: OptionalSmtpUrl = None
    mail_from: OptionalSender = Field(None, validate_default=True)
    app_url: OptionalAppUrl = Field(None, validate_default=True)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "text"] | None = None
    slow_request_ms: WholeNumber = Field(500, ge=0, le=60_000)
    metrics_enabled: Boolean = False
    docs_enabled: Boolean = True

    @property
    def has_mail(self) -> bool:
        """Whether this app sends mail. Without it, there is no route and no field about e-mail."""
        return self.smtp_url is not None

    @property
    def mail_folder(self) -> Path:
        """Where messages are written, if SMTP_URL is a folder."""
        assert isinstance(self.smtp_url, MailFolder)  # noqa: S101 # nosec B101
        return self.folder / "instance" / self.smtp_url.path  # an absolute path stays as it is

    @property
    def storage_folder(self) -> Path | None:
        """Where files are stored, if STORAGE_URL is a folder."""
        if not isinstance(self.storage_url, StorageFolder):
            return None
        return self.folder / "instance" / self.storage_url.path  # an absolute path stays as it is

    @property
    def owner_url(self) -> URL:
        """The database as the owner of its tables, for migrations."""
        return self.migration_database_url or self.database_url

    @property
    def signing_keys(self) -> list[str]:
        """The current signing key, then the older keys that are still accepted."""
        return [key.get_secret_value() for key in (self.secret_key, *self.secret_key_fallbacks)]


AnySettings = TypeVar("AnySettings", bound=Settings)


class InvalidSettings(click.ClickException):
    """The environment has invalid settings. The message names every one of them, without secrets."""


def load(cls: type[AnySettings]) -> AnySettings:
    """Read the settings from the environment. Raises InvalidSettings."""
    wrong: dict[str, str] = {}
    given = (
        _development_defaults(cls.folder / "instance", wrong) | _secrets_from_files(wrong) | _environment(cls)
    )
    try:
        settings = cls.model_validate(given)
    except ValidationError as error:
        for item in error.errors(include_url=False, include_input=False):
            name = str(item["loc"][0]).upper()  # for a default, it's the name of the field
            if name not in wrong and f"{name}_FILE" not in wrong:
                wrong[name] = _reason(item["type"], item["msg"]) + _hint(given.get(name, ""))
    else:
        # part: sqlite
        if fault := _database_fault(settings.database_url, cls.folder / "instance"):
            wrong["DATABASE_URL"] = fault
        # end of part
        if isinstance(settings.smtp_url, MailFolder) and (fault := _folder_fault(settings.mail_folder)):
            wrong["SMTP_URL"] = fault
        if (
            "STORAGE_URL" in given
            and settings.storage_folder
            and (fault := _folder_fault(settings.storage_folder))
        ):
            wrong["STORAGE_URL"] = fault
        # part: sqlite
        if settings.owner_url.drivername != settings.database_url.drivername:
            wrong["MIGRATION_DATABASE_URL"] = "isn't the same kind of database as DATABASE_URL"
        # end of part
    if wrong:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in sorted(wrong.items()))
        raise InvalidSettings(f"Invalid settings. {reasons}. See .env.example for what each one means.")
    return settings


def init_app(app: Flask, settings: Settings) -> None:
    app.extensions["settings"] = settings
    app.config.update(
        TESTING=settings.flask_env == "testing",
        MAX_CONTENT_LENGTH=settings.max_body_bytes,
        SECRET_KEY=settings.secret_key.get_secret_value(),
    )
    # Each path has one spelling: no trailing or double slashes, and no redirects.
    app.url_map.strict_slashes = True
    app.url_map.merge_slashes = False


def current(cls: type[AnySettings]) -> AnySettings:
    """Return the settings of the current app, which are an instance of `cls`."""
    settings = current_app.extensions["settings"]
    assert isinstance(settings, cls)  # noqa: S101 # nosec B101
    return settings


# part: sqlite
def _database_fault(url: URL, instance: Path) -> str | None:
    if url.drivername != "sqlite":
        return None
    file = instance / str(url.database)  # an absolute path stays as it is
    if file.parent == instance:
        with suppress(OSError):
            instance.mkdir(exist_ok=True)
    return sqlite_file.fault(file)


# end of part
def _folder_fault(folder: Path) -> str | None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"can't create the folder {folder} ({type(error).__name__})"
    return None if os.access(folder, os.W_OK | os.X_OK) else f"can't write to the folder {folder}"


def _reason(kind: str, message: str) -> str:
    if kind == "missing":
        return "is required in production"
    return re.sub("^(Value error, |Input |String )", "", message)


def _hint(value: str) -> str:
    is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return " (remove the quotes: they are a part of the value)" if is_quoted else ""


def _environment(cls: type[Settings]) -> dict[str, str]:
    """Return the variables that are set."""
    return {name: value for name in map(str.upper, cls.model_fields) if (value := _given(name))}


def _given(name: str) -> str:
    """Return the value of a variable, or an empty string, which counts as not set."""
    return _bare(os.environ.get(name, ""))


def _bare(text: str) -> str:
    """Return a value without what editors and shells add: white space, line ends and a byte order mark."""
    return text.strip().strip("\ufeff").strip()


def _secrets_from_files(wrong: dict[str, str]) -> dict[str, str]:
    """Read each secret NAME that isn't set from the file that NAME_FILE names."""
    found = {}
    for name in SECRETS:
        file = _given(f"{name}_FILE")
        if file and not _given(name):
            try:
                found[name] = _bare(Path(file).read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                wrong[f"{name}_FILE"] = f"cannot read {file} ({type(error).__name__})"
    return found


def _development_defaults(instance: Path, wrong: dict[str, str]) -> dict[str, str]:
    """Outside production no setting is required: use a SQLite file, and a key that is created once."""
    if _given("FLASK_ENV") not in ("development", "testing"):
        return {}
    defaults = {}
    # part: sqlite
    if not _given("DATABASE_URL"):
        defaults["DATABASE_URL"] = "sqlite:///app.db"  # relative to instance/ (Flask-SQLAlchemy)
    # end of part
    if not _given("SECRET_KEY") and not _given("SECRET_KEY_FILE"):
        try:
            defaults["SECRET_KEY"] = make_secret_key(instance / "secret_key")
        except OSError as error:
            wrong["SECRET_KEY"] = f"can't be stored in {instance} ({type(error).__name__}), so it must be set"
    return defaults
