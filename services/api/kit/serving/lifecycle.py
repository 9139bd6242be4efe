"""The state of the server: whether it is shutting down, and how many requests are queued."""

from collections.abc import Callable
from threading import Event
from typing import cast

from flask import Flask, current_app


def init_app(app: Flask) -> None:
    app.extensions["stopping"] = Event()
    app.extensions["queue_length"] = lambda: 0


def stopping(app: Flask) -> Event:
    """Return the event that the server sets when a shutdown begins."""
    return cast("Event", app.extensions["stopping"])


def is_stopping() -> bool:
    return stopping(current_app).is_set()


def measure_queue(app: Flask, length: Callable[[], int]) -> None:
    app.extensions["queue_length"] = length


def queue_length(app: Flask) -> int:
    """Return how many requests are waiting for a thread."""
    return int(app.extensions["queue_length"]())
