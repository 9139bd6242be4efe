"""The settings: typed, read once from the environment, wrong ones all named in one error."""

import os
import re
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, cast

import click
import psycopg2
from flask import Flask, current_app
from psycopg2 import extensions
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
)
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from app import sqlite_file
from app.secret_key import make_secret_key

APP_NAME = "flask-api"
VERSION = "0.1.0"  # the newest heading of CHANGELOG.md
MAX_PORT = 65_535
MAX_ATTEMPTS = 1000  # that one limit counts: each is remembered
INSTANCE = Path(__file__).parent.parent / "instance"
SECRETS = ("DATABASE_URL", "SECRET_KEY", "SECRET_KEY_FALLBACKS")
POSTGRESQL = ("postgres", "postgresql", "postgresql+psycopg2")
# What examples and templates write where a secret belongs.
CHANGE_ME = re.compile(r"change[-_ ]?(me|this|it)[-_ .!]*", re.IGNORECASE)
PLACEHOLDER = re.compile(
    r"((change|replace|me|this|it|your|my|the|very|super|secret|key|jwt|flask|api|app|django|in|for|to|with|and|"
    r"production|development|dev|please|default|insecure|example|placeholder|password|string|long|random|"
    r"at|least|bytes?|characters?|chars?)[\W\d_]*)+",
    re.IGNORECASE,
)
LABEL = "[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?"
ORIGIN = re.compile(
    rf"https?://({LABEL}(\.{LABEL})*|\[(?P<ipv6>[0-9a-f:]+)\])(:(?P<port>[1-9][0-9]{{0,4}}))?"
)


class Limit(NamedTuple):
    """So many attempts in so many seconds."""

    attempts: int
    seconds: int


class InvalidSettings(click.ClickException):
    """The environment does not describe an app that can run; the message names every wrong variable."""


def _database_url(value: object, info: ValidationInfo) -> URL:
    try:
        url = make_url(str(value))
    except (ArgumentError, ValueError):
        url = URL.create("unreadable")
    if info.data.get("flask_env") == "production" and CHANGE_ME.fullmatch(url.password or ""):
        raise ValueError("still has a placeholder as its password")
    if url.drivername in POSTGRESQL and url.database and (url.port or 0) <= MAX_PORT and _is_dsn(url):
        return url.set(drivername="postgresql+psycopg2")
    if url.drivername == "sqlite" and url.database not in (None, "", ":memory:") and not url.query:
        return url
    raise ValueError("must be postgresql://USER:PASSWORD@HOST/DATABASE or sqlite:///FILE")


def _is_dsn(url: URL) -> bool:
    """Whether libpq knows every parameter behind the question mark."""
    try:
        extensions.make_dsn(**{name: str(value) for name, value in url.query.items()})
    except psycopg2.ProgrammingError:
        return False
    return True


def _whole(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch("[0-9]+", value, re.ASCII):
        raise ValueError("must be a whole number, written in digits")
    return value


def _true_or_false(value: object) -> object:
    if isinstance(value, str) and value not in ("true", "false"):
        raise ValueError("must be true or false")
    return value


def _hard_to_guess(key: SecretStr) -> SecretStr:
    text = key.get_secret_value()
    if len(text.encode()) < 32:  # RFC 7518, 3.2: as long as the hash
        raise ValueError("must have at least 32 bytes")
    if len(set(text)) < 10 or PLACEHOLDER.fullmatch(text):
        raise ValueError("is a placeholder or hardly varied: make one as .env.example says")
    return key


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


def _origin(text: str) -> str:
    """Take an origin as a browser sends it. `*` is none: it would open the API to every page."""
    match = ORIGIN.fullmatch(text)
    if not match or int(match["port"] or 1) > MAX_PORT or (match["ipv6"] and not _is_ipv6(match["ipv6"])):
        raise ValueError("must be origins such as https://app.example.com, separated by commas")
    return text


def _host_name(text: str) -> str:
    name = text.lower().removesuffix(".")
    match = ORIGIN.fullmatch(f"https://{name}")
    if not match or match["port"] or (match["ipv6"] and not _is_ipv6(match["ipv6"])):
        raise ValueError("must be host names such as api.example.com, without ports, separated by commas")
    return name


def _network(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    address = network.network_address
    if isinstance(address, IPv6Address) and (address.scope_id or address.ipv4_mapped):
        raise ValueError("must be networks such as 10.0.0.0/8 or fd00::/8, separated by commas")
    return network


def _is_ipv6(text: str) -> bool:
    try:
        return bool(IPv6Address(text))
    except ValueError:
        return False


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",")) if value else ()


def _limit(value: object) -> object:
    """Read `5/10m`, five in ten minutes, or `off`."""
    if not isinstance(value, str) or value == "off":
        return None if value == "off" else value
    match = re.fullmatch("([0-9]{1,4})/([0-9]{1,4})([smh])", value, re.ASCII)
    if match:
        limit = Limit(int(match[1]), int(match[2]) * {"s": 1, "m": 60, "h": 3600}[match[3]])
        if 1 <= limit.attempts <= MAX_ATTEMPTS and 1 <= limit.seconds <= 3600:
            return limit
    raise ValueError("must be off, or a number and a time such as 5/10m: 1 to 1000 in 1s to 1h")


DatabaseUrl = Annotated[URL, BeforeValidator(_database_url)]
SigningKey = Annotated[SecretStr, AfterValidator(_hard_to_guess)]
SigningKeys = Annotated[tuple[SigningKey, ...], BeforeValidator(_split)]
HostName = Annotated[str, AfterValidator(_host_name)]
HostNames = Annotated[tuple[HostName, ...], BeforeValidator(_split)]
Network = Annotated[IPv4Network | IPv6Network, AfterValidator(_network)]
Networks = Annotated[tuple[Network, ...], BeforeValidator(_split)]
OptionalLimit = Annotated[Limit | None, BeforeValidator(_limit)]
Origin = Annotated[str, AfterValidator(_origin)]
Origins = Annotated[tuple[Origin, ...], BeforeValidator(_split)]
Whole = Annotated[int, BeforeValidator(_whole)]
Switch = Annotated[bool, BeforeValidator(_true_or_false)]
Name = Annotated[str, Field(max_length=255), AfterValidator(_not_blank)]


class Settings(BaseModel):
    """One field an environment variable, in the order of .env.example, which gives the reasons."""

    model_config = ConfigDict(
        alias_generator=str.upper,
        arbitrary_types_allowed=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    flask_env: Literal["development", "testing", "production"] = "production"
    database_url: DatabaseUrl
    database_pool_size: Whole | None = Field(None, ge=1, le=200)
    database_timeout_ms: Whole = Field(2000, ge=100, le=60_000)
    secret_key: SigningKey
    secret_key_fallbacks: SigningKeys = ()
    jwt_issuer: Name = APP_NAME
    jwt_audience: Name = APP_NAME
    access_token_seconds: Whole = Field(900, ge=1, le=900)
    refresh_token_seconds: Whole = Field(2_592_000, ge=1, le=2_592_000)
    session_max_seconds: Whole = Field(7_776_000, ge=1, le=7_776_000)
    fresh_seconds: Whole = Field(900, ge=1, le=900)
    refresh_grace_seconds: Whole = Field(10, ge=0, le=10)
    clock_leeway_seconds: Whole = Field(10, ge=0, le=30)
    password_min_length: Whole = Field(15, ge=8, le=64)
    password_hasher: Literal["argon2id", "scrypt"] = "argon2id"
    login_limit_pair: OptionalLimit = Limit(5, 300)
    login_limit_client: OptionalLimit = Limit(20, 300)
    login_limit_account: OptionalLimit = Limit(50, 3600)
    register_limit: OptionalLimit = Limit(20, 3600)
    rate_limit: OptionalLimit = None
    max_body_bytes: Whole = Field(65_536, ge=1024, le=16_777_216)
    allowed_hosts: HostNames = ()
    trusted_proxies: Networks = ()
    cors_origins: Origins = ()
    server: Literal["waitress", "gunicorn"] = "waitress"
    web_concurrency: Whole = Field(1, ge=1, le=64)
    host: str = "127.0.0.1"
    port: Whole = Field(5000, ge=1, le=MAX_PORT)
    threads: Whole = Field(8, ge=1, le=200)
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["json", "text"] | None = None
    slow_request_ms: Whole = Field(500, ge=0, le=60_000)
    metrics_enabled: Switch = False
    docs_enabled: Switch = True

    @property
    def signing_keys(self) -> list[str]:
        """The key that signs, and then those of before it, which are still accepted."""
        return [key.get_secret_value() for key in (self.secret_key, *self.secret_key_fallbacks)]


def load() -> Settings:
    """Read the environment. Raises InvalidSettings, which never tells a secret."""
    wrong: dict[str, str] = {}
    given = _development_defaults(wrong) | _secrets_from_files(wrong) | _environment()
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        for item in error.errors(include_url=False, include_input=False):
            name = str(item["loc"][0])
            if name not in wrong and f"{name}_FILE" not in wrong:
                wrong[name] = _reason(item["type"], item["msg"])
    else:
        if fault := _database_fault(settings.database_url):
            wrong["DATABASE_URL"] = fault
    if wrong:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in sorted(wrong.items()))
        raise InvalidSettings(f"The settings are wrong. {reasons}. See .env.example for what each one means.")
    return settings


def init_app(app: Flask, settings: Settings) -> None:
    app.extensions["settings"] = settings
    app.config.update(
        TESTING=settings.flask_env == "testing",
        MAX_CONTENT_LENGTH=settings.max_body_bytes,
        SECRET_KEY=settings.secret_key.get_secret_value(),
    )
    # One path for each action: no slash too many, and no redirect to the right spelling.
    app.url_map.strict_slashes = True
    app.url_map.merge_slashes = False


def current() -> Settings:
    """Return the settings of the app that handles this request or command."""
    return cast("Settings", current_app.extensions["settings"])


def _database_fault(url: URL) -> str | None:
    if url.drivername != "sqlite":
        return None
    file = INSTANCE / str(url.database)  # which an absolute path replaces
    if file.parent == INSTANCE:
        with suppress(OSError):
            INSTANCE.mkdir(exist_ok=True)
    return sqlite_file.fault(file)


def _reason(kind: str, message: str) -> str:
    if kind == "missing":
        return "is required in production"
    return re.sub("^(Value error, |Input |String )", "", message)


def _environment() -> dict[str, str]:
    """Return what is given; empty counts as not given."""
    names = map(str.upper, Settings.model_fields)
    return {name: os.environ[name] for name in names if os.environ.get(name)}


def _secrets_from_files(wrong: dict[str, str]) -> dict[str, str]:
    """Read each secret NAME that is not given itself from the file that NAME_FILE names."""
    found = {}
    for name in SECRETS:
        file = os.environ.get(f"{name}_FILE")
        if file and not os.environ.get(name):
            try:
                found[name] = Path(file).read_text(encoding="utf-8").strip()
            except (OSError, ValueError) as error:
                wrong[f"{name}_FILE"] = f"cannot read {file} ({type(error).__name__})"
    return found


def _development_defaults(wrong: dict[str, str]) -> dict[str, str]:
    """Outside production nobody has to set anything: a database file, and a key made once."""
    if os.environ.get("FLASK_ENV") not in ("development", "testing"):
        return {}
    defaults = {}
    if not os.environ.get("DATABASE_URL"):
        defaults["DATABASE_URL"] = "sqlite:///app.db"  # in instance/, as Flask-SQLAlchemy has it
    if not os.environ.get("SECRET_KEY") and not os.environ.get("SECRET_KEY_FILE"):
        try:
            defaults["SECRET_KEY"] = make_secret_key(INSTANCE / "secret_key")
        except OSError as error:
            wrong["SECRET_KEY"] = (
                f"none can be kept in {INSTANCE} ({type(error).__name__}), so it must be given"
            )
    return defaults
