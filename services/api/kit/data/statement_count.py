"""Counts the SQL statements of a request and their time, for its line in the log.

Cursors do this themselves. With SQLAlchemy's events GET /account takes 10 % more CPU time.
"""

import sqlite3  # part: sqlite
from collections.abc import Callable
from time import perf_counter
from typing import Any, NoReturn

import psycopg2
from flask import g, has_app_context
from psycopg2 import extensions
from psycopg2.sql import Composable

from kit.data.sqlite import BEGIN, BEGIN_TO_WRITE, SqliteConnection  # part: sqlite


def count_statements(connection: object, _: object) -> None:
    """Count the statements of a new connection from now on. Those that set it up belong to no request."""
    if isinstance(connection, extensions.connection):
        connection.cursor_factory = PostgresqlCursor
    # part: sqlite
    elif isinstance(connection, SqliteConnection):
        connection.cursor_factory = SqliteCursor
    # end of part


class CountingCursor:
    def execute(self, statement: Any, *parameters: Any) -> Any:
        return _count(super().execute, statement, *parameters)  # type: ignore[misc]

    def executemany(self, statement: Any, parameters: Any) -> Any:
        return _count(super().executemany, statement, parameters)  # type: ignore[misc]


class PostgresqlCursor(CountingCursor, extensions.cursor):
    connection: Any

    def execute(self, statement: Any, *parameters: Any) -> Any:
        return super().execute(self._prefixed(statement), *parameters)

    def executemany(self, statement: Any, parameters: Any) -> Any:
        return super().executemany(self._prefixed(statement), parameters)

    def _prefixed(self, statement: Any) -> Any:
        """Begin a transaction with its settings. That of a server-side cursor has already begun."""
        if not (prefix := self.connection.prefix) or self.name is not None:
            return statement
        if self.connection.status != extensions.STATUS_READY:
            return statement
        return prefix + (statement.as_string(self) if isinstance(statement, Composable) else statement)

    def copy_expert(self, *_: object, **__: object) -> NoReturn:
        raise psycopg2.NotSupportedError(
            "The session's connection can't COPY, because its calls have a time limit. "
            "In a command, use `with bulk_copy() as cursor:` (kit/data/bulk_copy.py)."
        )

    copy_from = copy_to = copy_expert


# part: sqlite
class SqliteCursor(CountingCursor, sqlite3.Cursor):
    pass


# end of part
def _count(send: Callable[..., Any], statement: Any, *parameters: Any) -> Any:
    counters = vars(g) if has_app_context() else {}
    if statement not in (BEGIN, BEGIN_TO_WRITE):  # on PostgreSQL the driver begins, unseen
        counters["sql_statements"] = counters.get("sql_statements", 0) + 1
    started = perf_counter()
    try:
        return send(statement, *parameters)
    finally:
        counters["sql_seconds"] = counters.get("sql_seconds", 0.0) + perf_counter() - started
