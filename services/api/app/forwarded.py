"""Behind a proxy: who really asks, and by which scheme, as the proxies that we trust tell it."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from flask import Flask

from app.config import Settings


def init_app(app: Flask, settings: Settings) -> None:
    app.wsgi_app = Forwarded(app.wsgi_app, settings.trusted_proxies)  # type: ignore[method-assign]


class Forwarded:
    """Writes the client's address and scheme where WSGI has the peer's, if a trusted proxy is the peer.

    X-Forwarded-For is read from its right end, which the nearest proxy wrote: the first address that is no
    trusted proxy's is the client's. What stands left of it, the client may have made up.
    """

    def __init__(self, app: Any, trusted: tuple[IPv4Network | IPv6Network, ...]) -> None:
        self.app = app
        self.trusted = trusted
        self.known = lru_cache(maxsize=1024)(self._read)  # who asks, mostly asks again

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        peer, is_trusted = self.known(environ.get("REMOTE_ADDR", ""))
        if peer:
            environ["REMOTE_ADDR"] = peer
            if is_trusted:
                environ["REMOTE_ADDR"] = self._client(peer, environ.get("HTTP_X_FORWARDED_FOR", ""))
                scheme = environ.get("HTTP_X_FORWARDED_PROTO", "").rpartition(",")[2].strip()
                if scheme in ("http", "https"):
                    environ["wsgi.url_scheme"] = scheme
        return self.app(environ, start_response)

    def _read(self, peer: str) -> tuple[str, bool]:
        """Return a peer's address in its plain form, and whether we trust it."""
        address = parse(peer.partition("%")[0])  # without its scope on this machine
        return (str(address), self._trusts(address)) if address else ("", False)

    def _client(self, peer: str, forwarded_for: str) -> str:
        client = peer
        for hop in reversed(forwarded_for.split(",")):
            address = parse(hop.strip())
            if not address:  # nobody a proxy would name: believe what is known so far
                return client
            client = str(address)
            if not self._trusts(address):
                return client
        return client

    def _trusts(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self.trusted)


def parse(text: str) -> IPv4Address | IPv6Address | None:
    """Read an address; an IPv4 address that came through an IPv6 socket is IPv4."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if "%" in text:  # a scope may be any text, and means nothing on another machine
        return None
    return getattr(address, "ipv4_mapped", None) or address


def network_of(text: str | None) -> str:
    """Return what one client has for certain: its IPv4 address, or the /64 that an IPv6 subscriber gets."""
    address = parse(text or "")
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address) >> 64 << 64, 64)))
    return str(address or "unknown")
