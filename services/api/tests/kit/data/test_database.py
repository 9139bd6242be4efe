"""Behavior when the database is unavailable or doesn't respond."""

from typing import Any

import pytest
from flask import Flask, g
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from sqlalchemy import event, text
from sqlalchemy.exc import InternalError

from app.database import db
from kit.data.database import READ
from kit.security.hashers import PasswordHash
from kit.web.endpoint import endpoint
from tests.support.people import People, Person
from tests.support.problems import problem


def test_a_response_survives_the_loss_of_its_connection(committed_app: Flask) -> None:
    with committed_app.app_context():
        db.session.execute(text("SELECT 1"))
        connection = db.session.connection().connection.dbapi_connection
        assert connection is not None
        connection.close()

        db.session.remove()

        assert db.session.scalar(text("SELECT 1")) == 1


def test_an_idle_connection_that_the_server_closed_is_replaced(committed_app: Flask) -> None:
    with committed_app.app_context():
        if db.engine.dialect.name == "sqlite":  # part: sqlite
            pytest.skip("SQLite has no server that could close a connection")  # part: sqlite
        own = db.session.scalar(text("SELECT pg_backend_pid()"))
        db.session.remove()
        with db.engine.connect() as first, db.engine.connect() as second:
            other = second if first.scalar(text("SELECT pg_backend_pid()")) == own else first
            victim = second if other is first else first
            pid = victim.scalar(text("SELECT pg_backend_pid()"))
            victim.close()
            other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})

        for _ in range(3):
            assert db.session.scalar(text("SELECT 1")) == 1
            db.session.remove()


def test_a_new_connection_that_the_server_closes_is_a_503(committed_app: Flask, ann: Person) -> None:
    with committed_app.app_context():
        if READ not in db.engines:  # part: sqlite
            pytest.skip("SQLite has no server that could close a connection")  # part: sqlite
        engine, other = db.engines[READ], db.engine

    def terminate(connection: Any, *_: object) -> None:
        with other.begin() as killer:
            killer.execute(
                text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": connection.info.backend_pid}
            )

    engine.dispose()  # so that there is one idle connection, and no others
    with engine.connect() as idle:
        terminate(idle.connection.dbapi_connection)
    event.listen(engine, "connect", terminate)
    try:
        assert problem(ann.get("/account")) == (503, "database_unavailable")
    finally:
        event.remove(engine, "connect", terminate)
    assert ann.get("/account").status_code == 200


@pytest.fixture
def ann(committed_app: Flask, password_hash: PasswordHash) -> Person:
    return People(committed_app, password_hash)("ann")


def test_executemany_is_counted(committed_app: Flask) -> None:
    names = [{"name": "ann"}, {"name": "bob"}]
    with committed_app.app_context():
        db.session.execute(text("UPDATE users SET role = role WHERE username = :name"), names)

        assert g.sql_statements == 1
        assert g.sql_seconds > 0


def test_a_thread_without_an_app_context_can_use_an_engine(committed_app: Flask) -> None:
    with committed_app.app_context():
        engine = db.engine

    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1


def test_a_read_only_view_cannot_write(committed_app: Flask) -> None:
    @endpoint()
    def stray() -> None:
        db.session.execute(text("DELETE FROM users"))

    if READ not in db_engines(committed_app):  # part: sqlite
        pytest.skip("SQLite has one engine for all")  # part: sqlite
    for method in ("GET", "HEAD"):
        with (
            committed_app.test_request_context(method=method),
            pytest.raises(InternalError, match="read-only transaction"),
        ):
            stray()
    with committed_app.test_request_context(method="POST"):
        stray()


def test_a_read_only_view_begins_no_transaction(committed_app: Flask) -> None:
    @endpoint()
    def look() -> None:
        db.session.execute(text("SELECT 1"))
        connection: Any = db.session.connection().connection.dbapi_connection
        assert connection.info.transaction_status == TRANSACTION_STATUS_IDLE

    if READ not in db_engines(committed_app):  # part: sqlite
        pytest.skip("SQLite has one engine for all")  # part: sqlite
    with committed_app.test_request_context(method="GET"):
        look()


def db_engines(app: Flask) -> set[str | None]:
    with app.app_context():
        return set(db.engines)
