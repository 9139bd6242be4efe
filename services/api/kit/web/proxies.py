"""Trusted proxies: the client's address and scheme, taken from the headers of proxies that we trust.

Reads X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Prefix. `Forwarded` (RFC 7239) isn't supported.
"""

import logging
import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask

from kit.settings import Settings

logger = logging.getLogger("app.server")
# An entry with a port, brackets or quotes: `203.0.113.9:51234`, `[2001:db8::1]:443`, `"[2001:db8::1]"`.
DRESSED = re.compile(r'"?(?:([0-9.]+)|\[([0-9A-Fa-f:.]+)(?:%[\w.-]+)?\])(?::[0-9]{1,5})?"?', re.ASCII)
MAX_PREFIX = 128
PREFIX = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~-]+)+")


def init_app(app: Flask, settings: Settings) -> None:
    reads_prefix = settings.forwarded_prefix == "on"
    app.wsgi_app = TrustedProxyMiddleware(app.wsgi_app, settings.trusted_proxies, reads_prefix=reads_prefix)  # type: ignore[method-assign]


class TrustedProxyMiddleware:
    """Replaces the peer's address and scheme with the client's if the peer is a trusted proxy.

    Reads X-Forwarded-For from the right, where the nearest proxy has written. The first address that isn't a
    trusted proxy's is the client's. Clients can make up everything to its left. An entry that isn't an
    address ends the search: the client counts as the proxy that wrote it.
    """

    def __init__(
        self,
        app: WSGIApplication,
        trusted: tuple[IPv4Network | IPv6Network, ...],
        *,
        reads_prefix: bool = False,
    ) -> None:
        self.app = app
        self.trusted = trusted
        self.reads_prefix = reads_prefix
        self._known_peers = lru_cache(maxsize=1024)(self._read)  # peers come back
        self._reported: set[str] = set()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        peer, is_trusted = self._known_peers(environ.get("REMOTE_ADDR", ""))
        if peer:
            environ["REMOTE_ADDR"] = peer
            if is_trusted:
                self._apply(environ, peer)
        return self.app(environ, start_response)

    def _apply(self, environ: WSGIEnvironment, peer: str) -> None:
        """Replace what the headers of a trusted proxy replace."""
        environ["REMOTE_ADDR"], proxies = self._client(peer, environ.get("HTTP_X_FORWARDED_FOR", ""))
        # Proxies may append: take the scheme from the proxy that has seen the client.
        schemes = environ.get("HTTP_X_FORWARDED_PROTO", "").split(",")
        scheme = schemes[max(-1 - proxies, -len(schemes))].strip().lower()
        if scheme in ("http", "https"):
            environ["wsgi.url_scheme"] = scheme
        prefix = environ.get("HTTP_X_FORWARDED_PREFIX") if self.reads_prefix else None
        if prefix and len(prefix) <= MAX_PREFIX and PREFIX.fullmatch(prefix):
            environ["SCRIPT_NAME"] = prefix
        elif prefix:
            self._report_once("X-Forwarded-Prefix", prefix, "The prefix is ignored. It must be like /api/v1")

    def _read(self, peer: str) -> tuple[str, bool]:
        """Return the peer's normalized address, and whether it is trusted."""
        address = parse(peer.partition("%")[0])  # without the scope (RFC 4007)
        return (str(address), self._trusts(address)) if address else ("", False)

    def _client(self, peer: str, forwarded_for: str) -> tuple[str, int]:
        """Return the client's address, and the number of trusted proxies between it and the peer."""
        client = peer
        # Empty entries don't count (RFC 9110, section 5.6.1).
        hops = [hop for each in forwarded_for.split(",") if (hop := each.strip())]
        for proxies, hop in enumerate(reversed(hops)):
            address = _parse_hop(hop)
            if not address:
                self._report_once(
                    "X-Forwarded-For", hop, "Clients without an address share the proxy's limits"
                )
                return client, proxies
            client = str(address)
            if not self._trusts(address):
                return client, proxies
        return client, max(len(hops) - 1, 0)

    def _report_once(self, header: str, text: str, consequence: str) -> None:
        if header not in self._reported:
            self._reported.add(header)
            logger.warning("can't read %.60a in %s of a trusted proxy. %s.", text[:50], header, consequence)

    def _trusts(self, address: IPv4Address | IPv6Address) -> bool:
        return any(address in network for network in self.trusted)


def _parse_hop(text: str) -> IPv4Address | IPv6Address | None:
    dressed = DRESSED.fullmatch(text)
    return parse(dressed[1] or dressed[2] if dressed else text.partition("%")[0])


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
