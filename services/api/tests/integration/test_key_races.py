"""Concurrent requests with and about API keys, with a real server and the real engine."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import event, func, select

from app.database import db
from app.model.api_keys import ApiKey
from app.model.models import Reason, User
from app.model.session_repository import SessionRepository
from app.model.user_repository import UserRepository
from kit.security.hashers import PasswordHash
from tests.support import plain_http
from tests.support.concurrency import at_once
from tests.support.credentials import bearer
from tests.support.keys import make_key
from tests.support.people import People
from tests.support.problems import problem
from tests.support.servers import Live
from tests.support.statements import statements

DEPLOY = {"name": "deploy", "scopes": ["account:read"]}


def test_twenty_keys_at_once_are_one_if_there_are_nineteen(live: Live) -> None:
    url, people = live
    ann = people("ann")
    for _ in range(19):
        make_key(ann, "account:read")

    answers = at_once(
        *[lambda: plain_http.post(f"{url}/account/keys", headers=ann.headers, json=DEPLOY)] * 20
    )

    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 19}
    with people.app.app_context():
        own = ApiKey.user_id == UUID(ann.id)
        assert db.session.scalar(select(func.count()).select_from(ApiKey).where(own)) == 20


@pytest.mark.parametrize("attempt", range(3))
def test_no_key_outlives_a_logout_that_has_ended(live: Live, attempt: int) -> None:
    """A request that was authenticated before the logout creates no key after it."""
    url, people = live
    ann = people("ann")
    create = [lambda: plain_http.post(f"{url}/account/keys", headers=ann.headers, json=DEPLOY)] * 8
    logout = [lambda: plain_http.post(f"{url}/auth/logout", headers=ann.headers, json={"scope": "all"})]

    answers = at_once(*create[:4], *logout, *create[4:])

    created = [answer for answer in answers if answer.status_code == 201]
    refused = [answer for answer in answers if answer.status_code == 401]
    assert len(created) + len(refused) == 8
    assert plain_http.post(f"{url}/account/keys", headers=ann.headers, json=DEPLOY).status_code == 401


def test_a_key_is_used_at_once_and_its_use_written_once(live: Live) -> None:
    url, people = live
    key = make_key(people("ann"), "account:read")

    with statements() as sent:
        answers = at_once(*[lambda: plain_http.get(f"{url}/account", headers=bearer(key))] * 16)

    assert {answer.status_code for answer in answers} == {200}
    assert 1 <= sum(each.startswith("UPDATE api_keys") for each in sent) <= 16
    with people.app.app_context():
        first = db.session.execute(select(ApiKey.last_used_at, ApiKey.last_used_ip)).one()
    assert first.last_used_ip == "127.0.0.1"
    plain_http.get(f"{url}/account", headers=bearer(key))
    with people.app.app_context():
        assert db.session.execute(select(ApiKey.last_used_at, ApiKey.last_used_ip)).one() == first


READ_ONLY = {
    "postgresql": "SET default_transaction_read_only = on",
    "sqlite": "PRAGMA query_only = 1",  # part: sqlite
}


@contextmanager
def read_only(app: Flask, database: str) -> Iterator[None]:
    """Let the database refuse to write."""

    def refuse_writes(connection: Any, _: object) -> None:
        connection.cursor().execute(READ_ONLY[database])
        connection.commit()

    with app.app_context():
        engine = db.engine
        event.listen(engine, "connect", refuse_writes)
        engine.dispose()
        yield
        event.remove(engine, "connect", refuse_writes)
        engine.dispose()


def test_reads_go_on_while_the_database_is_read_only(
    committed_app: Flask, password_hash: PasswordHash, database: str, output: StringIO
) -> None:
    key = make_key(People(committed_app, password_hash)("ann"), "account:read")
    client = committed_app.test_client()

    with read_only(committed_app, database):
        response = client.get("/account", headers=bearer(key))

    assert (response.status_code, response.json["username"]) == (200, "ann")
    assert "could not record the last use of an API key: " in output.getvalue()
    with committed_app.app_context():
        assert db.session.scalar(select(ApiKey.last_used_at)) is None
    assert client.get("/account", headers=bearer(key)).status_code == 200
    with committed_app.app_context():
        assert db.session.scalar(select(ApiKey.last_used_at)) is not None


def test_a_key_is_verified_again_when_the_body_is_complete(
    committed_app: Flask, password_hash: PasswordHash
) -> None:
    """gunicorn calls the app after the headers, so the key may be deleted while the body is on its way."""
    ann = People(committed_app, password_hash)("ann")
    key = make_key(ann, "account:read")
    [listed] = ann.get("/account/keys").json["items"]

    class SlowBody:
        def read(self, _: int = -1) -> bytes:
            ann.delete(f"/account/keys/{listed['id']}")
            return b"{}"

    body = {"wsgi.input": SlowBody(), "CONTENT_LENGTH": "2"}
    response = committed_app.test_client().get("/account", headers=bearer(key), environ_overrides=body)

    assert problem(response) == (401, "token_revoked")


def test_a_request_with_a_body_counts_once(committed_app: Flask, password_hash: PasswordHash) -> None:
    key = make_key(People(committed_app, password_hash)("ann"), "account:read")
    settings = committed_app.extensions["settings"].model_copy(update={"key_limit": (2, 60)})

    class Body:
        def read(self, _: int = -1) -> bytes:
            return b"{}"

    def send() -> int:
        body = {"wsgi.input": Body(), "CONTENT_LENGTH": "2"}
        client = committed_app.test_client()
        return client.get("/account", headers=bearer(key), environ_overrides=body).status_code

    with patch.dict(committed_app.extensions, settings=settings):
        assert [send() for _ in range(2)] == [200, 200]


def test_a_session_that_ended_meanwhile_leaves_no_key(
    committed_app: Flask, password_hash: PasswordHash
) -> None:
    """The token is checked again once the account is locked."""
    ann = People(committed_app, password_hash)("ann")
    lock = UserRepository.lock

    def lock_after_a_logout(users: UserRepository, id: UUID) -> User | None:
        with committed_app.test_request_context():
            SessionRepository(db.session).end(UUID(ann.session_id), Reason.LOGOUT)
            db.session.commit()
        return lock(users, id)

    with patch.object(UserRepository, "lock", lock_after_a_logout):
        response = ann.post("/account/keys", DEPLOY)

    assert problem(response) == (401, "token_revoked")
    with committed_app.app_context():
        assert db.session.scalars(select(ApiKey)).all() == []
