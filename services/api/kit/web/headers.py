"""What every request and every answer has in common: the checks before, the headers after."""

import re
from ipaddress import IPv6Address
from time import perf_counter
from typing import Any

from flask import Flask, Response, g, request
from werkzeug.exceptions import BadRequest, NotFound

from kit.setting_types import MAX_PORT
from kit.settings import Settings, current
from kit.web.errors import HostNotAllowed
from kit.web.request_id import request_id

LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?"
HOST = re.compile(rf"({LABEL}(\.{LABEL})*\.?|\[(?P<ipv6>[^\]]+)\])(:(?P<port>[0-9]{{1,5}}))?")
PORT = re.compile(r":[0-9]+$")
AUTH = re.compile("/auth(/|$)")
ABSOLUTE = re.compile(r"^https?://[^/?#]+", re.IGNORECASE)  # of a target as proxies send it
# A slash, or what RFC 3986 calls unreserved, percent-encoded: `/auth%2Ftoken`, `/acc%6Funt`.
ENCODED_UNRESERVED = re.compile(r"%(2[DEF]|3\d|[46][1-9A-F]|[57][\dA]|5F|7E)", re.IGNORECASE)
SECURITY = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
ONE_YEAR = 31_536_000
CORS_PREFLIGHT = {
    "Access-Control-Allow-Headers": "Authorization, Content-Type, If-Match, If-None-Match, X-Request-ID",
    "Access-Control-Max-Age": "600",
}


def init_app(app: Flask, settings: Settings) -> None:
    app.wsgi_app = SecurityHeadersMiddleware(app.wsgi_app)  # type: ignore[method-assign]
    app.before_request(_check_host_and_path)
    app.after_request(_add_common_headers)
    app.after_request(_add_cors)
    if settings.flask_env == "development":  # elsewhere it would tell strangers what takes how long
        app.after_request(_add_server_timing)


class SecurityHeadersMiddleware:
    """Adds what protects in browsers to every answer that does not say otherwise. It is the same for all, so
    it need not go through Flask, where a header costs a microsecond."""

    def __init__(self, app: Any) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            given = {name for name, _ in headers}
            more = [(name, value) for name, value in SECURITY.items() if name not in given]
            return start_response(status, headers + more, *error)

        return self.app(environ, start)


def _check_host_and_path() -> None:
    """Refuse a request without one well-formed Host (RFC 9112, 3.2), and a second spelling of a path."""
    host = request.environ.get("HTTP_HOST", "")
    if not _is_host(host):
        request.environ["app.close"] = True  # what follows may be another's: server.py (RFC 9112, 11.2)
        raise BadRequest
    allowed = current(Settings).allowed_hosts
    if allowed and PORT.sub("", host).lower().rstrip(".") not in allowed:
        raise HostNotAllowed
    # What the client wrote: the server decodes it, and waitress folds slashes at its start.
    target = request.environ.get("REQUEST_URI") or request.environ.get("RAW_URI") or request.path
    path = ABSOLUTE.sub("", target).partition("?")[0]
    if not path.startswith("/") or path.startswith("//") or "#" in path or ENCODED_UNRESERVED.search(path):
        raise NotFound


def _is_host(text: str) -> bool:
    match = HOST.fullmatch(text)
    return bool(
        match and int(match["port"] or 0) <= MAX_PORT and (match["ipv6"] is None or _is_ipv6(match["ipv6"]))
    )


def _is_ipv6(text: str) -> bool:
    try:
        return IPv6Address(text).scope_id is None
    except ValueError:
        return False


def _add_common_headers(response: Response) -> Response:
    response.headers["X-Request-ID"] = request_id()
    if "HTTP_AUTHORIZATION" in request.environ or AUTH.match(request.path):
        response.headers["Cache-Control"] = "no-store"
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = f"max-age={ONE_YEAR}"
    return response


def _add_cors(response: Response) -> Response:
    """Let the pages of CORS_ORIGINS, and no others, read the answer."""
    origins = current(Settings).cors_origins
    if not origins:
        return response
    response.vary.add("Origin")
    if request.headers.get("Origin") in origins:
        response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
        response.headers["Access-Control-Expose-Headers"] = "ETag, Location, Retry-After, X-Request-ID"
        if request.method == "OPTIONS":
            response.headers.update(CORS_PREFLIGHT)
            response.headers["Access-Control-Allow-Methods"] = response.headers.get("Allow", "")
    return response


def _add_server_timing(response: Response) -> Response:
    """Tell the browser's developer tools where the time went (W3C Server Timing)."""
    total, sql = (perf_counter() - g.started) * 1000, g.get("sql_seconds", 0) * 1000
    statements = g.get("sql_statements", 0)
    description = "1 statement" if statements == 1 else f"{statements} statements"
    response.headers["Server-Timing"] = f'app;dur={total:.1f}, sql;dur={sql:.1f};desc="{description}"'
    return response
