"""Requests with API keys."""

from datetime import timedelta
from io import StringIO
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, select
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError

from app import create_app
from app.authentication import FRESH_ADMIN
from app.database import db
from app.model.api_keys import ApiKey, ApiKeyRepository
from app.model.models import Role, User
from kit.clock import now
from kit.errors import InsufficientScope
from kit.web.endpoint import declared_scopes
from tests.support.credentials import bearer
from tests.support.keys import make_key
from tests.support.people import People, Person
from tests.support.problems import problem
from tests.support.settings import settings_for
from tests.support.statements import statements
from tests.support.world import World, authorizations, scope_of

pytestmark = pytest.mark.any_database
ROUTES = [row[0] for row in authorizations()[1]]


@pytest.fixture
def key(ann: Person) -> str:
    return make_key(ann, "account:read")


def answer(client: FlaskClient, key: str, path: str = "/account") -> tuple[int, str]:
    response = client.get(path, headers=bearer(key))
    return (200, "") if response.status_code == 200 else problem(response)


@pytest.mark.parametrize("route", ROUTES)
def test_each_scope_is_needed_and_suffices(app: Flask, people: People, route: str) -> None:
    scope = scope_of(app, route)
    if scope is None:
        return
    world, method = World(people), route.partition(" ")[0]
    caller, others = world.caller(route), set(declared_scopes(app)) - {scope}
    path, body, headers = world.path(route), world.body(route), world.headers(route)
    without, with_scope = make_key(caller, *others), make_key(caller, scope)

    refused = app.test_client().open(path, method=method, json=body, headers=headers | bearer(without))
    accepted = app.test_client().open(path, method=method, json=body, headers=headers | bearer(with_scope))

    assert problem(refused) == (403, "insufficient_scope")
    challenge = f'Bearer error="insufficient_scope", scope="{scope}"'
    assert refused.headers["WWW-Authenticate"] == challenge
    assert accepted.status_code < 300, accepted.text


def test_a_route_for_sessions_names_no_scope(app: Flask, ann: Person) -> None:
    key = make_key(ann, *declared_scopes(app))

    for path in ("/account/export", "/account/keys", "/auth/token"):
        response = ann.client.get(path, headers=bearer(key))

        assert problem(response) == (403, "insufficient_scope")
        assert response.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope"'


def test_an_app_declares_its_scopes(app: Flask) -> None:
    assert {"account:read", "users:read"} <= set(declared_scopes(app))


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_has_any_case(client: FlaskClient, key: str, scheme: str) -> None:
    assert client.get("/account", headers={"Authorization": f"{scheme} {key}"}).status_code == 200


def test_a_repeated_key_is_refused(client: FlaskClient, key: str) -> None:
    repeated = [("Authorization", f"Bearer {key}")] * 2

    assert problem(client.get("/account", headers=repeated)) == (401, "invalid_token")


def test_a_mistyped_key_costs_no_statement(client: FlaskClient, key: str) -> None:
    wrong = key[:-1] + ("0" if key[-1] != "0" else "1")

    with statements() as sent:
        for each in (wrong, "fa_", key[:20], key + "0", key.upper(), f"fb_{key[3:]}"):
            assert answer(client, each) == (401, "invalid_token")

    assert sent == []


def test_a_key_does_not_refresh(client: FlaskClient, key: str) -> None:
    response = client.post("/auth/refresh", headers=bearer(key))

    assert problem(response) == (401, "invalid_token")


def test_the_account_of_a_key_can_be_cached(client: FlaskClient, ann: Person, key: str) -> None:
    first = client.get("/account", headers=bearer(key))
    again = client.get("/account", headers=bearer(key) | {"If-None-Match": first.headers["ETag"]})

    assert first.json == ann.get("/account").json
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Cache-Control"] == "no-store"


def test_a_key_expires(client: FlaskClient, ann: Person) -> None:
    key = make_key(ann, "account:read", expires_at=now() + timedelta(hours=1))
    assert answer(client, key) == (200, "")

    with time_machine.travel(now() + timedelta(hours=1, minutes=1), tick=False):
        assert answer(client, key) == (401, "token_expired")


def test_a_fresh_role_accepts_no_key(app: Flask, people: People) -> None:
    key = make_key(people("root", Role.ADMIN), "users:read")

    with app.test_request_context(headers=bearer(key)), pytest.raises(InsufficientScope) as refused:
        FRESH_ADMIN.verify("users:read")

    assert refused.value.scope is None


def test_the_role_of_the_user_decides_too(app: Flask, people: People, client: FlaskClient) -> None:
    root, ann = people("root", Role.ADMIN), people("ann")
    key, of_ann = make_key(root, "users:read"), make_key(ann, "users:read")
    assert answer(client, key, "/users") == (200, "")
    assert answer(client, of_ann, "/users") == (403, "forbidden")

    with app.app_context():
        db.session.get_one(User, UUID(root.id)).role = Role.USER
        db.session.commit()

    assert answer(client, key, "/users") == (403, "forbidden")


def test_a_request_with_a_key_takes_one_statement(client: FlaskClient, key: str) -> None:
    with statements() as first:
        assert answer(client, key) == (200, "")
    with statements() as second:
        assert answer(client, key) == (200, "")

    assert [each.split()[0] for each in first] == ["SELECT", "UPDATE"]
    assert [each.split()[0] for each in second] == ["SELECT"]


def last_use(app: Flask) -> Any:
    with app.app_context():
        return db.session.execute(select(ApiKey.last_used_at, ApiKey.last_used_ip)).one()


def test_the_last_use_is_exact_to_fifteen_minutes(app: Flask, client: FlaskClient, key: str) -> None:
    begin = now()
    for minutes, address, written in (
        (0, "192.0.2.1", (0, "192.0.2.1")),
        (14, "192.0.2.2", (0, "192.0.2.1")),
        (16, "192.0.2.3", (16, "192.0.2.3")),
    ):
        time = begin + timedelta(minutes=minutes)
        with time_machine.travel(time, tick=False):
            client.get("/account", headers=bearer(key), environ_base={"REMOTE_ADDR": address})
        assert last_use(app) == (begin + timedelta(minutes=written[0]), written[1])


def test_a_use_that_another_process_wrote_is_kept(app: Flask, key: str) -> None:
    with app.app_context():
        keys, id, time = ApiKeyRepository(db.session), db.session.scalars(select(ApiKey.id)).one(), now()
        for seconds, address in ((0, "192.0.2.1"), (1, "192.0.2.2")):
            keys.note_use(id, time + timedelta(seconds=seconds), address)
        db.session.commit()

    assert last_use(app) == (time, "192.0.2.1")


def test_a_refused_request_is_a_use_too(app: Flask, client: FlaskClient, key: str) -> None:
    assert answer(client, key, "/auth/token") == (403, "insufficient_scope")

    assert last_use(app).last_used_at is not None


def test_a_request_succeeds_though_its_use_cannot_be_written(
    app: Flask, client: FlaskClient, key: str, output: StringIO
) -> None:
    def refuse(_: object, __: object, statement: str, *___: object) -> None:
        if statement.startswith("UPDATE api_keys"):
            raise OperationalError(statement, {}, Exception("the database is read-only"))

    event.listen(Engine, "before_cursor_execute", refuse)
    try:
        assert answer(client, key) == (200, "")
    finally:
        event.remove(Engine, "before_cursor_execute", refuse)

    assert last_use(app) == (None, None)
    assert "could not record the last use of an API key: the database is read-only" in output.getvalue()
    assert answer(client, key) == (200, "")
    assert last_use(app).last_used_ip == "127.0.0.1"


def test_requests_are_limited_by_key(database_url: Any, app: Flask, ann: Person) -> None:
    limited = create_app(settings_for(database_url, key_limit=(2, 60)))
    with limited.app_context():
        engines: Any = db.engines
        engines.update(dict.fromkeys(engines, app.extensions["sqlalchemy"]._app_engines[app][None]))
    client = limited.test_client()
    first, second = make_key(ann, "account:read"), make_key(ann, "account:read")

    answers = [client.get("/account", headers=bearer(first)) for _ in range(3)]

    assert [each.status_code for each in answers] == [200, 200, 429]
    assert problem(answers[2]) == (429, "too_many_attempts")
    assert int(answers[2].headers["Retry-After"]) in range(55, 61)
    assert answer(client, second) == (200, "")
    assert client.get("/account", headers=ann.headers).status_code == 200
    document = client.get("/openapi.json").json
    assert "429" in document["paths"]["/account"]["get"]["responses"]
    assert "429" not in document["paths"]["/problems"]["get"]["responses"]


def test_without_the_feature_a_key_is_an_invalid_token(app: Flask, client: FlaskClient, key: str) -> None:
    without = {name: each for name, each in app.extensions.items() if name != "key_verifier"}

    with patch.dict(app.extensions, without, clear=True):
        assert answer(client, key) == (401, "invalid_token")
    assert answer(client, key) == (200, "")


def test_the_document_names_the_scope(client: FlaskClient) -> None:
    document = client.get("/openapi.json").json

    assert document["paths"]["/account"]["get"]["security"] == [
        {"access_token": []},
        {"api_key": ["account:read"]},
    ]
    assert document["paths"]["/account"]["delete"]["security"] == [{"access_token": []}]
    assert document["paths"]["/auth/refresh"]["post"]["security"] == [{"refresh_token": []}]
    scheme = document["components"]["securitySchemes"]["api_key"]
    assert (scheme["type"], scheme["scheme"], "bearerFormat" in scheme) == ("http", "bearer", False)
