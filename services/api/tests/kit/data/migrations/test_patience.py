"""Migrations that wait for a lock: requests go on, and the migration is repeated."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import flask_migrate
import pytest
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import URL, create_engine, inspect, text

from app import create_app
from app.database import db
from kit.data.migrations import commands as migrations
from kit.data.migrations import patience
from tests.support.credentials import PASSWORD, bearer
from tests.support.paths import MIGRATIONS
from tests.support.settings import settings_for
from tests.support.waiting import wait_until

pytestmark = pytest.mark.long
WAITS = "the migration waits for other transactions"
ADD_A_COLUMN = 'op.execute("ALTER TABLE users ADD COLUMN news text")'


@pytest.fixture(autouse=True)
def _only_postgresql(empty_url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    if empty_url.drivername == "sqlite":  # part: sqlite
        pytest.skip("SQLite has one lock, for which a migration waits like a request")  # part: sqlite
    monkeypatch.setattr(patience, "PAUSE_SECONDS", 0.1)


@pytest.fixture
def app(empty_url: URL) -> Iterator[Flask]:
    app = create_app(settings_for(empty_url, database_timeout_ms=2000))
    migrations.init_app(app)
    with app.app_context():
        flask_migrate.upgrade()
        yield app
        db.session.remove()
        for engine in db.engines.values():
            engine.dispose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(MIGRATIONS, tmp_path / "migrations")


def add(folder: Path, revision: str, *lines: str) -> None:
    """Add a revision whose upgrade has these lines."""
    head = ScriptDirectory(str(folder)).get_current_head()
    body = "".join(f"    {line}\n" for line in lines)
    (folder / "versions" / f"{revision}.py").write_text(
        "from alembic import op\n"
        f"revision, down_revision = {revision!r}, {head!r}\n"
        f"def upgrade():\n{body}"
        "def downgrade():\n    op.execute('ALTER TABLE users DROP COLUMN news')\n"
    )


@contextmanager
def backup(url: URL) -> Iterator[None]:
    """Hold the lock that pg_dump holds on every table, until the end of its transaction."""
    engine = create_engine(url)
    with engine.connect() as connection:
        connection.execute(text("LOCK TABLE users IN ACCESS SHARE MODE"))
        yield
    engine.dispose()


@contextmanager
def migrating_during_a_backup(app: Flask, url: URL, command: Callable[[], None]) -> Iterator[None]:
    """Run the command in a thread. The backup ends with the block, and then the command must end too."""

    def run() -> None:
        with app.app_context():
            command()

    migrator = threading.Thread(target=run)
    with backup(url):
        migrator.start()
        yield
    migrator.join(timeout=60)
    assert not migrator.is_alive()


def waits(caplog: pytest.LogCaptureFixture) -> int:
    return sum(message.startswith(WAITS) for message in caplog.messages)


def columns() -> set[str]:
    return {column["name"] for column in inspect(db.engine).get_columns("users")}


def test_requests_are_answered_while_a_migration_waits_for_a_backup(
    app: Flask, empty_url: URL, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    add(folder, "news", ADD_A_COLUMN)
    serving = create_app(settings_for(empty_url))  # patient, so that only a hanging request fails
    client = serving.test_client()
    credentials = {"username": "ann", "password": PASSWORD}
    client.post("/auth/register", json=credentials)
    statuses = []

    upgrade = partial(flask_migrate.upgrade, directory=str(folder))
    with migrating_during_a_backup(app, empty_url, upgrade):
        while waits(caplog) < 3:
            tokens = client.post("/auth/login", json=credentials)
            account = client.get("/account", headers=bearer(tokens.json["access_token"]))
            statuses += [tokens.status_code, account.status_code]
        assert "news" not in columns()
        db.session.remove()

    assert set(statuses) == {200}
    assert "news" in columns()
    with serving.app_context():
        for engine in db.engines.values():
            engine.dispose()


def test_committed_revisions_stay_and_a_relative_target_is_not_moved(
    app: Flask, empty_url: URL, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    add(folder, "first", 'op.execute("CREATE TABLE first (id integer)")')
    add(folder, "second", 'op.execute("CREATE TABLE second (id integer)")', ADD_A_COLUMN)
    add(folder, "third", 'op.execute("CREATE TABLE third (id integer)")')

    upgrade = partial(flask_migrate.upgrade, directory=str(folder), revision="+2")
    with migrating_during_a_backup(app, empty_url, upgrade):
        wait_until(lambda: waits(caplog) > 1, 60)
        tables = set(inspect(db.engine).get_table_names())

    assert tables & {"first", "second", "third"} == {"first"}
    assert set(inspect(db.engine).get_table_names()) & {"first", "second", "third"} == {"first", "second"}
    assert "news" in columns()


def test_a_downgrade_waits_too(
    app: Flask, empty_url: URL, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    add(folder, "news", ADD_A_COLUMN)
    flask_migrate.upgrade(directory=str(folder))

    downgrade = partial(flask_migrate.downgrade, directory=str(folder))
    with migrating_during_a_backup(app, empty_url, downgrade):
        wait_until(lambda: waits(caplog) > 0, 60)
        assert "news" in columns()

    assert "news" not in columns()


def test_a_migration_gives_up_in_the_end(
    app: Flask,
    empty_url: URL,
    folder: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(patience, "RETRIES", 2)
    add(folder, "news", 'op.execute("CREATE TABLE half_done (id integer)")', ADD_A_COLUMN)

    with backup(empty_url), pytest.raises(SystemExit):
        flask_migrate.upgrade(directory=str(folder))

    assert waits(caplog) == 2
    assert "canceling statement due to lock timeout" in caplog.messages[-1]
    assert "half_done" not in inspect(db.engine).get_table_names()


def test_a_migration_that_loses_a_deadlock_is_repeated(
    app: Flask, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with db.engine.begin() as connection:
        connection.execute(text("CREATE SEQUENCE attempts_of_test"))  # a rollback doesn't turn it back
    lost = "IF nextval('attempts_of_test') = 1 THEN RAISE deadlock_detected; END IF;"
    add(folder, "unlucky", f'op.execute("DO $$ BEGIN {lost} END $$")', ADD_A_COLUMN)

    flask_migrate.upgrade(directory=str(folder))

    assert waits(caplog) == 1
    assert "news" in columns()


def test_an_autocommit_block_has_no_limit_and_the_rest_of_the_revision_has(
    app: Flask, empty_url: URL, folder: Path
) -> None:
    limits = (
        "SELECT current_setting('lock_timeout') AS lock, current_setting('statement_timeout') AS statement"
    )
    add(
        folder,
        "index",
        f'op.execute("CREATE TABLE seen AS {limits}")',
        "with op.get_context().autocommit_block():",
        f'    op.execute("INSERT INTO seen {limits}")',
        '    op.create_index("ix_role", "users", ["role"], postgresql_concurrently=True)',
        f'op.execute("INSERT INTO seen {limits}")',
    )
    with db.engine.begin() as connection:
        role = f'ALTER ROLE CURRENT_USER IN DATABASE "{empty_url.database}"'
        connection.execute(text(f"{role} SET statement_timeout = '100ms'"))

    flask_migrate.upgrade(directory=str(folder))

    with db.engine.connect() as connection:
        assert [tuple(row) for row in connection.execute(text("SELECT * FROM seen"))] == [
            ("500ms", "0"),
            ("0", "0"),
            ("500ms", "0"),
        ]
    assert "ix_role" in {index["name"] for index in inspect(db.engine).get_indexes("users")}
