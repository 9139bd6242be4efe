"""DATABASE_POOLER=transaction: no start-up options and no state in sessions, but the same limits."""

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, g
from sqlalchemy import text
from sqlalchemy.exc import InternalError, OperationalError

from app import create_app
from app.database import db
from kit.data.database import READ
from kit.web.endpoint import endpoint
from tests.support.people import People
from tests.support.settings import NEVER_OPENED, settings_for

SETTINGS = "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "timezone"
SHOW = text("SELECT " + ", ".join(f"current_setting('{name}')" for name in SETTINGS))


@pytest.fixture
def pooled(committed_app: Flask) -> Iterator[Flask]:
    url = committed_app.extensions["settings"].database_url
    if url.drivername == "sqlite":  # part: sqlite
        pytest.skip("SQLite has no pooler")  # part: sqlite
    app = create_app(settings_for(url, database_timeout_ms=2000, database_pooler="transaction"))
    with app.app_context():
        yield app
        for engine in db.engines.values():
            engine.dispose()


def test_no_options_are_sent_at_the_start(pooled: Flask) -> None:
    for engine in db.engines.values():
        with engine.connect() as connection:
            raw: Any = connection.connection.dbapi_connection
            assert raw.info.dsn_parameters["options"] == ""


@pytest.mark.parametrize("name", [READ, None])
def test_each_transaction_has_the_limits_and_leaves_none_behind(pooled: Flask, name: str | None) -> None:
    engine = db.engines[name]

    with engine.connect() as connection:
        assert tuple(connection.execute(SHOW).one()) == ("2s", "1500ms", "10s", "UTC")
        assert tuple(connection.execute(SHOW).one()) == ("2s", "1500ms", "10s", "UTC")
        connection.rollback()
        raw: Any = connection.connection.dbapi_connection
        with raw.cursor() as cursor:
            raw.prefix = ""
            cursor.execute(str(SHOW))
            assert cursor.fetchone()[:3] == ("0", "0", "0")
            del raw.prefix
            raw.rollback()


@pytest.mark.parametrize("name", [READ, None])
def test_a_server_side_cursor_has_the_limits(pooled: Flask, name: str | None) -> None:
    with db.engines[name].connect() as connection:
        rows = connection.execution_options(yield_per=2).execute(
            text("SELECT number, current_setting('statement_timeout') FROM generate_series(1, 5) AS number")
        )
        assert rows.all() == [(number, "2s") for number in range(1, 6)]


def test_a_slow_statement_is_canceled(pooled: Flask) -> None:
    for engine in (db.engine, db.engines[READ]):
        with engine.connect() as connection, pytest.raises(OperationalError, match="statement timeout"):
            connection.execute(text("SELECT pg_sleep(30)"))


def test_a_read_only_view_cannot_write(pooled: Flask) -> None:
    @endpoint()
    def stray() -> None:
        db.session.execute(text("DELETE FROM users"))

    with (
        pooled.test_request_context(method="GET"),
        pytest.raises(InternalError, match="read-only transaction"),
    ):
        stray()
    with pooled.test_request_context(method="POST"):
        stray()


def test_several_statements_of_a_read_only_view_cannot_write(pooled: Flask) -> None:
    names = [{"name": name} for name in ("ann", "bob")]

    with (
        db.engines[READ].connect() as connection,
        pytest.raises(InternalError, match="read-only transaction"),
    ):
        connection.execute(text("DELETE FROM users WHERE username = :name"), names)


def test_a_read_is_one_statement_and_a_write_counts_its_rows(pooled: Flask, password_hash: Any) -> None:
    ann, bob = People(pooled, password_hash)("ann"), People(pooled, password_hash)("bob")

    with pooled.test_client() as client:
        assert client.get("/account", headers=ann.headers).status_code == 200
        assert g.sql_statements == 1
    names = [{"name": name} for name in ("ann", "bob", "carl")]
    many = db.session.execute(text("UPDATE users SET role = role WHERE username = :name"), names)
    assert many.rowcount == 2  # type: ignore[attr-defined]
    assert bob.client.post("/auth/logout", headers=bob.headers).status_code == 204


@pytest.mark.any_database
@pytest.mark.parametrize(
    "refusal",
    [
        "unsupported startup parameter in options: statement_timeout",
        "unsupported startup parameter: options",
        "Feature not supported: RDS Proxy currently doesn\u2019t support command-line options.",
    ],
)
def test_a_pooler_that_refuses_the_options_is_recognized(
    refusal: str, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(listener: socket.socket) -> None:
        with listener.accept()[0] as connection:
            connection.recv(4096)
            fields = f"SFATAL\0C08P01\0M{refusal}\0\0".encode()
            connection.sendall(b"E" + (len(fields) + 4).to_bytes(4, "big") + fields)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=refuse, args=[listener])
        thread.start()
        url = NEVER_OPENED.replace(":1/", f":{listener.getsockname()[1]}/") + "?sslmode=disable"
        response = create_app(settings_for(url)).test_client().get("/health/ready")
        thread.join(timeout=60)

    assert response.status_code == 503
    assert "This address is a pooler's: set DATABASE_POOLER=transaction." in caplog.text
