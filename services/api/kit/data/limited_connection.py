"""Connections to PostgreSQL whose calls have a time limit."""

import select
from contextlib import closing, suppress
from math import isinf
from threading import Thread
from time import monotonic
from typing import Any, ClassVar

import psycopg2
from psycopg2 import errors, extensions
from psycopg2.extras import wait_select

from kit.data.circuit_breaker import CircuitBreaker
from kit.data.deadline import database_deadline, seconds_left

GRACE_SECONDS = 0.5  # after which the client stops waiting for a statement that the server should have ended
SILENT_SECONDS = 1  # a connection that is refused fails sooner
PING_SECONDS = 0.5
PING_AFTER_SECONDS = 60  # without an answer
POLL_EVENTS = {extensions.POLL_READ: select.POLLIN, extensions.POLL_WRITE: select.POLLOUT}


class LimitedConnection(extensions.connection):
    """A connection whose calls have a time limit. Each engine has a subclass, with these attributes."""

    breaker: ClassVar[CircuitBreaker]
    timeout: float  # seconds per call
    prefix: ClassVar[str]  # of the first statement of each transaction; see statement_count.py

    is_connected = False
    is_new = True  # the pool hasn't lent it yet
    has_begun = False  # a transaction for a server-side cursor

    def __init__(self, dsn: str, *args: Any, is_check: bool = False) -> None:
        self.dsn_with_password = dsn
        self.is_check = is_check  # a call that doesn't decide whether the server is silent
        if not is_check:
            self.breaker.before_call()
        began = monotonic()
        try:
            super().__init__(dsn, *args)
        except psycopg2.Error:
            # If the name server is silent, only the resolver has a time limit.
            if not is_check:
                if (seconds := monotonic() - began) > SILENT_SECONDS:
                    self.breaker.timed_out(since=began + seconds / 2)
                self.breaker.broke()
            raise
        self.is_connected = True
        self.last_answer = monotonic()

    def wait(self) -> None:
        """Wait for the answer to a call, with a time limit, which libpq doesn't have.

        After half of the time, ask the server on another connection. If no call at all is answered in the
        second half, the server is silent. Otherwise only this call is slow, however late it is cancelled.
        """
        if not self.is_check:
            self.breaker.before_call()
        began = monotonic()
        half, end = began + self.timeout / 2, began + self.timeout
        try:
            while (state := self.poll()) != extensions.POLL_OK:
                poll = select.poll()
                poll.register(self.fileno(), POLL_EVENTS[state])
                if not poll.poll(max(0, half - monotonic()) * 1000):
                    since = min(half, self._look_around())
                    if not poll.poll(max(0, end - monotonic()) * 1000):
                        raise self._timed_out(since)
        except psycopg2.Error:
            if not self.is_check:
                self.breaker.broke()
            raise
        if self.is_connected:  # a pooler accepts connections while the database behind it is silent
            self.last_answer = self.breaker.answered()

    def _timed_out(self, since: float) -> psycopg2.Error:
        is_silent = self.is_check or self.breaker.timed_out(since)
        if is_silent or not self.is_connected:
            return psycopg2.OperationalError("the database did not answer in time")
        return errors.QueryCanceled("the database did not answer in time, but it answers others")

    def _look_around(self) -> float:
        """Give up if other calls have opened the circuit breaker. Otherwise probe the server.

        Return when the probe began. One that is running may have been answered a moment ago, which counts.
        """
        if self.is_check:
            return monotonic()
        self.breaker.before_call()
        if self.breaker.probing.acquire(blocking=False):
            self.breaker.probe_began = monotonic()
            Thread(target=self._probe, name="database-probe", daemon=True).start()
        return self.breaker.probe_began

    def _probe(self) -> None:
        """Run a statement on a new connection. Its answer is recorded like any other."""
        try:
            with closing(type(self)(self.dsn_with_password, is_check=True)) as connection:
                connection.ping()
        except psycopg2.Error:
            pass  # no answer
        finally:
            self.breaker.probing.release()

    def ping(self) -> None:
        """Run a statement that does nothing, outside of a transaction."""
        was, self.autocommit = self.autocommit, True
        with super().cursor(cursor_factory=extensions.cursor) as cursor:
            cursor.execute("SELECT 1")
        self.autocommit = was

    def is_forgotten(self) -> bool:
        """Return whether a firewall or load balancer has dropped a connection while it was idle.

        Only a ping shows that. A connection in use pays nothing for it.
        """
        if monotonic() - self.last_answer < PING_AFTER_SECONDS:
            return False
        self.breaker.before_call()
        self.is_check, self.timeout = True, PING_SECONDS
        try:
            self.ping()
        except psycopg2.Error:
            return True
        self.is_check, self.timeout = False, self.breaker.timeout
        return False

    def cursor(  # type: ignore[override]
        self, name: str | None = None, *args: Any, withhold: bool = False, **kwargs: Any
    ) -> Any:
        """Return a cursor. A named one is on the server (`yield_per`) and needs a transaction, so begin one.

        psycopg2 doesn't know about that transaction and insists on WITH HOLD. That has no effect here,
        because nothing commits. end_cursor_transaction() ends it.
        """
        if name is not None and self.autocommit:
            withhold = True
            if not self.has_begun:
                self._execute(f"BEGIN; {self.prefix}")
                self.has_begun = True
        elif name is not None and self.prefix and self.status == extensions.STATUS_READY:
            self._execute(self.prefix)
        return super().cursor(name, *args, withhold=withhold, **kwargs)

    def _execute(self, statement: str) -> None:
        with super().cursor(cursor_factory=extensions.cursor) as cursor:
            cursor.execute(statement)


def wait(connection: extensions.connection) -> None:
    """Wait for the server. psycopg2 calls it, and closes the connection if it raises."""
    if isinstance(connection, LimitedConnection):
        connection.wait()
        return
    try:
        if isinf(seconds_left()):
            wait_select(connection)  # of a command or a migration, which may take long
        else:
            _wait_until_deadline(connection)
    except psycopg2.Error:
        raise
    except BaseException:  # such as the time limit of a job: the server would go on with the statement
        if not isinstance(connection, _Probe):
            _cancel(connection)
        raise


class _Probe(extensions.connection):
    """A connection that only shows whether the server answers."""


def _cancel(connection: extensions.connection) -> None:
    """Ask the server to end the statement, if it still accepts connections.

    If it is silent, connection.cancel() would wait without a limit, and no signal would end that.
    """
    with suppress(psycopg2.Error), database_deadline(GRACE_SECONDS):
        psycopg2.connect(connection.dsn, password=connection.info.password, connection_factory=_Probe).close()
        connection.cancel()


def _wait_until_deadline(connection: extensions.connection) -> None:
    """Wait until a moment after the deadline of a job, at which the server ends a slow statement.

    So only a silent server is noticed here.
    """
    while (state := connection.poll()) != extensions.POLL_OK:
        poll = select.poll()
        poll.register(connection.fileno(), POLL_EVENTS[state])
        if not poll.poll(max(0, seconds_left() + GRACE_SECONDS) * 1000):
            raise psycopg2.OperationalError("the database did not answer in time")


extensions.set_wait_callback(wait)
