"""What every request and every answer has in common: the checks before, the headers after."""

import re

from flask import Flask, Response, request
from werkzeug.exceptions import BadRequest, NotFound

from app.blueprint.handlers import request_id
from app.config import current

HOST = re.compile(r"([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
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


def init_app(app: Flask) -> None:
    app.before_request(_refuse_ambiguity)
    app.after_request(_secure)
    app.after_request(_share)


def _refuse_ambiguity() -> None:
    """Refuse a request without one well-formed Host (RFC 9112, 3.2), and a second spelling of a path."""
    if not HOST.fullmatch(request.environ.get("HTTP_HOST", "")):
        raise BadRequest
    # waitress folds slashes at the start of a path, so `//account` would be a second name of `/account`.
    path = request.environ.get("REQUEST_URI", "").partition("?")[0]
    if path.startswith(("//", "/%2f", "/%2F")):
        raise NotFound


def _secure(response: Response) -> Response:
    response.headers["X-Request-ID"] = request_id()
    for name, value in SECURITY.items():
        response.headers.setdefault(name, value)
    if "Authorization" in request.headers or request.path.startswith("/auth/"):
        response.headers["Cache-Control"] = "no-store"
    if request.is_secure:
        response.headers["Strict-Transport-Security"] = f"max-age={ONE_YEAR}"
    return response


def _share(response: Response) -> Response:
    """Let the pages of CORS_ORIGINS, and no others, read the answer."""
    origins = current().cors_origins
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
