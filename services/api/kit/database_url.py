"""Reads the URL of a PostgreSQL database as hosts hand it out, or explains what to change.

Any part of a wrong URL may be a part of the password, so no message quotes it. Messages only contain our own
words, and names that libpq or another driver defines.
"""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from urllib.parse import parse_qsl, unquote

import psycopg2
from psycopg2 import extensions
from sqlalchemy import URL

SCHEMES = ("postgres", "postgresql", "postgresql+psycopg2")
SHAPE = "postgresql://USER:PASSWORD@HOST/DATABASE"
WRAPPED = (
    (r"psql\s", "is a psql command. Keep only the URL in it"),
    (r"(export\s+)?[A-Z][A-Z0-9_]*=", "repeats the variable's name. Keep only what follows the ="),
    (r"['\"`]|.*['\"`]$", "is in quotes. Remove them"),
    (r"jdbc:", f"is a JDBC URL. Write {SHAPE}"),
    (r"\w[\w ]*=", f"is a list of keywords. Write {SHAPE}"),
)
DRIVERS = ("aiopg", "asyncpg", "pg8000", "psycopg", "psycopg2cffi", "psycopg_async", "pygresql")
HOST = re.compile(r"(?P<host>[\w.-]*|\[[0-9a-f:.]+\]|%2f[\w.%-]+)(:(?P<port>[0-9]{0,5}))?", re.ASCII | re.I)
PORTS = range(1, 65_536)
CHOICES = {
    "channel_binding": ("disable", "prefer", "require"),
    "gssencmode": ("disable", "prefer", "require"),
    "load_balance_hosts": ("disable", "random"),
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "target_session_attrs": ("any", "read-write", "read-only", "primary", "standby", "prefer-standby"),
}
NUMBERS = (
    "connect_timeout",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "tcp_user_timeout",
)
# Parameters of other drivers, by what to do instead.
FOREIGN = {
    "Set DATABASE_POOLER=transaction instead": ("pgbouncer",),
    "Set DATABASE_POOL_SIZE instead": ("connection_limit", "pool_size"),
    "Set DATABASE_TIMEOUT_MS instead": (
        "command_timeout",
        "pool_timeout",
        "socket_timeout",
        "statement_timeout",
    ),
    "Write sslmode=require instead": ("ssl", "sslaccept"),
    "Remove it: the role's search_path decides": ("schema", "currentSchema"),
    "Remove it": (
        "charset",
        "prepareThreshold",
        "prepared_statement_cache_size",
        "serverVersion",
        "statement_cache_size",
        "supa",
        "uselibpqcompat",
    ),
}


def read(text: str) -> URL:
    """Return the URL. Raises ValueError, whose message doesn't contain any part of it."""
    if "\0" in unquote(text):
        raise ValueError("contains the character NUL")
    for pattern, fault in WRAPPED:
        if re.match(pattern, text):
            raise ValueError(fault)
    scheme, separator, rest = text.partition("://")
    if scheme not in SCHEMES or not separator:
        raise ValueError(_fault_of_scheme(scheme))
    _refuse_unescaped(rest)
    head, _, query = rest.partition("?")
    credentials, _, location = head.rpartition("@")
    user, _, password = credentials.partition(":")
    network, _, database = location.partition("/")
    parameters = dict(_parameters(query))
    if "/" in database:
        raise ValueError("has a / after its database's name")
    if not database and "dbname" not in parameters:
        raise ValueError("names no database. Add /DATABASE after the host")
    hosts = [_host(each) for each in network.split(",")]
    host, port = hosts[0]
    if len(hosts) > 1:
        parameters["host"] = ",".join(name for name, _ in hosts)
        parameters["port"] = ",".join(str(number or 5432) for _, number in hosts)
        host, port = "", None
    elif host.startswith("/"):  # the folder of a Unix socket
        parameters["host"], host = host, ""
    return URL.create(
        "postgresql+psycopg2",
        _decode(user) or None,
        _decode(password) or None,
        host or None,
        port,
        _decode(database) or None,
        parameters,
    )


def _fault_of_scheme(scheme: str) -> str:
    family, _, driver = scheme.partition("+")
    if family not in SCHEMES or not driver:
        return f"must be {SHAPE} or sqlite:///FILE"
    return f"names a driver. Write postgresql:// instead of {family}+{driver if driver in DRIVERS else 'DRIVER'}://"


def _refuse_unescaped(rest: str) -> None:
    """Refuse characters that end a part of a URL, where the user name or the password goes on after them."""
    head, _, query = rest.partition("?")
    credentials, _, location = head.rpartition("@")
    names = [name for name, _ in parse_qsl(query, keep_blank_values=True)]
    if "@" in query and ("/" not in location or not all(map(_is_known, names))):
        credentials = rest.rpartition("@")[0]
    found = [character for character in "@/?" if character in credentials] + ["#"] * ("#" in rest)
    if found:
        written = ", ".join(f"%{ord(character):02X} instead of {character}" for character in found)
        raise ValueError(f"has an unescaped character in its user name or password. Write {written}")
    if re.search("%(?![0-9A-Fa-f]{2})", rest):
        raise ValueError("has an unescaped %. Write %25 instead of %")


def _host(text: str) -> tuple[str, int | None]:
    match = HOST.fullmatch(text)
    if match and (not match["port"] or int(match["port"]) in PORTS):
        return _decode(match["host"]).strip("[]"), int(match["port"]) if match["port"] else None
    if match or HOST.fullmatch(text.partition(":")[0]):
        raise ValueError("has a port that isn't a number from 1 to 65535, or no @HOST")
    raise ValueError("has a host that is neither a name nor an address (IPv6 addresses are in brackets)")


def _parameters(query: str) -> Iterator[tuple[str, str]]:
    """Check the names and values of the parameters. libpq would only refuse them at the first connection."""
    seen: set[str] = set()
    for name, value in parse_qsl(query, keep_blank_values=True):
        if advice := next((advice for advice, names in FOREIGN.items() if name in names), ""):
            raise ValueError(f"has the parameter {name} of another driver. {advice}")
        if not _is_known(name):
            similar = get_close_matches(name, [*CHOICES, *NUMBERS], 1)
            hint = f". Did you mean {similar[0]}?" if similar else ""
            raise ValueError(f"has a parameter that PostgreSQL's driver doesn't know{hint}")
        if name in seen:
            raise ValueError(f"has the parameter {name} twice")
        if name in CHOICES and value not in CHOICES[name]:
            hint = ". Write require instead of no-verify" if name == "sslmode" else ""
            raise ValueError(f"has a wrong {name}. It is one of {', '.join(CHOICES[name])}{hint}")
        number = {"port": "[0-9]+(,[0-9]+)*"} | dict.fromkeys(NUMBERS, "[0-9]{1,9}")
        if name in number and not re.fullmatch(number[name], value, re.ASCII):
            raise ValueError(f"has a {name} that isn't a whole number")
        seen.add(name)
        yield name, value


def _is_known(name: str) -> bool:
    try:
        extensions.make_dsn(**{name: "0"})
    except psycopg2.ProgrammingError:
        return False
    return True


def _decode(text: str) -> str:
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("has an unescaped %. Write %25 instead of %") from None
