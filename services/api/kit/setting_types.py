"""Types of settings. Each converts the text of an environment variable, or explains the error."""

import re
from importlib import import_module
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_interface, ip_network
from typing import Annotated, NamedTuple
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo
from sqlalchemy import URL, make_url

from kit import database_url, host_names, smtp_url, storage_url
from kit.host_names import HOST
from kit.published_keys import is_published

MAX_PORT = 65_535
MAX_ATTEMPTS = 1000  # per limit: each attempt is stored
# Placeholders for secrets in examples and templates.
PLACEHOLDER_PASSWORD = re.compile(
    r"change[-_ ]?(me|this|it)[-_ .!]*|[\[<{][\w -]*password[\w -]*[\]>}]|[*•]+", re.IGNORECASE
)
PLACEHOLDER = re.compile(
    r"((change|replace|me|this|it|your|my|the|very|super|secret|key|jwt|flask|api|app|django|in|for|to|with|and|"
    r"production|development|dev|please|default|insecure|example|placeholder|password|string|long|random|"
    r"at|least|bytes?|characters?|chars?)[\W\d_]*)+",
    re.IGNORECASE,
)
# Packaged apps and browser extensions have other schemes, and hosts such as `-` or an id.
APP_ORIGIN = re.compile(r"(?!https?:)[a-z][a-z0-9+.-]*://[a-z0-9._-]+(:[1-9][0-9]{0,4})?")
DEFAULT_PORTS = {"http": 80, "https": 443}
URL_PATH = re.compile(r"(/[\w.~!$&'()*+,;=:@%-]+)*", re.ASCII)
NAMED_ADDRESS = re.compile(r"(?P<name>.*?)\s*<(?P<address>[^<>]+)>|(?P<bare>[^<>]+)")


class RateLimit(NamedTuple):
    """At most `attempts` in `seconds`."""

    attempts: int
    seconds: int


class Sender(NamedTuple):
    """Who messages are from: `name <username@domain>`."""

    name: str
    username: str
    domain: str  # in ASCII


def _database_url(value: object, info: ValidationInfo) -> URL:
    text = value.render_as_string(hide_password=False) if isinstance(value, URL) else str(value)
    # part: sqlite
    if text.startswith("sqlite:"):
        # After two slashes, make_url would read a host.
        url = make_url(text) if text.startswith("sqlite:///") else URL.create("sqlite")
        if url.database in (None, "", ":memory:") or url.query:
            raise ValueError("must be sqlite:///FILE")
        return url
    # end of part
    url = database_url.read(text)
    if info.data.get("flask_env") == "production" and PLACEHOLDER_PASSWORD.fullmatch(url.password or ""):
        raise ValueError("still has a placeholder as its password")
    return url


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
    if is_published(text):
        raise ValueError("was published as an example: generate one as in .env.example")
    if len(set(text)) < 10 or PLACEHOLDER.fullmatch(text):
        raise ValueError("is a placeholder or too repetitive: generate one as in .env.example")
    return key


def _origin(text: str) -> str:
    """Accept an origin exactly as browsers send it: otherwise it would never match."""
    if "*" in text or text == "null":  # `null` is sent by sandboxed frames and local files of anyone
        raise ValueError("must list each origin: `*` and `null` would open the API to every page")
    try:
        right = _as_browsers_send(text)
    except ValueError:
        raise ValueError("must be origins such as https://app.example.com, separated by commas") from None
    if text != right:
        raise ValueError(f"must be written as browsers send it: {right}")
    return text


def _as_browsers_send(text: str) -> str:
    """Return the origin of a URL (RFC 6454). Raises ValueError if it has none."""
    if APP_ORIGIN.fullmatch(text):
        return text
    url = urlsplit(text.lower() if "://" in text else f"https://{text.lower()}")
    if "@" in url.netloc or not url.hostname:
        raise ValueError
    port = f":{url.port}" if url.port and url.port != DEFAULT_PORTS.get(url.scheme) else ""
    origin = f"{url.scheme}://{host_names.canonical(url.hostname)}{port}"
    if url.scheme not in DEFAULT_PORTS and not APP_ORIGIN.fullmatch(origin):
        raise ValueError
    return origin


def _host_name(text: str) -> str:
    name = text.lower().removesuffix(".")
    match = HOST.fullmatch(name)
    if not match or (match["ipv6"] and not is_ipv6(match["ipv6"])):
        raise ValueError("must be host names such as api.example.com, without ports, separated by commas")
    return name


def _network(value: object) -> IPv4Network | IPv6Network:
    text = str(value)
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        network = None
    address = network.network_address if network else None
    if not network or (isinstance(address, IPv6Address) and (address.scope_id or address.ipv4_mapped)):
        raise ValueError("must be networks such as 10.0.0.0/8 or fd00::/8, separated by commas")
    if "/" in text and ip_interface(text).ip != address:
        raise ValueError(f"has bits of a host in a network. Write {network}")
    return network


def is_ipv6(text: str) -> bool:
    """Return whether this is an IPv6 address without a scope, which only has a meaning on one machine."""
    try:
        return IPv6Address(text).scope_id is None
    except ValueError:
        return False


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",")) if value else ()


def _words(value: object) -> object:
    """Parse words that are compared regardless of case, or `off`."""
    return () if value == "off" else _split(value.lower() if isinstance(value, str) else value)


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


def _smtp_url(value: object, info: ValidationInfo) -> object:
    if not isinstance(value, str):
        return value
    found = smtp_url.read(value)
    if info.data.get("flask_env") == "production":
        if isinstance(found, smtp_url.MailFolder):
            raise ValueError("is a folder, for development. Production needs smtp:// or smtps://")
        if found.password and PLACEHOLDER_PASSWORD.fullmatch(found.password.get_secret_value()):
            raise ValueError("still has a placeholder as its password")
    return found


def _required_with_mail(value: object, info: ValidationInfo) -> object:
    if value is None and info.data.get("smtp_url") is not None:
        raise ValueError("is required with SMTP_URL")
    return value


def _sender(value: object, info: ValidationInfo) -> object:
    """Parse `Name <address>`, or an address."""
    if not isinstance(value, str):
        return value
    match = NAMED_ADDRESS.fullmatch(value)
    name = (match["name"] or "").strip('"') if match else ""
    if not match or not name.isprintable() or "@" in name:
        raise ValueError("must be one address, or one name and address: Name <address@example.com>")
    # Loaded only where it's needed, because it takes a while to load.
    validator, in_production = import_module("email_validator"), info.data.get("flask_env") == "production"
    try:
        address = validator.validate_email(
            match["address"] or match["bare"], check_deliverability=False, test_environment=not in_production
        )
    except validator.EmailNotValidError as error:
        raise ValueError(f"has an invalid address. {str(error).removesuffix('.')}") from None
    return Sender(name, address.local_part, address.ascii_domain)


def _app_url(value: object, info: ValidationInfo) -> object:
    """Parse the URL that links begin with, and return it without a slash at its end."""
    if not isinstance(value, str):
        return value
    if not re.match("https?://", value, re.IGNORECASE):
        raise ValueError("must begin with https://, such as https://app.example.com")
    if "?" in value or "#" in value:
        raise ValueError("must have no query and no fragment. Remove the part from the ? or #")
    try:
        origin, path = _as_browsers_send(value), urlsplit(value).path.rstrip("/")
    except ValueError:
        raise ValueError("must be a URL such as https://app.example.com, without a user name") from None
    if not URL_PATH.fullmatch(path) or re.search(r"\s", value):
        raise ValueError("has a path with empty parts, or with characters that must be percent-encoded")
    is_local = host_names.is_this_machine(str(urlsplit(origin).hostname))
    if info.data.get("flask_env") == "production" and origin.startswith("http:") and not is_local:
        raise ValueError("must begin with https:// in production, because links contain tokens")
    return origin + path


def _storage_url(value: object) -> object:
    return storage_url.read(value) if isinstance(value, str) else value


DatabaseUrl = Annotated[URL, BeforeValidator(_database_url)]
SigningKey = Annotated[SecretStr, AfterValidator(_hard_to_guess)]
SigningKeys = Annotated[tuple[SigningKey, ...], BeforeValidator(_split)]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}$")]
HeaderNames = Annotated[tuple[HeaderName, ...], BeforeValidator(_split)]
HostName = Annotated[str, AfterValidator(_host_name)]
HostNames = Annotated[tuple[HostName, ...], BeforeValidator(_split)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
Networks = Annotated[tuple[Network, ...], BeforeValidator(_split)]
OptionalRateLimit = Annotated[RateLimit | None, BeforeValidator(_limit)]
Origin = Annotated[str, AfterValidator(_origin)]
Origins = Annotated[tuple[Origin, ...], BeforeValidator(_split)]
OptionalSmtpUrl = Annotated[smtp_url.SmtpServer | smtp_url.MailFolder | None, BeforeValidator(_smtp_url)]
OptionalSender = Annotated[Sender | None, BeforeValidator(_sender), BeforeValidator(_required_with_mail)]
OptionalAppUrl = Annotated[str | None, BeforeValidator(_app_url), BeforeValidator(_required_with_mail)]
Words = Annotated[tuple[str, ...], BeforeValidator(_words)]
WholeNumber = Annotated[int, BeforeValidator(_whole)]
Boolean = Annotated[bool, BeforeValidator(_true_or_false)]
Name = Annotated[str, Field(max_length=255)]
StorageUrl = Annotated[storage_url.StorageFolder | storage_url.S3Bucket, BeforeValidator(_storage_url)]
