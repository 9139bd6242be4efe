"""Converters for variable parts of a path."""

from flask import Flask
from werkzeug.routing import UUIDConverter

from kit.uuids import CANONICAL

HEALTH_CHECKS = "/health/"  # paths that no rate limit counts, and whose requests are logged as DEBUG


class CanonicalUUID(UUIDConverter):
    """Accepts only canonical UUIDs, so that each resource has one path."""

    regex = CANONICAL.pattern


def init_app(app: Flask) -> None:
    app.url_map.converters["uuid"] = CanonicalUUID
