"""COPY on a separate connection."""

from collections.abc import Iterator
from contextlib import suppress
from io import StringIO
from threading import Thread
from typing import Any

import psycopg2
import pytest
from flask import Flask
from sqlalchemy import text

from app.database import db
from kit.data.bulk_copy import bulk_copy


@pytest.fixture
def on_postgresql(committed_app: Flask) -> Iterator[Flask]:
    with committed_app.app_context():
        if db.engine.dialect.name == "sqlite":  # part: sqlite
            pytest.skip("SQLite has no COPY")  # part: sqlite
        yield committed_app


def test_bulk_copy_commits_at_the_end_or_rolls_back(on_postgresql: Flask) -> None:
    db.session.execute(text("CREATE TABLE copied (number integer)"))
    db.session.commit()
    try:
        with bulk_copy() as cursor:
            cursor.copy_expert("COPY copied FROM STDIN", StringIO("1\n2\n"))
        with suppress(RuntimeError), bulk_copy() as cursor:
            cursor.copy_expert("COPY copied FROM STDIN", StringIO("3\n"))
            raise RuntimeError

        assert db.session.scalars(text("SELECT number FROM copied ORDER BY number")).all() == [1, 2]
    finally:
        db.session.rollback()
        db.session.execute(text("DROP TABLE copied"))
        db.session.commit()


def test_only_bulk_copy_has_no_time_limit(on_postgresql: Flask) -> None:
    limits = "SELECT current_setting('statement_timeout'), current_setting('lock_timeout')"
    callback = psycopg2.extensions.get_wait_callback()

    with bulk_copy() as cursor:
        cursor.execute(limits)
        assert cursor.fetchone() == ("0", "0")

    assert psycopg2.extensions.get_wait_callback() is callback is not None
    with on_postgresql.test_request_context():
        limited = tuple(db.session.execute(text(limits)).one())
    assert limited == ("1min", "45s")  # the tests' DATABASE_TIMEOUT_MS


def test_copy_in_a_session_explains_where_it_works(on_postgresql: Flask) -> None:
    cursor: Any = db.session.connection().connection.cursor()

    for copy in (cursor.copy_expert, cursor.copy_from, cursor.copy_to):
        with pytest.raises(psycopg2.NotSupportedError, match="bulk_copy"):
            copy("COPY users TO STDOUT", StringIO())


@pytest.mark.any_database
def test_bulk_copy_refuses_a_request_and_another_thread(app: Flask) -> None:
    refused: list[RuntimeError] = []

    def use() -> None:
        with app.app_context(), pytest.raises(RuntimeError, match="is for commands") as error, bulk_copy():
            pass
        refused.append(error.value)

    thread = Thread(target=use)
    thread.start()
    thread.join()
    with app.test_request_context():
        use()
    assert len(refused) == 2
