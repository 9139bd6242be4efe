"""The database: `db`, what holds for each of its connections, and its health."""

import logging
import select
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import current_thread, get_ident, main_thread
from time import monotonic, perf_counter
from typing import Any, ClassVar, NoReturn

import psycopg2
from flask import Flask, g, has_app_context, has_request_context
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as FlaskSession
from psycopg2 import extensions
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError

from app.config import Settings
from app.model.list import METADATA

logger = logging.getLogger("app.database")
READ = "read"
SILENT_SECONDS = 1
POLL_EVENTS = {extensions.POLL_READ: select.POLLIN, extensions.POLL_WRITE: select.POLLOUT}
BEGIN, BEGIN_TO_WRITE = "BEGIN", "BEGIN IMMEDIATE"  # on SQLite; on PostgreSQL the driver begins, unseen
MIGRATIONS = Path(__file__).parent.parent / "migrations"


class Session(FlaskSession):
    """The session of a request. Its end cannot fail: an answer is ready by then.

    A view that only reads has it on the engine `read`, which knows no transactions: a statement there is one
    round trip, where BEGIN and ROLLBACK are two more, and one that writes is refused.
    """

    def get_bind(self, *args: Any, **kwargs: Any) -> Engine | Connection:
        engines = self._db.engines
        return engines[READ] if READ in engines and only_reads() else super().get_bind(*args, **kwargs)

    def close(self) -> None:
        try:
            super().close()
        except DBAPIError:  # the database went away since the last statement, and the transaction with it
            self.invalidate()


db = SQLAlchemy(metadata=METADATA, session_options={"class_": Session, "expire_on_commit": False})


def init_app(app: Flask, settings: Settings) -> None:
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.database_url
    if settings.database_url.drivername == "sqlite":
        app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {
            "connect_args": {
                "timeout": settings.database_timeout_ms / 1000,
                "factory": SqliteConnection,
            },
            "hide_parameters": True,
        }
    else:
        size = settings.database_pool_size or settings.threads
        limited = _limited(settings.database_timeout_ms)
        # Those who write also hash, or wait for each other: half as many connections do.
        app.config["SQLALCHEMY_ENGINE_OPTIONS"] = _postgresql_options(settings, limited, (size + 1) // 2)
        read_only = _postgresql_options(settings, limited, size, default_transaction_read_only="on")
        # Nothing is left to roll back when a connection comes back to the pool.
        read_only |= {
            "url": settings.database_url,
            "isolation_level": "AUTOCOMMIT",
            "pool_reset_on_return": None,
        }
        app.config["SQLALCHEMY_BINDS"] = {READ: read_only}
    db.init_app(app)
    with app.app_context():
        for engine in db.engines.values():
            listen(engine)
            event.listen(engine, "connect", _count_statements)


def only_reads() -> bool:
    """Whether a view is at work that changes nothing. Limits are counted before."""
    return has_request_context() and bool(g.get("only_reads"))


def reading() -> Connection:
    """Connect for a statement that changes nothing and stands alone. Close it, to give it back."""
    engines = db.engines
    engine = engines[READ] if READ in engines else db.engine.execution_options(only_reads=True)
    return engine.connect()


def listen(engine: Engine) -> None:
    """Set up each connection of the engine; a migration's engine needs the same."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "checkout", _refuse_dead_connection)
        event.listen(engine, "reset", _end_transaction)


class Counted:
    """A cursor that notes, for the request's line in the log, how many statements were sent and how long they
    took. SQLAlchemy's events could tell too: by them GET /account takes a tenth more CPU time."""

    def execute(self, statement: Any, *parameters: Any) -> Any:
        return _note(super().execute, statement, *parameters)  # type: ignore[misc]

    def executemany(self, statement: Any, parameters: Any) -> Any:
        return _note(super().executemany, statement, parameters)  # type: ignore[misc]


def _note(send: Callable[..., Any], statement: Any, *parameters: Any) -> Any:
    kept = vars(g) if has_app_context() else {}
    if statement not in (BEGIN, BEGIN_TO_WRITE):
        kept["sql_statements"] = kept.get("sql_statements", 0) + 1
    begun = perf_counter()
    try:
        return send(statement, *parameters)
    finally:
        kept["sql_seconds"] = kept.get("sql_seconds", 0.0) + perf_counter() - begun


def _count_statements(connection: object, _: object) -> None:
    """Count from now on: what was sent so far, to set the connection up, belongs to no request."""
    if isinstance(connection, extensions.connection):
        connection.cursor_factory = PostgresqlCursor
    elif isinstance(connection, SqliteConnection):
        connection.cursor_factory = SqliteCursor


class PostgresqlCursor(Counted, extensions.cursor):
    def copy_expert(self, *_: object, **__: object) -> NoReturn:
        raise psycopg2.NotSupportedError(
            "The session's connection can't COPY, because its calls have a time limit. "
            "In a command, use `with bulk_copy() as cursor:` of app.database."
        )

    copy_from = copy_to = copy_expert


class SqliteCursor(Counted, sqlite3.Cursor):
    pass


class SqliteConnection(sqlite3.Connection):
    """A connection that can be told which cursors to give, as psycopg2's can."""

    cursor_factory: type[sqlite3.Cursor] = sqlite3.Cursor

    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(factory or self.cursor_factory)


def release() -> None:
    """End a transaction that only read, and give its connection back: before hashing, which takes long.

    What was read stays usable. It belongs to no session any more: lock it anew before changing it.
    """
    db.session.close()


@contextmanager
def bulk_copy() -> Iterator[extensions.cursor]:
    """Give a cursor for PostgreSQL's COPY (`copy_expert`), in a transaction that is committed at the end.

    For commands alone. psycopg2 refuses COPY while calls have a time limit (a wait callback), which holds for
    the whole process; so there is none meanwhile, and no other thread may be at work.
    """
    if has_request_context() or current_thread() is not main_thread():
        raise RuntimeError("bulk_copy() is for commands: a request can't use COPY. Stream rows instead.")
    if db.engine.dialect.name != "postgresql":
        raise RuntimeError("bulk_copy() needs PostgreSQL: SQLite has no COPY.")
    _, arguments = db.engine.dialect.create_connect_args(db.engine.url)
    extensions.set_wait_callback(None)
    try:
        with closing(psycopg2.connect(**arguments)) as connection, connection, connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0; SET lock_timeout = 0; SET timezone = 'UTC'")
            cursor.execute("SET idle_in_transaction_session_timeout = 0")
            yield cursor
    finally:
        extensions.set_wait_callback(_wait)


def reason_of(error: Exception) -> str:
    """Return the database's own words, in one line, without SQL or values. For the log, never for clients."""
    return str(getattr(error, "orig", error)).strip().partition("\n")[0]


def failing_check() -> str | None:
    """Return the first readiness check that fails, `database` or `migrations`, or None.

    A revision that this code does not know is a newer release's: it has migrated and will replace us.
    """
    # Loaded when it is asked, not at each start: Alembic would be a tenth of that.
    migration = import_module("alembic.runtime.migration")
    try:
        applied = set(migration.MigrationContext.configure(db.session.connection()).get_current_heads())
    except SQLAlchemyError as error:
        logger.warning("not ready: %s", reason_of(error))
        return "database"
    heads, known = revisions()
    return None if applied == heads or applied - known else "migrations"


@cache
def revisions() -> tuple[set[str], set[str]]:
    """Return the newest revisions of this code, and all."""
    scripts = import_module("alembic.script").ScriptDirectory(str(MIGRATIONS))
    return set(scripts.get_heads()), {script.revision for script in scripts.walk_revisions()}


def _limited(milliseconds: int) -> type["LimitedConnection"]:
    """Return the class of an app's connections. The server ends a slow statement in that time; half a
    second later the client gives up on a silent server."""
    return type("Limited", (LimitedConnection,), {"seconds": milliseconds / 1000 + 0.5})


def _postgresql_options(
    settings: Settings, limited: type["LimitedConnection"], pool_size: int, **more: str
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
        "connect_args": {"options": options.strip(), "connection_factory": limited},
        "hide_parameters": True,  # what an error says goes into the log
        "use_native_hstore": False,  # or each new connection would be asked for the type's number
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_timeout": milliseconds / 2000,
    }


class LimitedConnection(extensions.connection):
    """A connection whose calls end in time. Each app has a subclass, and so its own silence.

    When one call was not answered in time, the others fail at once for a second; then one tries.
    """

    seconds: ClassVar[float | None] = None  # for each call; None: for ever, as a migration may take
    silent_until: ClassVar[float] = 0  # 0: not silent
    trying: ClassVar[int] = 0  # the thread that tries
    has_begun = False  # a transaction for cursors on the server

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.begin()
        begun = monotonic()
        try:
            super().__init__(*args, **kwargs)
        except psycopg2.Error:
            # No refusal takes so long. Where a name server is silent, only the resolver has a time limit.
            self.fail(silent=monotonic() - begun > SILENT_SECONDS)
            raise

    def cursor(  # type: ignore[override]
        self, name: str | None = None, *args: Any, withhold: bool = False, **kwargs: Any
    ) -> Any:
        """Return a cursor. One with a name is on the server (`yield_per`) and needs a transaction, so begin
        one where there is none. _end_transaction ends it.

        psycopg2 doesn't see it, and insists on WITH HOLD. That has no effect, because nothing commits.
        """
        if name is not None and self.autocommit:
            withhold = True
            if not self.has_begun:
                with super().cursor(cursor_factory=extensions.cursor) as cursor:
                    cursor.execute("BEGIN")
                self.has_begun = True
        return super().cursor(name, *args, withhold=withhold, **kwargs)

    @classmethod
    def begin(cls) -> None:
        if not cls.silent_until or cls.trying == get_ident():
            return
        if monotonic() < cls.silent_until:
            raise psycopg2.OperationalError("the database did not answer a moment ago")
        cls.silent_until, cls.trying = monotonic() + (cls.seconds or 0), get_ident()

    @classmethod
    def fail(cls, *, silent: bool) -> None:
        if silent and cls.seconds:
            cls.silent_until, cls.trying = monotonic() + SILENT_SECONDS, 0
        elif cls.trying == get_ident():
            cls.succeed()  # it says no, but it speaks

    @classmethod
    def succeed(cls) -> None:
        cls.silent_until, cls.trying = 0, 0


def _wait(connection: extensions.connection) -> None:
    """Wait for the server, but not for ever, as libpq does. Raising makes psycopg2 close the connection."""
    limited = type(connection) if isinstance(connection, LimitedConnection) else LimitedConnection
    limited.begin()
    deadline = monotonic() + limited.seconds if limited.seconds else None
    try:
        while (state := connection.poll()) != extensions.POLL_OK:
            poll = select.poll()
            poll.register(connection.fileno(), POLL_EVENTS[state])
            if not poll.poll(None if deadline is None else max(0, deadline - monotonic()) * 1000):
                raise psycopg2.OperationalError("the database did not answer in time")
    except psycopg2.Error:
        limited.fail(silent=deadline is not None and monotonic() >= deadline)
        raise
    limited.succeed()


extensions.set_wait_callback(_wait)


def _refuse_dead_connection(connection: Any, *_: object) -> None:
    """Notice at checkout that the server closed an idle connection: it has something to read, its end.

    Costs a microsecond, where SQLAlchemy's `pool_pre_ping` costs a round trip. The pool then reconnects.
    """
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        raise DisconnectionError("the server closed this idle connection")


def _end_transaction(connection: Any, *_: object) -> None:
    """End what LimitedConnection.cursor has begun, before another request gets the connection."""
    if getattr(connection, "has_begun", False):
        connection.has_begun = False
        with connection.cursor(cursor_factory=extensions.cursor) as cursor:
            cursor.execute("ROLLBACK")


def _set_up_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = (
        None  # transactions begin where _begin_sqlite says, not where sqlite3 guesses
    )
    for pragma in ("foreign_keys = ON", "journal_mode = WAL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    """Take SQLite's one write lock at once, unless the request only reads: a transaction that reads first
    and writes later fails when another one wrote in between, without waiting."""
    reads = only_reads() or connection.get_execution_options().get("only_reads")
    connection.exec_driver_sql(BEGIN if reads else BEGIN_TO_WRITE)
