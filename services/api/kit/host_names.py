"""Host names, as they are written in settings."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

LABEL = "[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?"
HOST = re.compile(rf"{LABEL}(\.{LABEL})*|\[(?P<ipv6>[0-9a-f:]+)\]")


def canonical(name: str) -> str:
    """Return a host name in ASCII, or an address in its usual form. Raises ValueError."""
    if ":" in name:
        return f"[{IPv6Address(name)}]"
    name = name.lower().removesuffix(".").encode("idna").decode()
    if name.rpartition(".")[2].isdigit():
        return str(IPv4Address(name))
    if not HOST.fullmatch(name):
        raise ValueError
    return name


def is_this_machine(name: str) -> bool:
    """Return whether a host name or address can't be on another machine."""
    try:
        return name == "localhost" or ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False
