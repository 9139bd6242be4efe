"""What the server tells the app of itself: whether it is about to stop, and how many requests wait."""

from collections.abc import Callable
from threading import Event
from typing import cast

from flask import Flask, current_app


def init_app(app: Flask) -> None:
    app.extensions["stopping"] = Event()
    app.extensions["queue_length"] = lambda: 0


def stopping(app: Flask) -> Event:
    """Return what the server sets when a shutdown begins."""
    return cast("Event", app.extensions["stopping"])


def is_stopping() -> bool:
    return stopping(current_app).is_set()


def measure_queue(app: Flask, length: Callable[[], int]) -> None:
    app.extensions["queue_length"] = length


def queue_length(app: Flask) -> int:
    """Return how many requests wait for a thread."""
    return int(app.extensions["queue_length"]())
