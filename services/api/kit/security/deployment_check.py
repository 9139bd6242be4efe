"""Checks settings before a public deployment, like Django's `check --deploy`."""

import os
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from sqlalchemy import URL, text
from sqlalchemy.exc import SQLAlchemyError

from kit.data.database import db, reason_of
from kit.security.common_passwords import is_common
from kit.setting_types import RateLimit
from kit.settings import Settings
from kit.smtp_url import SmtpServer

# A Unix socket, this machine, or a name in a container network.
LOCAL_HOSTS = re.compile(r"|localhost|127\..*|::1|/.*|[^.:]+")
ENCRYPTED_SSL_MODES = ("require", "verify-ca", "verify-full")
# What the API's database role shouldn't be able to do, as conditions on it and the roles that it can assume.
POWERS = {
    "is a superuser": "rolsuper",
    "may create roles": "rolcreaterole",
    "may copy the whole server": "rolreplication",
    "bypasses row security": "rolbypassrls",
    "may run programs on the server": "rolname = 'pg_execute_server_program'",
    "may read files of the server": "rolname = 'pg_read_server_files'",
    "may write files of the server": "rolname = 'pg_write_server_files'",
}
OWNS_TABLES = "oid = (SELECT relowner FROM pg_class WHERE oid = to_regclass('alembic_version'))"
# Neon, Supabase, Amazon RDS Proxy, Fly.io and PgBouncer's usual name.
POOLER_HOSTS = re.compile(
    r".*-pooler\..*|.*\.pooler\.supabase\.com|.*\.proxy-.*\.rds\.amazonaws\.com|pgbouncer.*"
)
POOLER_PORTS = (5431, 6432, 6543, 25061)  # Crunchy Bridge, PgBouncer (Azure too), Supabase, DigitalOcean


class Finding(NamedTuple):
    setting: str
    advice: str
    is_weak: bool = True  # otherwise a note, for the operator to decide


class Rule(NamedTuple):
    setting: str
    applies: Callable[[Settings], bool]
    advice: str
    is_weak: bool = True


def check(settings: Settings) -> Iterator[Finding]:
    """Yield weak settings. Findings contain no secrets."""
    for rule in RULES:
        if rule.applies(settings):
            yield Finding(rule.setting, rule.advice, rule.is_weak)
    for name, field in type(settings).model_fields.items():
        value, extra = getattr(settings, name), field.json_schema_extra
        if isinstance(field.default, RateLimit):
            yield from _check_limit(name.upper(), value, field.default)
        if isinstance(extra, dict) and value < extra.get("weak_below", value):
            yield Finding(name.upper(), f"is below {extra['weak_below']}, the recommended minimum.")


def check_database_role() -> Iterator[Finding]:
    """Yield what the role of DATABASE_URL can do, but shouldn't. Asks the database."""
    # part: sqlite
    if db.engine.dialect.name == "sqlite":
        return
    # end of part
    columns = ", ".join(f"bool_or({condition})" for condition in (*POWERS.values(), OWNS_TABLES))
    try:
        with db.engine.connect() as connection:
            query = text(f"SELECT {columns} FROM pg_roles WHERE pg_has_role(oid, 'MEMBER')")  # noqa: S608 # nosec
            *has, owns_tables = connection.execute(query).one()
    except SQLAlchemyError as error:
        advice = f"has a role that couldn't be checked, because of the database: {reason_of(error)}."
        yield Finding("DATABASE_URL", advice, is_weak=False)
        return
    powers = [power for power, is_given in zip(POWERS, has, strict=True) if is_given]
    if powers:
        can = powers[0] if has[0] else ", ".join(powers)  # a superuser has all the others
        yield Finding("DATABASE_URL", f"has a role that {can}. See docs/3-run/database-roles.md.")
    elif owns_tables:
        advice = "has the role that owns the tables. See docs/3-run/database-roles.md for a second one."
        yield Finding("DATABASE_URL", advice, is_weak=False)


def _check_limit(setting: str, limit: RateLimit | None, default: RateLimit) -> Iterator[Finding]:
    if limit is None:
        yield Finding(setting, "is off, so a client can try as often as the API answers.")
    elif limit.attempts / limit.seconds > default.attempts / default.seconds:
        yield Finding(setting, f"allows more than {default.attempts} attempts in {default.seconds} s.")


def _looks_random(key: str) -> bool:
    return len(set(key)) >= 12 and " " not in key


def _has_weak_password(settings: Settings) -> bool:
    url = settings.database_url
    password = str(url.password or url.query.get("password", ""))
    is_short = len(password) < 12 or password == url.username
    return bool(password) and (is_short or is_common(password.casefold()))


def _is_unencrypted(settings: Settings) -> bool:
    url = settings.database_url
    ssl_mode = url.query.get("sslmode", os.environ.get("PGSSLMODE"))  # libpq reads both
    return bool(remote_hosts(url)) and ssl_mode not in ENCRYPTED_SSL_MODES


def remote_hosts(url: URL) -> list[str]:
    """Return the servers of a PostgreSQL URL that aren't local. Parameters can name them too, and several."""
    named = [url.host or "", *url.normalized_query.get("host", ()), *url.normalized_query.get("hostaddr", ())]
    hosts = [host for each in named for host in each.split(",")]
    return [host for host in hosts if not LOCAL_HOSTS.fullmatch(host)]


def _is_pooled(settings: Settings) -> bool:
    url = settings.database_url
    return bool(POOLER_HOSTS.fullmatch(url.host or "")) or url.port in POOLER_PORTS


def _sends_unencrypted(settings: Settings) -> bool:
    server = settings.smtp_url
    if not isinstance(server, SmtpServer) or server.security != "plain":
        return False
    return not LOCAL_HOSTS.fullmatch(server.host)


# part: sqlite
def _is_sqlite(settings: Settings) -> bool:
    return settings.database_url.drivername == "sqlite"


# end of part
RULES = (
    Rule("FLASK_ENV", lambda s: s.flask_env != "production", "isn't production. Set it, or leave it out."),
    Rule("LOG_LEVEL", lambda s: s.log_level == "DEBUG", "is DEBUG, which floods the log. Set it to INFO."),
    Rule(
        "SECRET_KEY",
        lambda s: not _looks_random(s.signing_keys[0]),
        "doesn't look random. See .env.example for how to create and rotate a key.",
    ),
    Rule(
        "SECRET_KEY_FALLBACKS",
        lambda s: not all(map(_looks_random, s.signing_keys[1:])),
        "has a key that doesn't look random. See .env.example for how to create and rotate a key.",
    ),
    Rule(
        "SECRET_KEY_FALLBACKS",
        lambda s: len(set(s.signing_keys)) < len(s.signing_keys),
        "contains a key twice, or the current one. Remove it.",
    ),
    Rule(
        "SECRET_KEY_FALLBACKS",
        lambda s: 1 < len(s.signing_keys) == len(set(s.signing_keys)),
        "still accepts tokens of older keys. Remove each key once its tokens have expired.",
        is_weak=False,
    ),
    Rule("DATABASE_URL", _is_sqlite, "is SQLite, a file on one machine. Use PostgreSQL."),  # part: sqlite
    Rule(
        "DATABASE_URL", _has_weak_password, "has a weak password. Give the database role a long random one."
    ),
    Rule("DATABASE_URL", _is_unencrypted, "may cross the network unencrypted. Add ?sslmode=require to it."),
    Rule(
        "DATABASE_POOLER",
        lambda s: s.database_pooler == "none" and _is_pooled(s),
        "is none, but DATABASE_URL has the address of a pooler. Set it to transaction.",
    ),
    Rule(
        "RATE_LIMIT",
        lambda s: s.rate_limit is None,
        "is off, so a client can send any number of requests. A proxy can also limit them.",
        is_weak=False,
    ),
    Rule(
        "ALLOWED_HOSTS",
        lambda s: not s.allowed_hosts,
        "isn't set, so the API answers under any name. List its names.",
        is_weak=False,
    ),
    Rule(
        "TRUSTED_PROXIES",
        lambda s: any(network.prefixlen < 8 for network in s.trusted_proxies),
        "trusts nearly every address, so any client can forge its own.",
    ),
    Rule(
        "TRUSTED_PROXIES",
        lambda s: not s.trusted_proxies,
        "isn't set. Behind a proxy, all clients count as one: set the proxy's network.",
        is_weak=False,
    ),
    Rule(
        "METRICS_ENABLED",
        lambda s: s.metrics_enabled,
        "makes /metrics public. Block it in the proxy.",
        is_weak=False,
    ),
    Rule(
        "SMTP_URL",
        _sends_unencrypted,
        "sends mail unencrypted, and so the links for new passwords. Remove tls=off from it.",
    ),
    Rule(
        "SMTP_URL",
        lambda s: not s.has_mail and bool(s.mail_from),
        "isn't set, so the API sends no mail. MAIL_FROM has no effect without it.",
        is_weak=False,
    ),
    Rule(
        "APP_URL",
        lambda s: s.has_mail and str(s.app_url).startswith("http://"),
        "doesn't begin with https, so links in messages are only for this machine.",
    ),
    Rule(
        "CORS_ORIGINS",
        lambda s: any(re.match("http://(?!localhost)", origin) for origin in s.cors_origins),
        "allows unencrypted pages. List only https origins.",
    ),
)
