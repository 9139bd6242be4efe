"""The database session of a request, and the engines behind it."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from threading import BoundedSemaphore
from typing import Any

from flask import Flask, current_app, g, has_request_context
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as FlaskSession
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError

from kit.data import postgresql, sqlite, statement_count
from kit.data.base import Base
from kit.errors import Overloaded
from kit.settings import Settings

READ = "read"
COMMAND = "command"
# What a pooler answers to the app's start-up options: PgBouncer and hosts that use it, and RDS Proxy.
POOLER_REFUSES = re.compile("unsupported startup parameter|command-line options")
POOLER_HINT = (
    "This address is a pooler's: set DATABASE_POOLER=transaction. "
    "Migrations need MIGRATION_DATABASE_URL, the address of the database itself."
)


class RequestSession(FlaskSession):
    """The session of a request. Closing it can't fail, because the response is ready by then.

    For a GET view it uses the engine `read`, which has no transactions: a statement there is one round trip
    instead of three, and a statement that writes is refused. Outside of requests, which is in commands, it
    uses the engine `command`, which has no time limits.
    """

    def get_bind(self, *args: Any, **kwargs: Any) -> Engine | Connection:
        engines = self._db.engines
        if READ in engines and is_read_only():
            return engines[READ]
        if COMMAND in engines and not has_request_context():
            return engines[COMMAND]
        return super().get_bind(*args, **kwargs)

    def close(self) -> None:
        try:
            super().close()
        except DBAPIError:  # the connection broke after the last statement, and the transaction with it
            self.invalidate()


db = SQLAlchemy(metadata=Base.metadata, session_options={"class_": RequestSession, "expire_on_commit": False})


def init_app(app: Flask, settings: Settings) -> None:
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.database_url
    _configure_engines(app, settings)
    app.extensions["long_reads"] = BoundedSemaphore(max(1, settings.database_pool_size // 4))
    db.init_app(app)
    with app.app_context():
        for engine in db.engines.values():
            set_up_connections(engine)
            event.listen(engine, "connect", statement_count.count_statements)


def _configure_engines(app: Flask, settings: Settings) -> None:
    # part: sqlite
    if settings.database_url.drivername == "sqlite":
        app.config["SQLALCHEMY_ENGINE_OPTIONS"] = sqlite.engine_options(settings)
        return
    # end of part
    options, read_only = postgresql.engine_options(settings)
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = options
    command = postgresql.command_options(settings)
    app.config["SQLALCHEMY_BINDS"] = {READ: read_only, COMMAND: command}


def set_up_connections(engine: Engine) -> None:
    """Set up each new connection of an engine. The engine of migrations needs this too."""
    # part: sqlite
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", sqlite.set_up)
        event.listen(engine, "begin", _begin_sqlite)
        return
    # end of part
    event.listen(engine, "checkout", postgresql.refuse_dead_connection)
    event.listen(engine, "reset", postgresql.end_cursor_transaction)
    event.listen(engine, "handle_error", postgresql.keep_other_connections)


def is_read_only() -> bool:
    """Return whether the current view only reads. Rate limits are counted before it starts."""
    return has_request_context() and bool(g.get("is_read_only"))


@contextmanager
def writing() -> Iterator[None]:
    """Let `db.session` write in the block, even before a view that only reads. End the transaction in it."""
    is_read_only, g.is_read_only = g.get("is_read_only"), False
    try:
        yield
    finally:
        g.is_read_only = is_read_only


def read_connection() -> Connection:
    """Return a connection for a single statement that only reads. Close it to give it back."""
    engines = db.engines
    # part: sqlite
    if READ not in engines:
        return db.engine.execution_options(is_read_only=True).connect()
    # end of part
    return engines[READ].connect()


@contextmanager
def consistent_read() -> Iterator[Connection]:
    """Lend a connection for statements that see the database as it was when the first of them ran.

    Requests may use a quarter of the connections like this at the same time, because clients can be slow to
    read a stream. Raises Overloaded beyond that.
    """
    with ExitStack() as stack:
        if has_request_context():
            slots: BoundedSemaphore = current_app.extensions["long_reads"]
            if not slots.acquire(blocking=False):
                raise Overloaded
            stack.callback(slots.release)
        engine: Any = db.session.get_bind()
        connection = stack.enter_context(_close_quietly(engine.connect()))
        if not connection.in_transaction():  # that of a test has begun
            options: dict[str, Any] = {"isolation_level": "REPEATABLE READ"}
            # part: sqlite
            if connection.dialect.name == "sqlite":
                options = {"is_read_only": True}
            # end of part
            connection.execution_options(**options)
        yield connection


@contextmanager
def _close_quietly(lent: AbstractContextManager[Connection]) -> Iterator[Connection]:
    """Close a connection in the end. That can't fail, for the same reason as RequestSession.close."""
    connection = lent.__enter__()
    try:
        yield connection
    finally:
        with suppress(DBAPIError):
            lent.__exit__(None, None, None)


def release() -> None:
    """End a transaction that only read and give its connection back, before something slow such as hashing.

    Rows stay readable, but no longer belong to a session. Lock them again before changing them.
    """
    db.session.close()


def reason_of(error: BaseException) -> str:
    """Return the database's message in one line, without SQL or values. For the log, not for clients."""
    reason = str(getattr(error, "orig", error)).strip().partition("\n")[0]
    return f"{reason}. {POOLER_HINT}" if POOLER_REFUSES.search(reason) else reason


# part: sqlite
def _begin_sqlite(connection: Connection) -> None:
    """Take SQLite's only write lock at once, unless the view only reads.

    Otherwise a transaction that reads first and writes later fails at once if another one has written.
    """
    is_reading = is_read_only() or connection.get_execution_options().get("is_read_only")
    connection.exec_driver_sql(sqlite.BEGIN if is_reading else sqlite.BEGIN_TO_WRITE)


# end of part
