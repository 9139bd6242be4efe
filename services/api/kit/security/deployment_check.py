"""What of the settings is weak, or a default that somebody should think about before strangers come."""

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from kit.security.common_passwords import is_common
from kit.setting_types import RateLimit
from kit.settings import Settings

LOCAL_HOSTS = re.compile(
    r"|localhost|127\..*|::1|/.*|[^.:]+"
)  # a socket, this machine, a name of a container network
ENCRYPTED_SSL_MODES = ("require", "verify-ca", "verify-full")


class Finding(NamedTuple):
    setting: str
    advice: str
    is_weak: bool = True  # else a choice, for the owner to make or leave


def check(settings: Settings) -> Iterator[Finding]:
    """Find what is weak in settings that the app accepts. Tells no secret."""
    if settings.flask_env != "production":
        yield Finding("FLASK_ENV", f"is {settings.flask_env}. Set it to production, or leave it out.")
    if settings.log_level == "DEBUG":
        yield Finding("LOG_LEVEL", "is DEBUG, which floods the log. Set it to INFO.")
    if settings.password_min_length < 15:
        yield Finding(
            "PASSWORD_MIN_LENGTH",
            "is below 15, which NIST SP 800-63B-4 asks where nothing but a password protects an account.",
        )
    yield from _check_keys(settings)
    yield from _check_database(settings)
    yield from _check_limits(settings)
    yield from _check_network(settings)


def _check_keys(settings: Settings) -> Iterator[Finding]:
    keys = settings.signing_keys
    for number, key in enumerate(keys):
        if len(set(key)) < 12 or " " in key:
            name = "SECRET_KEY_FALLBACKS" if number else "SECRET_KEY"
            yield Finding(name, "does not look random. See .env.example for how to make a key and change it.")
    if len(set(keys)) < len(keys):
        yield Finding("SECRET_KEY_FALLBACKS", "has a key twice, or the current one. Take it out.")
    elif len(keys) > 1:
        yield Finding(
            "SECRET_KEY_FALLBACKS",
            "still accepts what older keys signed. Take each out once that has expired.",
            is_weak=False,
        )


def _check_database(settings: Settings) -> Iterator[Finding]:
    url = settings.database_url
    password = str(url.password or url.query.get("password", ""))
    host = str(url.host or url.query.get("host", ""))
    if url.drivername == "sqlite":
        yield Finding("DATABASE_URL", "is SQLite, a file of one machine. Name a PostgreSQL database.")
        return
    if password and (len(password) < 12 or password == url.username or is_common(password.casefold())):
        yield Finding("DATABASE_URL", "has a password that can be guessed. Give the role a long random one.")
    sslmode = url.query.get("sslmode", os.environ.get("PGSSLMODE"))  # which libpq reads
    if not LOCAL_HOSTS.fullmatch(host) and sslmode not in ENCRYPTED_SSL_MODES:
        yield Finding("DATABASE_URL", "may cross the network unencrypted. Add ?sslmode=require to it.")


def _check_limits(settings: Settings) -> Iterator[Finding]:
    for name, field in type(settings).model_fields.items():
        limit, default = getattr(settings, name), field.default
        if not isinstance(default, RateLimit):
            continue
        if limit is None:
            yield Finding(name.upper(), "is off: passwords can be guessed as fast as the API answers.")
        elif limit.attempts / limit.seconds > default.attempts / default.seconds:
            yield Finding(name.upper(), f"lets through more than {default.attempts} in {default.seconds} s.")
    if settings.rate_limit is None:
        yield Finding(
            "RATE_LIMIT",
            "is off, so one client may ask as often as it likes. Or let a proxy limit that.",
            False,
        )


def _check_network(settings: Settings) -> Iterator[Finding]:
    if not settings.allowed_hosts:
        yield Finding(
            "ALLOWED_HOSTS", "is not set, so the API answers under any name. Set those it has.", is_weak=False
        )
    if any(network.prefixlen < 8 for network in settings.trusted_proxies):
        yield Finding("TRUSTED_PROXIES", "trusts nearly everybody: any client can make up its address.")
    if not settings.trusted_proxies:
        yield Finding(
            "TRUSTED_PROXIES",
            "is not set. Behind a proxy all clients then count as one: name the proxy's network.",
            is_weak=False,
        )
    if settings.metrics_enabled:
        yield Finding(
            "METRICS_ENABLED",
            "lets anybody read /metrics. Let the proxy keep strangers from it.",
            is_weak=False,
        )
    if any(not re.match("https:|http://localhost", origin) for origin in settings.cors_origins):
        yield Finding("CORS_ORIGINS", "lets in pages that came unencrypted. List https origins alone.")
