"""Checks of every request, and headers of every response."""

import re
from collections.abc import Callable, Iterable
from functools import partial
from time import perf_counter
from types import TracebackType
from typing import TypeAlias
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask, Response, current_app, g, request
from werkzeug.exceptions import BadRequest, NotFound

from kit.setting_types import MAX_PORT, is_ipv6
from kit.settings import Settings, current
from kit.web import openapi
from kit.web.errors import HostNotAllowed
from kit.web.paths import HEALTH_CHECKS
from kit.web.request_id import request_id

LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?"
HOST = re.compile(rf"({LABEL}(\.{LABEL})*\.?|\[(?P<ipv6>[^\]]+)\])(:(?P<port>[0-9]{{1,5}}))?")
PORT = re.compile(r":[0-9]+$")
ABSOLUTE = re.compile(r"^https?://[^/?#]+", re.IGNORECASE)  # of a request target in absolute form
# A percent-encoded slash or unreserved character (RFC 3986): `/auth%2Ftoken`, `/acc%6Funt`.
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
ExceptionInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
# What pages may send: these, the headers in the OpenAPI document, and CORS_HEADERS.
CORS_REQUEST_HEADERS = (
    "Authorization",
    "Content-Type",
    "X-Request-ID",
    "X-Requested-With",  # of jQuery, axios and others
    "baggage",  # this and the following: tracing (W3C, Sentry)
    "sentry-trace",
    "traceparent",
    "tracestate",
)
# What pages may read: these, and the headers in the OpenAPI document. Not every response has these.
CORS_RESPONSE_HEADERS = ("Allow", "Link")


def init_app(app: Flask, settings: Settings, never_cached: str = "") -> None:
    """Add the checks and headers. Responses under the path `never_cached` get `Cache-Control: no-store`."""
    app.wsgi_app = SecurityHeadersMiddleware(app.wsgi_app)  # type: ignore[method-assign]
    app.before_request(_check_host_and_path)
    app.after_request(partial(_add_common_headers, never_cached))
    if settings.cors_origins:
        app.after_request(_add_cors)
    if settings.flask_env == "development":  # in production, timings would help attackers
        app.after_request(_add_server_timing)


class SecurityHeadersMiddleware:
    """Adds security headers that a response doesn't have yet.

    In Flask each header would cost a microsecond per request.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(
            status: str, headers: list[tuple[str, str]], error: ExceptionInfo | None = None, /
        ) -> Callable[[bytes], object]:
            given = {name for name, _ in headers}
            more = [(name, value) for name, value in SECURITY.items() if name not in given]
            return (
                start_response(status, headers + more, error)
                if error
                else start_response(status, headers + more)
            )

        return self.app(environ, start)


def _check_host_and_path() -> None:
    """Refuse a missing or malformed Host (RFC 9112, section 3.2) and non-canonical paths.

    HTTP/1.0 needs no Host. Probes use the address of the machine, so health checks take any.
    """
    environ = request.environ
    host = environ.get("HTTP_HOST")
    needs_host = host is not None or environ["SERVER_PROTOCOL"] != "HTTP/1.0"
    if needs_host and not _is_host(host or ""):
        # Close the connection: the next request may be smuggled (RFC 9112, section 11.2).
        environ["app.close"] = True
        raise BadRequest
    allowed = current(Settings).allowed_hosts
    is_allowed = not allowed or PORT.sub("", host or "").lower().rstrip(".") in allowed
    if not is_allowed and not request.path.startswith(HEALTH_CHECKS):
        raise HostNotAllowed
    # The path as the client sent it. The server decodes it, and waitress merges leading slashes.
    target = environ.get("REQUEST_URI") or environ.get("RAW_URI") or request.path
    path = ABSOLUTE.sub("", target).partition("?")[0]
    if not path.startswith("/") or path.startswith("//") or "#" in path or ENCODED_UNRESERVED.search(path):
        raise NotFound


def _is_host(text: str) -> bool:
    match = HOST.fullmatch(text)
    return bool(
        match and int(match["port"] or 0) <= MAX_PORT and (match["ipv6"] is None or is_ipv6(match["ipv6"]))
    )


def _add_common_headers(never_cached: str, response: Response) -> Response:
    environ = request.environ
    response.headers["X-Request-ID"] = request_id()
    is_private = never_cached and f"{request.path}/".startswith(f"{never_cached}/")
    if is_private or "HTTP_AUTHORIZATION" in environ:
        response.headers["Cache-Control"] = "no-store"
    if environ["wsgi.url_scheme"] == "https":
        response.headers["Strict-Transport-Security"] = f"max-age={ONE_YEAR}"
    return response


def _add_cors(response: Response) -> Response:
    response.vary.add("Origin")
    headers = cors_headers(current_app, request.headers.get("Origin", ""))
    if headers and request.method == "OPTIONS":
        documented, more = openapi.REQUEST_HEADERS, current(Settings).cors_headers
        headers["Access-Control-Allow-Headers"] = ", ".join((*CORS_REQUEST_HEADERS, *documented, *more))
        headers["Access-Control-Allow-Methods"] = response.headers.get("Allow", "")
        headers["Access-Control-Max-Age"] = "600"
    response.headers.update(headers)
    return response


def cors_headers(app: Flask, origin: str) -> dict[str, str]:
    """Return the headers that let pages read a response, or none if the origin isn't in CORS_ORIGINS."""
    if origin not in app.extensions["settings"].cors_origins:
        return {}
    exposed = sorted({*CORS_RESPONSE_HEADERS, *openapi.response_headers(app)})
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": ", ".join(exposed)}


def _add_server_timing(response: Response) -> Response:
    """Show the durations in the browser's developer tools (W3C Server Timing)."""
    total, sql = (perf_counter() - g.started) * 1000, g.get("sql_seconds", 0) * 1000
    statements = g.get("sql_statements", 0)
    description = "1 statement" if statements == 1 else f"{statements} statements"
    response.headers["Server-Timing"] = f'app;dur={total:.1f}, sql;dur={sql:.1f};desc="{description}"'
    return response
