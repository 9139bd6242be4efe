"""The state of the server: whether it is shutting down, the queued requests, and what runs beside it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from threading import Event
from typing import cast

from flask import Flask, current_app

from kit.serving.log_batches import in_batches


def init_app(app: Flask) -> None:
    app.extensions["stopping"] = Event()
    app.extensions["queue_length"] = lambda: 0
    app.extensions["beside_server"] = []


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


def run_beside_server(app: Flask, make: Callable[[], AbstractContextManager[object]]) -> None:
    """Enter a context in each serving process, after it was forked, and leave it when the server stops."""
    app.extensions["beside_server"].append(make)


@contextmanager
def serving(app: Flask) -> Iterator[None]:
    """Run what belongs beside the server, and log in batches. Servers serve in this block."""
    with in_batches(), ExitStack() as stack:
        for make in app.extensions["beside_server"]:
            stack.enter_context(make())
        yield
