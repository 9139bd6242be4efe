"""The client's address and scheme behind proxies."""

from io import StringIO
from ipaddress import ip_network
from typing import Any

import pytest

from kit.web.proxies import TrustedProxyMiddleware, network_of

TRUSTED = tuple(ip_network(each) for each in ("10.0.0.0/8", "192.0.2.1/32", "fd00::/8"))


def seen(peer: str, trusted: Any = TRUSTED, **headers: str) -> tuple[str, str]:
    """Return the address and scheme that the app sees."""
    environ = {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http"}
    environ |= {f"HTTP_X_FORWARDED_{name.upper()}": value for name, value in headers.items()}
    TrustedProxyMiddleware(lambda *_: [], trusted)(environ, lambda *_: print)
    return environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("198.51.100.1", "203.0.113.1", "198.51.100.1"),
        ("10.0.0.1", "203.0.113.1", "203.0.113.1"),
        ("10.0.0.1", "198.51.100.66, 203.0.113.1", "203.0.113.1"),
        ("10.0.0.1", "203.0.113.1, 192.0.2.1,10.1.2.3", "203.0.113.1"),
        ("10.0.0.1", "10.9.9.9, 203.0.113.1", "203.0.113.1"),
        ("10.0.0.1", "10.9.9.9", "10.9.9.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "garbage", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.1, garbage", "10.0.0.1"),
        ("10.0.0.1", "garbage, 203.0.113.1", "203.0.113.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.1, _hidden", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.9:51234", "203.0.113.9"),
        ("10.0.0.1", "6.6.6.6, 203.0.113.9:51234, 10.1.2.3:80", "203.0.113.9"),
        ("10.0.0.1", "[2001:db8::1]:443", "2001:db8::1"),
        ("10.0.0.1", "[2001:DB8::1]", "2001:db8::1"),
        ("10.0.0.1", '"[2001:db8::1]:443"', "2001:db8::1"),
        ("10.0.0.1", '"203.0.113.9"', "203.0.113.9"),
        ("10.0.0.1", " 203.0.113.9\t", "203.0.113.9"),
        ("10.0.0.1", "[::ffff:203.0.113.9]:80", "203.0.113.9"),
        ("10.0.0.1", "203.0.113.9:port", "10.0.0.1"),
        ("10.0.0.1", "[2001:db8::1", "10.0.0.1"),
        ("10.0.0.1", "fe80::1%eth0", "fe80::1"),
        ("10.0.0.1", "[fe80::1%eth0]:80", "fe80::1"),
        ("10.0.0.1", "fe80::1%<b>", "fe80::1"),
        ("fe80::1%eth0", "203.0.113.1", "fe80::1"),
        ("10.0.0.1", "203.0.113.1,", "203.0.113.1"),
        ("10.0.0.1", " , 203.0.113.1, ,", "203.0.113.1"),
        ("10.0.0.1", ",", "10.0.0.1"),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("::ffff:10.0.0.1", "::ffff:203.0.113.1", "203.0.113.1"),
        ("fd00::1", "203.0.113.1", "203.0.113.1"),
        ("2001:db8::9", "203.0.113.1", "2001:db8::9"),
    ],
)
def test_the_client_is_the_rightmost_address_that_is_not_a_trusted_proxy(
    peer: str, forwarded_for: str, client: str
) -> None:
    assert seen(peer, **{"for": forwarded_for})[0] == client


def test_the_first_entry_that_is_not_an_address_is_logged(output: StringIO) -> None:
    proxy = TrustedProxyMiddleware(lambda *_: [], TRUSTED)

    for forwarded_for in ("un\nknown" + "\u2028" * 100, "_other"):
        proxy({"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": forwarded_for}, lambda *_: print)
        proxy({"REMOTE_ADDR": "192.0.2.9", "HTTP_X_FORWARDED_FOR": "untrusted"}, lambda *_: print)

    [line] = output.getvalue().splitlines()
    assert "X-Forwarded-For" in line
    assert "un\\\\nknown" in line
    assert len(line) < 400


@pytest.mark.parametrize(
    ("peer", "proto", "scheme"),
    [
        ("10.0.0.1", "https", "https"),
        ("10.0.0.1", "HTTPS", "https"),
        ("10.0.0.1", "http, https", "https"),
        ("10.0.0.1", "https, http", "http"),
        ("10.0.0.1", "", "http"),
        ("10.0.0.1", "javascript", "http"),
        ("198.51.100.1", "https", "http"),
    ],
)
def test_the_scheme_comes_from_the_nearest_trusted_proxy(peer: str, proto: str, scheme: str) -> None:
    assert seen(peer, proto=proto)[1] == scheme


@pytest.mark.parametrize(
    ("forwarded_for", "proto", "scheme"),
    [
        ("203.0.113.1, 10.1.2.3", "https,http", "https"),
        ("203.0.113.1, 10.1.2.3", "https", "https"),
        ("203.0.113.1", "https,http", "http"),
        ("10.9.9.9, 10.1.2.3", "http,https,http", "https"),
    ],
)
def test_the_scheme_comes_from_the_proxy_that_has_seen_the_client(
    forwarded_for: str, proto: str, scheme: str
) -> None:
    assert seen("10.0.0.1", **{"for": forwarded_for, "proto": proto})[1] == scheme


def test_by_default_no_proxy_is_trusted() -> None:
    assert seen("127.0.0.1", trusted=(), **{"for": "203.0.113.1", "proto": "https"}) == ("127.0.0.1", "http")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_a_client_is_an_ipv4_address_or_an_ipv6_network(address: str | None, network: str) -> None:
    assert network_of(address) == network
