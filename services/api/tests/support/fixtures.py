"""An app on a migrated database, a client, and people who use it. Each test's changes are thrown away."""

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache, cached_property
from io import StringIO
from typing import Any
from unittest.mock import patch

import flask_migrate
import pytest
from flask import Flask, Response, request
from flask.testing import FlaskClient, FlaskCliRunner
from sqlalchemy import URL
from werkzeug.test import TestResponse

from app import create_app
from app.authentication import encode, lifetimes, passwords
from app.config import APP_NAME
from app.database import db
from app.model.models import Role, User
from app.model.passwords import Passwords
from app.model.session_repository import ClientInfo, SessionRepository
from app.model.user_repository import UserRepository
from kit.data.base import Base
from kit.data.migrations import commands as migrations
from kit.security.hashers import Argon2id, PasswordHash
from kit.serving import logs, servers
from kit.serving import waitress_server as server
from kit.web import openapi
from tests.conftest import NEVER_OPENED, settings_for

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Person:
    """Somebody with an account, logged in."""

    client: FlaskClient
    name: str
    id: str
    access: str
    refresh: str
    session_id: str

    @cached_property
    def headers(self) -> dict[str, str]:
        return bearer(self.access)

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.client.get(path, headers=self.headers | more.pop("headers", {}), **more)

    def post(self, path: str, json: Any = None, **more: Any) -> TestResponse:
        return self.client.post(path, json=json, headers=self.headers | more.pop("headers", {}), **more)

    def put(self, path: str, json: Any = None, **more: Any) -> TestResponse:
        return self.client.put(path, json=json, headers=self.headers | more.pop("headers", {}), **more)

    def patch(self, path: str, json: Any = None, **more: Any) -> TestResponse:
        return self.client.patch(path, json=json, headers=self.headers | more.pop("headers", {}), **more)

    def delete(self, path: str, **more: Any) -> TestResponse:
        return self.client.delete(path, headers=self.headers | more.pop("headers", {}), **more)


class People:
    """Makes people. Their passwords are all the same and hashed once, for hashing is slow on purpose."""

    def __init__(self, app: Flask, password_hash: PasswordHash) -> None:
        self.app = app
        self.password_hash = password_hash

    def register(self, name: str, role: Role = Role.USER) -> None:
        with self.app.app_context():
            self._register(name, role)
            db.session.commit()

    def log_in(self, name: str) -> Person:
        with self.app.app_context():
            user = UserRepository(db.session).find_by_username(name)
            assert user is not None
            return self._log_in(user)

    def __call__(self, name: str, role: Role = Role.USER) -> Person:
        with self.app.app_context():
            return self._log_in(self._register(name, role))

    def _register(self, name: str, role: Role) -> User:
        return UserRepository(db.session).register(name, self.password_hash, role)

    def _log_in(self, user: User) -> Person:
        name, id_ = user.username, user.id
        pair = SessionRepository(db.session).open(
            id_, ClientInfo("192.0.2.1", "192.0.2.1", "tests"), lifetimes()
        )
        db.session.commit()
        access, refresh = encode(pair.access), encode(pair.refresh)
        return Person(self.app.test_client(), name, str(id_), access, refresh, str(pair.access.session_id))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def problem(response: TestResponse) -> tuple[int, str]:
    """Return status and code of a problem, which must have exactly the contract's members."""
    body = response.get_json(force=True)
    members = {"type", "title", "status", "detail", "code", "request_id"}
    assert response.content_type == "application/problem+json"
    assert set(body) - {"errors"} == members
    assert body["status"] == response.status_code
    assert body["type"] == f"/problems/{body['code'].replace('_', '-')}"
    assert body["request_id"] == response.headers["X-Request-ID"]
    return response.status_code, body["code"]


def errors(response: TestResponse) -> set[tuple[str, str]]:
    """Return where and why a 422 refused the request."""
    assert problem(response) == (422, "validation_failed")
    return {
        (error.get("pointer", error.get("parameter")), error["code"]) for error in response.json["errors"]
    }


@cache
def documented() -> dict[str, Any]:
    """Return the OpenAPI document."""
    return openapi.build(create_app(settings_for(NEVER_OPENED)))


def documented_paths() -> dict[str, Any]:
    return dict(documented()["paths"])


def refuse_undocumented(response: Response) -> Response:
    """Fail the test, whichever it is, that is answered a status which the document does not name."""
    path = re.sub(r"<(?:uuid:)?(\w+)>", r"{\1}", str(request.url_rule))
    operation = documented_paths().get(path, {}).get(request.method.lower())
    # Not the operation's own: a defect of ours, which one test makes, and a second spelling of its path.
    if operation and response.status_code != 500 and b'"not_found"' not in response.data:
        assert str(response.status_code) in operation["responses"], f"{request.method} {path}"
    return response


@pytest.fixture(scope="session")
def migrated_apps() -> Iterator[dict[URL, Flask]]:
    """Keep the apps for the whole run: the tests of one database may come between those of another."""
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
    # All eight threads of the server may hash at the same time; tests/unit/test_passwords.py has the limits.
    app.extensions["passwords"] = Passwords(Argon2id(), 15, APP_NAME, threads=32)
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
    """Passwords whose hashes cost nearly nothing, where nobody races while one is made."""
    return Passwords(Argon2id(kibibytes=8, passes=1), 15, APP_NAME, threads=32)


@pytest.fixture
def app(migrated_app: Flask, cheap_passwords: Passwords) -> Iterator[Flask]:
    """The app inside one transaction: what it commits are savepoints, and the end rolls back."""
    db.session.session_factory.configure(join_transaction_mode="create_savepoint")
    with migrated_app.app_context():
        engines: Any = db.engines
        own = dict(engines)
        connection: Any = db.engine.connect()
        transaction = connection.begin()
        connection.connect = lambda: nullcontext(connection)  # who would have one of their own joins in
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
    """The app on its real engine, for what needs several connections; its rows are deleted at the end."""
    yield migrated_app
    with migrated_app.app_context():
        for table in reversed(Base.metadata.sorted_tables):
            db.session.execute(table.delete())
        db.session.commit()


@pytest.fixture
def output() -> Iterator[StringIO]:
    """What goes to standard output, as lines of JSON."""
    stream = StringIO()
    handler = logs.make_handler("json", stream)
    logging.getLogger("app").addHandler(handler)
    yield stream
    logging.getLogger("app").removeHandler(handler)


@pytest.fixture
def live(committed_app: Flask, password_hash: PasswordHash) -> Iterator[tuple[str, People]]:
    """A real server in a thread, its address, and people who have accounts there."""
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
