"""A circuit breaker: while the database server is silent, calls fail at once instead of waiting."""

from threading import Lock, get_ident
from time import monotonic

import psycopg2

OPEN_SECONDS = 1


class CircuitBreaker:
    """Notices that a server is silent. Each app has one, which all its connections share.

    A call without an answer may be slow itself, so it counts only if no other call was answered either. Then
    calls fail immediately for a second. After that, one thread retries.
    """

    def __init__(self, timeout: float) -> None:
        self.timeout = timeout  # seconds per call
        self.last_answer = 0.0
        self.probing = Lock()  # held while a probe is running
        self.probe_began = 0.0  # the last one
        self._open_until = 0.0  # 0: closed
        self._retrying_thread = 0

    def before_call(self) -> None:
        if not self._open_until or self._retrying_thread == get_ident():
            return
        if monotonic() < self._open_until:
            raise psycopg2.OperationalError("the database did not answer a moment ago")
        self._open_until, self._retrying_thread = monotonic() + self.timeout, get_ident()

    def answered(self) -> float:
        """Record that a statement was answered. Return the time."""
        self.last_answer = now = monotonic()
        self._open_until, self._retrying_thread = 0, 0
        return now

    def timed_out(self, since: float) -> bool:
        """Record a call without an answer. The server is silent if it has answered no other call either."""
        is_silent = self.last_answer < since
        if is_silent:
            self._open_until, self._retrying_thread = monotonic() + OPEN_SECONDS, 0
        return is_silent

    def broke(self) -> None:
        """Record a call that failed early. A server that refuses or disconnects isn't silent."""
        if self._retrying_thread == get_ident():
            self._open_until, self._retrying_thread = 0, 0
