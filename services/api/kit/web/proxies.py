"""Trusted proxies: the client's address and scheme, taken from the headers of proxies that we trust."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask

from kit.settings import Settings


def init_app(app: Flask, settings: Settings) -> None:
    app.wsgi_app = TrustedProxyMiddleware(app.wsgi_app, settings.trusted_proxies)  # type: ignore[method-assign]


class TrustedProxyMiddleware:
    """Replaces the peer's address and scheme with the client's if the peer is a trusted proxy.

    Reads X-Forwarded-For from the right, where the nearest proxy has written. The first address that isn't a
    trusted proxy's is the client's. Clients can make up everything to its left.
    """

    def __init__(self, app: WSGIApplication, trusted: tuple[IPv4Network | IPv6Network, ...]) -> None:
        self.app = app
        self.trusted = trusted
        self._known_peers = lru_cache(maxsize=1024)(self._read)  # peers come back

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        peer, is_trusted = self._known_peers(environ.get("REMOTE_ADDR", ""))
        if peer:
            environ["REMOTE_ADDR"] = peer
            if is_trusted:
                environ["REMOTE_ADDR"] = self._client(peer, environ.get("HTTP_X_FORWARDED_FOR", ""))
                scheme = environ.get("HTTP_X_FORWARDED_PROTO", "").rpartition(",")[2].strip()
                if scheme in ("http", "https"):
                    environ["wsgi.url_scheme"] = scheme
        return self.app(environ, start_response)

    def _read(self, peer: str) -> tuple[str, bool]:
        """Return the peer's normalized address, and whether it is trusted."""
        address = parse(peer.partition("%")[0])  # without the scope (RFC 4007)
        return (str(address), self._trusts(address)) if address else ("", False)

    def _client(self, peer: str, forwarded_for: str) -> str:
        client = peer
        for hop in reversed(forwarded_for.split(",")):
            address = parse(hop.strip())
            if not address:  # not an address, so no proxy wrote it
                return client
            client = str(address)
            if not self._trusts(address):
                return client
        return client

    def _trusts(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self.trusted)


def parse(text: str) -> IPv4Address | IPv6Address | None:
    """Parse an address. An IPv4-mapped IPv6 address becomes IPv4."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if "%" in text:  # a scope can be any text and only has a meaning on one machine
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(maxsize=1024)
def network_of(text: str | None) -> str:
    """Return what identifies a client: its IPv4 address, or the /64 network of an IPv6 subscriber."""
    address = parse(text or "")
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address) >> 64 << 64, 64)))
    return str(address or "unknown")
