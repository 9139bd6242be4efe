"""What the variable parts of a path may be."""

from flask import Flask
from werkzeug.routing import UUIDConverter


class CanonicalUUID(UUIDConverter):
    """A UUID in its one canonical spelling; nothing is found under another one."""

    regex = "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def init_app(app: Flask) -> None:
    app.url_map.converters["uuid"] = CanonicalUUID
