"""Reads SMTP_URL, or explains what to change.

Any part of a wrong URL may be a part of the password, so no message quotes it.
"""

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from pydantic import SecretStr

from kit import host_names

SHAPE = "smtp://USER:PASSWORD@HOST, smtps://USER:PASSWORD@HOST or file:FOLDER"
PORTS = {"starttls": 587, "tls": 465, "plain": 25}
# A server closes a connection that begins with the wrong one of the two, or never answers it.
TLS_PORT, STARTTLS_PORTS = 465, (25, 587)
NETWORK = re.compile(r"(?P<host>[^:/\[\]]*|\[[^\[\]/]*\])(:(?P<port>[^/:]*))?/?")


@dataclass(frozen=True)
class SmtpServer:
    """A mail server, and how to connect to it."""

    host: str  # without brackets
    port: int
    security: Literal["starttls", "tls", "plain"]
    username: SecretStr | None = None  # some services use a token as both
    password: SecretStr | None = None


@dataclass(frozen=True)
class MailFolder:
    """A folder to write messages to, instead of sending them. Relative paths begin in instance/."""

    path: str


def read(text: str) -> SmtpServer | MailFolder:
    """Return where the mail goes. Raises ValueError, whose message doesn't contain any part of the URL."""
    if re.match(r"(export\s+)?SMTP_URL\s*=", text):
        raise ValueError("repeats the variable's name. Keep only what follows the =")
    scheme, _, rest = text.partition(":")
    if scheme.lower() == "file":
        return _folder(rest)
    if scheme.lower() not in ("smtp", "smtps") or not rest.startswith("//"):
        raise ValueError(f"must be {SHAPE}")
    return _server(scheme.lower(), rest[2:])


def _folder(path: str) -> MailFolder:
    if path.startswith("///"):
        path = path[2:]
    if not path or path.startswith("//") or not path.isprintable():
        raise ValueError("must be file:FOLDER, or file:/FOLDER for an absolute path")
    return MailFolder(path)


def _server(scheme: str, rest: str) -> SmtpServer:
    credentials, at, location = rest.rpartition("@")
    _refuse_unescaped(credentials, location)
    network, _, query = location.partition("?")
    security = _security(scheme, query)
    host, port = _host_and_port(network)
    port = port or PORTS[security]
    if security != "tls" and port == TLS_PORT:
        raise ValueError(
            f"has the port {port}, where TLS starts immediately. Write smtps:// instead of smtp://"
        )
    if security == "tls" and port in STARTTLS_PORTS:
        raise ValueError(f"has the port {port}, where STARTTLS is used. Write smtp:// instead of smtps://")
    if not at:
        return SmtpServer(host, port, security)
    if security == "plain" and not host_names.is_this_machine(host):
        raise ValueError("would send the password without TLS to another machine. Remove tls=off")
    user, _, password = credentials.partition(":")
    return SmtpServer(host, port, security, _credential(user), _credential(password))


def _refuse_unescaped(credentials: str, location: str) -> None:
    found = [each for each in "@/?" if each in credentials] + ["#"] * ("#" in credentials + location)
    if found:
        written = ", ".join(f"%{ord(each):02X} instead of {each}" for each in found)
        raise ValueError(f"has an unescaped character in its user name or password. Write {written}")
    if re.search("%(?![0-9A-Fa-f]{2})", credentials):
        raise ValueError("has an unescaped %. Write %25 instead of %")


def _security(scheme: str, query: str) -> Literal["starttls", "tls", "plain"]:
    if query not in ("", "tls=off"):
        raise ValueError("has a parameter after the ?. Only tls=off is known")
    if scheme == "smtps" and query:
        raise ValueError("has both smtps:// and tls=off. Remove one of them")
    if scheme == "smtps":
        return "tls"
    return "plain" if query else "starttls"


def _host_and_port(network: str) -> tuple[str, int | None]:
    match = NETWORK.fullmatch(network)
    if not match:
        raise ValueError(
            "has something other than HOST or HOST:PORT at its end (IPv6 addresses are in brackets)"
        )
    port = match["port"]
    if port is not None and not (re.fullmatch("[0-9]{1,5}", port, re.ASCII) and 1 <= int(port) <= 65_535):
        raise ValueError("has a port that isn't a number from 1 to 65535, or no @HOST")
    try:
        host = host_names.canonical(match["host"].strip("[]")).strip("[]")
    except ValueError:
        raise ValueError(
            "has a host that is neither a name nor an address (IPv6 addresses are in brackets)"
        ) from None
    return host, int(port) if port else None


def _credential(text: str) -> SecretStr:
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("has an unescaped %. Write %25 instead of %") from None
    if not decoded:
        raise ValueError("needs both a user name and a password before the @")
    if not (decoded.isascii() and decoded.isprintable()):
        raise ValueError("has a user name or a password with characters outside of printable ASCII")
    return SecretStr(decoded)
