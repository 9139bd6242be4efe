"""Protects requests that a cookie authenticates from pages of other origins (CSRF)."""

from flask import request

from app.exceptions import CrossOrigin


def require_same_origin() -> None:
    """Refuse a request that doesn't come from a page of the API's origin. Raises CrossOrigin.

    Current browsers send Sec-Fetch-Site over HTTPS (Fetch Metadata), and if it's there, it decides alone. In
    older browsers, Origin must be ours. A subdomain and another port are other origins.
    """
    site = request.headers.get("Sec-Fetch-Site")
    is_own = site == "same-origin" if site is not None else request.headers.get("Origin") == _own_origin()
    if not is_own:
        raise CrossOrigin


def _own_origin() -> str:
    """Return our origin as a browser writes it: in lower case, without the default port (RFC 6454)."""
    return f"{request.scheme}://{request.host.lower()}"
