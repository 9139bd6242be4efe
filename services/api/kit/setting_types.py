"""Types of settings. Each converts the text of an environment variable, or explains the error."""

import re
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from typing import Annotated, NamedTuple

import psycopg2
from psycopg2 import extensions
from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

MAX_PORT = 65_535
MAX_ATTEMPTS = 1000  # per limit: each attempt is stored
POSTGRESQL = ("postgres", "postgresql", "postgresql+psycopg2")
# Placeholders for secrets in examples and templates.
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


class RateLimit(NamedTuple):
    """At most `attempts` in `seconds`."""

    attempts: int
    seconds: int


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
    """Return whether libpq knows every parameter in the query string."""
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
        raise ValueError("is a placeholder or too repetitive: generate one as in .env.example")
    return key


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


def _origin(text: str) -> str:
    """Accept an origin as browsers send it. `*` would open the API to every page."""
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
    """Parse `5/10m` (five in ten minutes) or `off`."""
    if not isinstance(value, str) or value == "off":
        return None if value == "off" else value
    match = re.fullmatch("([0-9]{1,4})/([0-9]{1,4})([smh])", value, re.ASCII)
    if match:
        limit = RateLimit(int(match[1]), int(match[2]) * {"s": 1, "m": 60, "h": 3600}[match[3]])
        if 1 <= limit.attempts <= MAX_ATTEMPTS and 1 <= limit.seconds <= 3600:
            return limit
    raise ValueError("must be off, or a number and a time such as 5/10m: 1 to 1000 in 1s to 1h")


DatabaseUrl = Annotated[URL, BeforeValidator(_database_url)]
SigningKey = Annotated[SecretStr, AfterValidator(_hard_to_guess)]
SigningKeys = Annotated[tuple[SigningKey, ...], BeforeValidator(_split)]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}$")]
HeaderNames = Annotated[tuple[HeaderName, ...], BeforeValidator(_split)]
HostName = Annotated[str, AfterValidator(_host_name)]
HostNames = Annotated[tuple[HostName, ...], BeforeValidator(_split)]
Network = Annotated[IPv4Network | IPv6Network, AfterValidator(_network)]
Networks = Annotated[tuple[Network, ...], BeforeValidator(_split)]
OptionalRateLimit = Annotated[RateLimit | None, BeforeValidator(_limit)]
Origin = Annotated[str, AfterValidator(_origin)]
Origins = Annotated[tuple[Origin, ...], BeforeValidator(_split)]
WholeNumber = Annotated[int, BeforeValidator(_whole)]
Boolean = Annotated[bool, BeforeValidator(_true_or_false)]
Name = Annotated[str, Field(max_length=255), AfterValidator(_not_blank)]
