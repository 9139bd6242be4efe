"""Paths: converters for their variable parts, and the prefix that a proxy has removed."""

from collections.abc import Mapping

from flask import Flask, request
from werkzeug.routing import UUIDConverter

from kit.uuids import ANY_CASE

HEALTH_CHECKS = "/health/"  # paths that no rate limit counts, and whose requests are logged as DEBUG


class StrictUUID(UUIDConverter):
    """Accepts UUIDs in any case, but only with hyphens."""

    regex = ANY_CASE.pattern


def init_app(app: Flask) -> None:
    app.url_map.converters["uuid"] = StrictUUID


def with_prefix(headers: Mapping[str, str] | None) -> Mapping[str, str] | None:
    """Return a view's headers with the path in Location as clients see it (FORWARDED_PREFIX)."""
    if headers and headers.get("Location", "").startswith("/"):
        return {**headers, "Location": request.script_root + headers["Location"]}
    return headers
