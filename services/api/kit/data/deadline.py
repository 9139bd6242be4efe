"""A deadline for the database work of a job. Commands have no limit, and requests have other limits."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf
from time import monotonic

_deadline = ContextVar("deadline", default=inf)  # of the current thread


@contextmanager
def database_deadline(seconds: float) -> Iterator[None]:
    """Let statements in this block fail after so many seconds, on PostgreSQL also if the server is silent."""
    token = _deadline.set(monotonic() + seconds)
    try:
        yield
    finally:
        _deadline.reset(token)


def seconds_left() -> float:
    """Return how long the database work may still take. Without a deadline, it is infinite."""
    return _deadline.get() - monotonic()
