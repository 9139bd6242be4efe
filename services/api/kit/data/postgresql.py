"""The engines of PostgreSQL: their options, and what happens to connections in the pool."""

import select
from collections.abc import Mapping
from math import ceil, isinf
from typing import Any

from psycopg2 import errors, extensions
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DisconnectionError, InvalidatePoolError

from kit.data.circuit_breaker import CircuitBreaker
from kit.data.deadline import seconds_left
from kit.data.limited_connection import GRACE_SECONDS, LimitedConnection
from kit.settings import Settings

# Azure's load balancer forgets a connection that is idle for four minutes, and AWS's after 350 seconds.
KEEPALIVES = {"keepalives_idle": 60, "keepalives_interval": 10, "keepalives_count": 3}


def engine_options(settings: Settings) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of the engine for transactions and of the engine for reading."""
    size = settings.database_pool_size
    # The server ends a slow statement after the timeout. Half a second later the client stops waiting.
    breaker = CircuitBreaker(settings.database_timeout_ms / 1000 + GRACE_SECONDS)
    # Requests that write also hash passwords, so a third as many connections are enough.
    options = _options(settings, breaker, ceil(size / 3), reads_only=False)
    read_only = _options(settings, breaker, size, reads_only=True) | {
        "url": settings.database_url,
        "pool_timeout": ceil(breaker.timeout),  # until slow statements have ended
        "isolation_level": "AUTOCOMMIT",
        "pool_reset_on_return": None,  # without transactions there is nothing to roll back
    }
    return options, read_only


def _options(
    settings: Settings, breaker: CircuitBreaker, pool_size: int, *, reads_only: bool
) -> dict[str, Any]:
    milliseconds = settings.database_timeout_ms
    session = {
        "statement_timeout": milliseconds,
        "lock_timeout": milliseconds * 3 // 4,
        "idle_in_transaction_session_timeout": milliseconds * 5,
        "timezone": "UTC",
    }
    query = settings.database_url.query
    arguments: dict[str, Any] = {name: value for name, value in KEEPALIVES.items() if name not in query}
    prefix = ""
    if settings.database_pooler == "transaction":
        # The pooler refuses these settings, so the first statement of each transaction brings them along.
        # PostgreSQL runs both in that transaction, so this costs no round trip, and no other client of the
        # pooler gets a connection with these settings.
        prefix = set_local(session)
        prefix += "SET TRANSACTION READ ONLY; " if reads_only else ""
    else:
        session |= {"default_transaction_read_only": "on"} if reads_only else {}
        options = [str(query.get("options", "")), *(f"-c {name}={value}" for name, value in session.items())]
        arguments["options"] = " ".join(options).strip()
    state = {"breaker": breaker, "timeout": breaker.timeout, "prefix": prefix}
    arguments["connection_factory"] = type("AppConnection", (LimitedConnection,), state)
    return {
        "connect_args": arguments,
        "hide_parameters": True,  # error messages are logged
        "use_native_hstore": False,  # saves a query per connection
        "pool_size": pool_size,
        "max_overflow": 0,
        # Until others that wait for a lock have given up. Whole seconds: SQLAlchemy cuts the rest off.
        "pool_timeout": ceil(milliseconds * 3 / 4000),
    }


def set_local(settings: Mapping[str, object]) -> str:
    """Return the statements that change settings of PostgreSQL for the rest of a transaction."""
    return "".join(f"SET LOCAL {name} = '{value}'; " for name, value in settings.items())


NO_LIMITS = {"statement_timeout": 0, "lock_timeout": 0, "idle_in_transaction_session_timeout": 0}


class UnlimitedConnection(extensions.connection):
    """A connection for commands, which may take long, and for jobs, which have a deadline."""

    @property
    def prefix(self) -> str:
        """Return what the first statement of each transaction brings along."""
        return command_prefix()


def command_prefix() -> str:
    """Return the statements with the time limits of a command, which has none, or of a job.

    They override the limits of the database role. If a worker disappears, the server rolls its transaction
    back at the deadline.
    """
    limits, left = NO_LIMITS, seconds_left()
    if not isinf(left):
        milliseconds = max(1, ceil(left * 1000))
        limits = dict.fromkeys(("statement_timeout", "idle_in_transaction_session_timeout"), milliseconds)
        limits = NO_LIMITS | limits
    return set_local({**limits, "timezone": "UTC"})


def command_options(settings: Settings) -> dict[str, Any]:
    """Return the options of the engine for commands."""
    query = settings.database_url.query
    keepalives = {name: value for name, value in KEEPALIVES.items() if name not in query}
    return {
        "url": settings.database_url,
        "connect_args": {"connection_factory": UnlimitedConnection, **keepalives},
        "hide_parameters": True,
        "use_native_hstore": False,
    }


def refuse_dead_connection(connection: Any, *_: object) -> None:
    """Notice at checkout that an idle connection is dead or still in a transaction. The pool reconnects.

    If the server has closed it, it is readable. That check costs a microsecond, and SQLAlchemy's
    `pool_pre_ping` a round trip. Only a connection that was idle for a minute is pinged.
    """
    if not isinstance(connection, LimitedConnection):  # of a migration, which has no pool
        return
    if connection.is_new:  # a second reconnection would be too many for SQLAlchemy, and end in a 500
        connection.is_new = False
        return
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        raise DisconnectionError("the server closed this idle connection")
    # If the server cancels a COMMIT, psycopg2 takes it for done, and its rollback does nothing.
    if connection.get_transaction_status() != extensions.TRANSACTION_STATUS_IDLE:
        raise DisconnectionError("the transaction of this idle connection hasn't ended")
    if connection.is_forgotten():
        raise InvalidatePoolError("this idle connection was dropped, and probably the others too")


def keep_other_connections(context: ExceptionContext) -> None:
    """Close only the connection of a slow statement. SQLAlchemy would replace all connections of the pool."""
    if isinstance(context.original_exception, errors.QueryCanceled):
        context.invalidate_pool_on_disconnect = False


def end_cursor_transaction(connection: Any, *_: object) -> None:
    """End the transaction of LimitedConnection.cursor() before another request gets the connection."""
    if getattr(connection, "has_begun", False):
        connection.has_begun = False
        with connection.cursor(cursor_factory=extensions.cursor) as cursor:
            cursor.execute("ROLLBACK")
