"""Fixtures: an app on a migrated database, a client and test users. Each test's changes are rolled back."""

import logging
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from io import StringIO
from typing import Any
from unittest.mock import patch

import flask_migrate
import pytest
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from sqlalchemy import URL

from app import create_app
from app.authentication import passwords
from app.config import APP_NAME
from app.database import db
from app.model.passwords import Passwords
from kit.data.migrations import commands as migrations
from kit.security.hashers import Argon2id, Bulkhead, PasswordHash
from kit.serving import logs, servers
from kit.serving import waitress_server as server
from tests.support.credentials import PASSWORD
from tests.support.documented import refuse_undocumented
from tests.support.extended_app import delete_all_rows
from tests.support.people import People, Person
from tests.support.settings import settings_for

# Refuses nothing, however busy the machine is. tests/unit/test_passwords.py tests the limits.
PATIENT = Bulkhead(threads=200, max_wait_seconds=60)


@pytest.fixture(scope="session")
def migrated_apps() -> Iterator[dict[URL, Flask]]:
    """The migrated apps, cached for the whole run: tests of different databases alternate."""
    apps: dict[URL, Flask] = {}
    yield apps
    for app in apps.values():
        with app.app_context():
            for engine in db.engines.values():
                engine.dispose()


@pytest.fixture(scope="session")
def migrated_app(database_url: URL, migrated_apps: dict[URL, Flask]) -> Flask:
    if database_url not in migrated_apps:
        migrated_apps[database_url] = migrate(create_app(settings_for(database_url)))
    return migrated_apps[database_url]


def migrate(app: Flask) -> Flask:
    app.extensions["passwords"] = Passwords(Argon2id(), 15, APP_NAME, PATIENT)
    app.after_request(refuse_undocumented)
    migrations.init_app(app)
    with app.app_context():
        flask_migrate.upgrade()
    return app


@pytest.fixture(scope="session")
def password_hash(migrated_app: Flask) -> PasswordHash:
    with migrated_app.app_context():
        return passwords().hash(PASSWORD)


@pytest.fixture(scope="session")
def cheap_passwords() -> Passwords:
    """Passwords with cheap hashes, for tests that don't depend on the cost."""
    return Passwords(Argon2id(kibibytes=8, passes=1), 15, APP_NAME, PATIENT)


@pytest.fixture
def app(migrated_app: Flask, cheap_passwords: Passwords) -> Iterator[Flask]:
    """The app in one transaction: commits release savepoints, and the end rolls back."""
    db.session.session_factory.configure(join_transaction_mode="create_savepoint")
    with migrated_app.app_context():
        engines: Any = db.engines
        own = dict(engines)
        connection: Any = db.engine.connect()
        transaction = connection.begin()
        connection.connect = lambda: nullcontext(connection)  # other users of the engine share the connection
        engines.update(dict.fromkeys(own, connection))
    with patch.dict(migrated_app.extensions, passwords=cheap_passwords):
        yield migrated_app
    engines.update(own)
    transaction.rollback()
    connection.close()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def runner(app: Flask) -> FlaskCliRunner:
    return app.test_cli_runner()


@pytest.fixture
def people(app: Flask, cheap_passwords: Passwords) -> People:
    return People(app, cheap_passwords.hash(PASSWORD))


@pytest.fixture
def ann(people: People) -> Person:
    return people("ann")


@pytest.fixture
def bob(people: People) -> Person:
    return people("bob")


@pytest.fixture
def committed_app(migrated_app: Flask) -> Iterator[Flask]:
    """The app on its real engine, for tests with several connections. Deletes all rows at the end."""
    yield migrated_app
    delete_all_rows(migrated_app)


@pytest.fixture
def output() -> Iterator[StringIO]:
    """The log, as lines of JSON."""
    stream = StringIO()
    handler = logs.make_handler("json", stream)
    logging.getLogger("app").addHandler(handler)
    yield stream
    logging.getLogger("app").removeHandler(handler)


@pytest.fixture
def live(committed_app: Flask, password_hash: PasswordHash) -> Iterator[tuple[str, People]]:
    """The address of a real server in a thread, and a factory for its users."""
    committed_app.extensions["stopping"].clear()
    settings = committed_app.extensions["settings"].model_copy(update={"port": 0})
    running = server.create_server(committed_app, settings, servers.listen(settings.host, settings.port))
    thread = threading.Thread(target=running.run)
    thread.start()
    yield f"http://127.0.0.1:{running.effective_port}", People(committed_app, password_hash)
    running.stop()
    thread.join(timeout=60)
    committed_app.extensions["stopping"].clear()
    assert not thread.is_alive()
