"""What the variable parts of a path may be."""

from flask import Flask
from werkzeug.routing import UUIDConverter

from kit.uuids import CANONICAL


class CanonicalUUID(UUIDConverter):
    """A UUID in its one canonical spelling; nothing is found under another one."""

    regex = CANONICAL.pattern


def init_app(app: Flask) -> None:
    app.url_map.converters["uuid"] = CanonicalUUID
