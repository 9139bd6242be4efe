"""Behavior when the database is unavailable or doesn't respond."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, g
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from sqlalchemy import text
from sqlalchemy.exc import InternalError

from app import create_app
from app.database import db
from kit.data import postgresql
from kit.data.database import READ
from kit.web.endpoint import endpoint
from tests.support.credentials import PASSWORD
from tests.support.problems import problem
from tests.support.settings import settings_for


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
        if db.engine.dialect.name == "sqlite":
            pytest.skip("SQLite has no server that could close a connection")
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

    if READ not in db_engines(committed_app):
        pytest.skip("SQLite has one engine for all")
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

    if READ not in db_engines(committed_app):
        pytest.skip("SQLite has one engine for all")
    with committed_app.test_request_context(method="GET"):
        look()


def db_engines(app: Flask) -> set[str | None]:
    with app.app_context():
        return set(db.engines)


class SilentServer:
    """A server that accepts connections and never responds."""

    def __init__(self) -> None:
        self.connections: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._accept)
        self.thread.start()

    def _accept(self) -> None:
        while True:
            try:
                self.connections.append(self.listener.accept()[0])
            except OSError:
                return

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(timeout=60)
        for connection in self.connections:
            connection.close()


@pytest.fixture
def silent() -> Iterator[SilentServer]:
    server = SilentServer()
    yield server
    server.close()


def test_an_unresponsive_database_is_retried_once_a_second(
    silent: SilentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert postgresql.SILENT_SECONDS == 1
    monkeypatch.setattr(postgresql, "SILENT_SECONDS", 60)  # the rest of the test can take a second
    url = f"postgresql+psycopg2://ann@127.0.0.1:{silent.port}/app_test?sslmode=disable"
    app = create_app(settings_for(url, database_timeout_ms=100))
    app.config["PROPAGATE_EXCEPTIONS"] = False
    client = app.test_client()

    def register() -> None:
        response = client.post("/auth/register", json={"username": "ann", "password": PASSWORD})
        assert problem(response) == (503, "database_unavailable")
        assert int(response.headers["Retry-After"]) >= 1

    for _ in range(5):
        register()

    assert len(silent.connections) == 1
    assert client.get("/health/live").status_code == 200
    monkeypatch.setattr(postgresql, "monotonic", lambda: time.monotonic() + 60)
    register()
    assert len(silent.connections) == 2
