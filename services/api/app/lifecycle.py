"""Whether the app is to serve or about to stop: told by the server, asked by the readiness check."""

from threading import Event
from typing import cast

from flask import Flask, current_app


def init_app(app: Flask) -> None:
    app.extensions["stopping"] = Event()


def stopping(app: Flask) -> Event:
    """Return what the server sets when a shutdown begins."""
    return cast("Event", app.extensions["stopping"])


def is_stopping() -> bool:
    return stopping(current_app).is_set()
