"""Connections to SQLite."""

import sqlite3
from typing import Any

from kit.settings import Settings

BEGIN, BEGIN_TO_WRITE = "BEGIN", "BEGIN IMMEDIATE"


class SqliteConnection(sqlite3.Connection):
    """A connection with a `cursor_factory`, as psycopg2's connections have."""

    cursor_factory: type[sqlite3.Cursor] = sqlite3.Cursor

    def cursor(self, factory: Any = None) -> Any:
        return super().cursor(factory or self.cursor_factory)


def engine_options(settings: Settings) -> dict[str, Any]:
    return {
        "connect_args": {"timeout": settings.database_timeout_ms / 1000, "factory": SqliteConnection},
        "hide_parameters": True,
    }


def set_up(connection: SqliteConnection, _: object) -> None:
    connection.isolation_level = None  # database.py begins transactions; sqlite3 would guess when
    for pragma in ("foreign_keys = ON", "journal_mode = WAL"):
        connection.execute(f"PRAGMA {pragma}")
