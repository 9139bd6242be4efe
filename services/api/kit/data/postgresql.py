"""Connections to PostgreSQL: their time limits, and noticing that the server is gone."""

import select
from threading import get_ident
from time import monotonic
from typing import Any, ClassVar

import psycopg2
from psycopg2 import extensions
from sqlalchemy import Connection
from sqlalchemy.exc import DisconnectionError

from kit.settings import Settings

SILENT_SECONDS = 1
POLL_EVENTS = {extensions.POLL_READ: select.POLLIN, extensions.POLL_WRITE: select.POLLOUT}

LIFT_LIMITS = (
    "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; "
    "SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL timezone = 'UTC'"
)


def engine_options(settings: Settings) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of the engine for transactions and of the engine for reading."""
    size = settings.database_pool_size or settings.threads
    # The server ends a slow statement after the timeout. Half a second later the client stops waiting.
    timeout = settings.database_timeout_ms / 1000 + 0.5
    connections: type[LimitedConnection] = type("AppConnection", (LimitedConnection,), {"timeout": timeout})
    # Requests that write also hash passwords or wait for locks, so half as many connections are enough.
    options = _options(settings, connections, (size + 1) // 2)
    read_only = _options(settings, connections, size, default_transaction_read_only="on") | {
        "url": settings.database_url,
        "isolation_level": "AUTOCOMMIT",
        "pool_reset_on_return": None,  # without transactions there is nothing to roll back
    }
    return options, read_only


def _options(
    settings: Settings, connections: type["LimitedConnection"], pool_size: int, **more: str
) -> dict[str, Any]:
    milliseconds = settings.database_timeout_ms
    limits = {
        "statement_timeout": milliseconds,
        "lock_timeout": milliseconds * 3 // 4,
        "idle_in_transaction_session_timeout": milliseconds * 5,
        "timezone": "UTC",
        **more,
    }
    given = settings.database_url.query.get("options", "")
    options = " ".join([str(given), *(f"-c {name}={value}" for name, value in limits.items())])
    return {
        "connect_args": {"options": options.strip(), "connection_factory": connections},
        "hide_parameters": True,  # error messages are logged
        "use_native_hstore": False,  # saves a query per connection
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_timeout": milliseconds / 2000,
    }


def command_options(settings: Settings) -> dict[str, Any]:
    """Return the options of the engine for commands, which may take long. `lift_limits` adds to them."""
    return {
        "url": settings.database_url,
        "connect_args": {"connection_factory": LimitedConnection},
        "hide_parameters": True,
        "use_native_hstore": False,
    }


def lift_limits(connection: Connection) -> None:
    """Lift the time limits for a transaction. The role may have some, where a pooler passes on no options."""
    cursor: Any = connection.connection.cursor(cursor_factory=extensions.cursor)  # which counts no statement
    with cursor:
        cursor.execute(LIFT_LIMITS)


class LimitedConnection(extensions.connection):
    """A connection whose calls have a time limit. Each app has a subclass, whose state its connections share.

    After a call got no answer in time, other calls fail immediately for a second. Then one thread retries.
    """

    timeout: ClassVar[float | None] = None  # seconds per call; None: no limit, for migrations and commands
    fails_until: ClassVar[float] = 0  # 0: the server answers
    retrying_thread: ClassVar[int] = 0
    has_begun = False  # a transaction for a server-side cursor

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.before_call()
        started = monotonic()
        try:
            super().__init__(*args, **kwargs)
        except psycopg2.Error:
            # A refusal is fast. If the name server is silent, only the resolver has a time limit.
            self.failed(silent=monotonic() - started > SILENT_SECONDS)
            raise

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
                with super().cursor(cursor_factory=extensions.cursor) as cursor:
                    cursor.execute("BEGIN")
                self.has_begun = True
        return super().cursor(name, *args, withhold=withhold, **kwargs)

    @classmethod
    def before_call(cls) -> None:
        if not cls.fails_until or cls.retrying_thread == get_ident():
            return
        if monotonic() < cls.fails_until:
            raise psycopg2.OperationalError("the database did not answer a moment ago")
        cls.fails_until, cls.retrying_thread = monotonic() + (cls.timeout or 0), get_ident()

    @classmethod
    def failed(cls, *, silent: bool) -> None:
        if silent and cls.timeout:
            cls.fails_until, cls.retrying_thread = monotonic() + SILENT_SECONDS, 0
        elif cls.retrying_thread == get_ident():
            cls.succeeded()  # the server answers, if only with an error

    @classmethod
    def succeeded(cls) -> None:
        cls.fails_until, cls.retrying_thread = 0, 0


def wait(connection: extensions.connection) -> None:
    """Wait for the server, with a time limit that libpq doesn't have.

    psycopg2 calls it, and closes the connection if it raises.
    """
    limited = type(connection) if isinstance(connection, LimitedConnection) else LimitedConnection
    limited.before_call()
    deadline = monotonic() + limited.timeout if limited.timeout else None
    try:
        while (state := connection.poll()) != extensions.POLL_OK:
            poll = select.poll()
            poll.register(connection.fileno(), POLL_EVENTS[state])
            if not poll.poll(None if deadline is None else max(0, deadline - monotonic()) * 1000):
                raise psycopg2.OperationalError("the database did not answer in time")
    except psycopg2.Error:
        limited.failed(silent=deadline is not None and monotonic() >= deadline)
        raise
    limited.succeeded()


extensions.set_wait_callback(wait)


def refuse_dead_connection(connection: Any, *_: object) -> None:
    """Notice at checkout that the server has closed an idle connection: it is readable. The pool reconnects.

    Costs a microsecond. SQLAlchemy's `pool_pre_ping` costs a round trip.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        raise DisconnectionError("the server closed this idle connection")


def end_cursor_transaction(connection: Any, *_: object) -> None:
    """End the transaction of LimitedConnection.cursor() before another request gets the connection."""
    if getattr(connection, "has_begun", False):
        connection.has_begun = False
        with connection.cursor(cursor_factory=extensions.cursor) as cursor:
            cursor.execute("ROLLBACK")
