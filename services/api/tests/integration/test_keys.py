"""API keys: /account/keys, and what ends keys."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskCliRunner
from sqlalchemy import select, update

from app.database import db
from app.model.api_keys import ApiKey
from app.model.models import Role
from app.model.retention import prune_all
from app.model.user_repository import UserRepository
from kit.clock import now
from kit.security.api_keys import key_hash
from kit.web.endpoint import declared_scopes
from tests.support.credentials import PASSWORD, bearer
from tests.support.keys import make_key
from tests.support.mail import Mailbox
from tests.support.people import People, Person
from tests.support.problems import errors, problem

pytestmark = pytest.mark.any_database
NEW = "another horse, another staple"
DEPLOY = {"name": "deploy", "scopes": ["account:read"]}
LATER = "2099-12-31T00:00:00Z"


def works(person: Person, key: str) -> bool:
    return person.client.get("/account", headers=bearer(key)).status_code == 200


def create(person: Person, **fields: Any) -> dict[str, Any]:
    response = person.post("/account/keys", DEPLOY | fields)
    assert response.status_code == 201, response.text
    return dict(response.get_json())


def test_a_key_is_shown_once(app: Flask, ann: Person) -> None:
    response = ann.post("/account/keys", DEPLOY | {"expires_at": LATER})

    created = response.get_json()
    assert response.status_code == 201
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Location"] == f"/account/keys/{created['id']}"
    key = created.pop("key")
    assert works(ann, key)
    used = {name: created.pop(name) for name in ("last_used_at", "last_used_ip")}
    assert used == {"last_used_at": None, "last_used_ip": None}
    listed = ann.get("/account/keys")
    assert {name: listed.json["items"][0][name] for name in created} == created
    assert created["expires_at"] == LATER
    assert ann.get(f"/account/keys/{created['id']}").json == listed.json["items"][0]
    assert key not in listed.text
    with app.app_context():
        row = db.session.scalars(select(ApiKey)).one()
        assert row.key_hash == key_hash(key)
    assert row.key_hash not in ann.get("/account/export").text


def test_keys_are_paged_from_the_newest(ann: Person, bob: Person) -> None:
    names = [create(ann, name=f"key {number}")["name"] for number in range(3)]
    create(bob)

    first = ann.get("/account/keys?limit=2").json
    second = ann.get("/account/keys", query_string={"limit": 2, "cursor": first["next_cursor"]}).json

    assert [each["name"] for each in first["items"] + second["items"]] == names[::-1]
    assert second["next_cursor"] is None


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"scopes": []}, {("/scopes", "too_short")}),
        ({"scopes": "account:read"}, {("/scopes", "wrong_type")}),
        ({"scopes": ["account:read", "notes:fly"]}, {("/scopes/1", "invalid_format")}),
        ({"scopes": ["account:read users:read"]}, {("/scopes/0", "invalid_format")}),
        ({"scopes": ["account:read", "account:read"]}, {("/scopes", "invalid_format")}),
        ({"name": ""}, {("/name", "too_short")}),
        ({"name": "a" * 101}, {("/name", "too_long")}),
        ({"name": "a\nb"}, {("/name", "invalid_format")}),
        ({"expires_at": "2026-01-01T00:00:00Z"}, {("/expires_at", "too_small")}),
        ({"expires_at": "2099-01-01T00:00:00"}, {("/expires_at", "invalid_format")}),
        ({"key": "fa_mine"}, {("/key", "unknown_field")}),
    ],
    ids=str,
)
def test_an_invalid_key_is_refused(ann: Person, fields: dict[str, Any], expected: set[Any]) -> None:
    path = f"/account/keys/{create(ann)['id']}"

    assert errors(ann.post("/account/keys", DEPLOY | fields)) == expected
    assert errors(ann.patch(path, fields)) == expected


def test_the_error_names_the_scopes_of_this_api(app: Flask, ann: Person) -> None:
    response = ann.post("/account/keys", DEPLOY | {"scopes": ["notes:fly"]})

    detail = response.json["errors"][0]["detail"]
    assert detail == f"Give one of these scopes: {', '.join(declared_scopes(app))}."


def test_a_changed_key_has_its_new_scopes_at_once(ann: Person) -> None:
    created = create(ann, expires_at=LATER)
    path = f"/account/keys/{created['id']}"

    changed = ann.patch(path, {"name": "report", "scopes": ["users:read"], "expires_at": None})

    assert changed.status_code == 200
    of_change = {name: changed.json[name] for name in ("name", "scopes", "expires_at")}
    assert of_change == {"name": "report", "scopes": ["users:read"], "expires_at": None}
    assert ann.patch(path, {}).json == changed.json == ann.get(path).json
    assert not works(ann, created["key"])
    assert ann.patch(path, {"scopes": ["account:read"]}).status_code == 200
    assert works(ann, created["key"])


def test_a_deleted_key_is_revoked_at_once(ann: Person) -> None:
    created, other = create(ann), create(ann)
    path = f"/account/keys/{created['id']}"

    assert ann.delete(path).status_code == 204

    response = ann.client.get("/account", headers=bearer(created["key"]))
    assert problem(response) == (401, "token_revoked")
    assert works(ann, other["key"])
    for again in (ann.get(path), ann.delete(path), ann.patch(path, {})):
        assert problem(again) == (404, "key_not_found")


def test_the_keys_of_others_are_not_found(ann: Person, people: People) -> None:
    created = create(ann)
    path = f"/account/keys/{created['id']}"

    for other in (people("bob"), people("root", Role.ADMIN)):
        for response in (other.get(path), other.delete(path), other.patch(path, {"name": "mine"})):
            assert problem(response) == (404, "key_not_found")
        assert other.get("/account/keys").json["items"] == []
    assert works(ann, created["key"])


def test_an_account_has_at_most_twenty_keys(ann: Person, bob: Person) -> None:
    first = create(ann)
    for _ in range(19):
        create(ann)

    assert problem(ann.post("/account/keys", DEPLOY)) == (409, "too_many_keys")
    assert bob.post("/account/keys", DEPLOY).status_code == 201
    assert ann.delete(f"/account/keys/{first['id']}").status_code == 204
    assert ann.post("/account/keys", DEPLOY).status_code == 201


def test_expired_keys_make_room_when_it_is_needed(app: Flask, ann: Person) -> None:
    ids = [create(ann)["id"] for _ in range(20)]
    with app.app_context():
        past = now() - timedelta(seconds=1)
        db.session.execute(update(ApiKey).where(ApiKey.name == "deploy").values(expires_at=past))
        db.session.commit()
    assert len(ann.get("/account/keys?limit=100").json["items"]) == 20

    created = create(ann)

    assert [each["id"] for each in ann.get("/account/keys").json["items"]] == [created["id"]]
    assert created["id"] not in ids


def test_a_disabled_account_has_no_working_key(people: People, ann: Person) -> None:
    key, root = make_key(ann, "account:read"), people("root", Role.ADMIN)

    root.patch(f"/users/{ann.id}", {"disabled": True})

    assert problem(ann.client.get("/account", headers=bearer(key))) == (401, "token_revoked")


def test_keys_are_deleted_with_the_account(app: Flask, ann: Person) -> None:
    key = make_key(ann, "account:read")

    assert ann.delete("/account").status_code == 204

    assert problem(ann.client.get("/account", headers=bearer(key))) == (401, "token_revoked")
    with app.app_context():
        assert db.session.scalars(select(ApiKey)).all() == []


@pytest.fixture
def ann_with_mail(app: Flask, ann: Person) -> Person:
    with app.app_context():
        users = UserRepository(db.session)
        found = users.find_by_username("ann")
        assert found
        users.verify_email(found, "ann@example.com")
        db.session.commit()
    return ann


def test_a_password_reset_ends_every_key(app: Flask, ann_with_mail: Person, bob: Person) -> None:
    ann, mailbox = ann_with_mail, Mailbox(app)
    keys, of_bob = [create(ann)["key"] for _ in range(2)], create(bob)["key"]
    ann.client.post("/auth/password-reset", json={"email": "ann@example.com"})
    [sent] = mailbox.receive()

    response = ann.client.post("/auth/password-reset/confirm", json={"token": sent.token, "password": NEW})

    assert response.status_code == 204
    assert [works(ann, key) for key in (*keys, of_bob)] == [False, False, True]
    [notice] = mailbox.receive()
    assert "API key" not in notice.text


def test_a_password_change_keeps_the_keys_and_lists_them(app: Flask, ann_with_mail: Person) -> None:
    ann, mailbox = ann_with_mail, Mailbox(app)
    key = create(ann, name="<deploy>")["key"]
    create(ann, name="report")
    used = now()
    assert works(ann, key)

    ann.patch("/account", {"password": NEW, "current_password": PASSWORD})

    [notice] = mailbox.receive()
    assert f"<deploy> (last used: {used:%Y-%m-%d}" in notice.text
    assert "report (last used: never)" in notice.text.splitlines()
    assert works(ann, key)


def test_a_password_change_without_keys_lists_none(app: Flask, ann_with_mail: Person) -> None:
    ann_with_mail.patch("/account", {"password": NEW, "current_password": PASSWORD})

    [notice] = Mailbox(app).receive()
    assert "API key" not in notice.text
    assert "\n\n\n" not in notice.text.replace("\r", "")


@pytest.mark.parametrize(
    ("command", "stdin"), [("user set-password ann --password-stdin", NEW), ("token revoke-all", "")]
)
def test_commands_that_end_sessions_end_keys(
    runner: FlaskCliRunner, ann: Person, command: str, stdin: str
) -> None:
    key = create(ann)["key"]

    result = runner.invoke(args=command.split(), input=stdin)

    assert result.exit_code == 0, result.output
    assert "key" in result.output
    assert not works(ann, key)


def test_operators_list_and_delete_keys(runner: FlaskCliRunner, ann: Person, bob: Person) -> None:
    created = create(ann)
    assert works(ann, created["key"])

    [line] = runner.invoke(args=["key", "list", "ann"]).output.splitlines()

    id, name, scopes, expiry, used, address = line.split("\t")
    assert (id, name, scopes, expiry, address) == (
        created["id"],
        "deploy",
        "account:read",
        "never",
        "127.0.0.1",
    )
    assert used.startswith(f"{now():%Y-%m-%d}")
    for wrong in (["bob", created["id"]], ["unknown", created["id"]]):
        assert runner.invoke(args=["key", "delete", *wrong]).exit_code == 1
    assert works(ann, created["key"])
    deleted = runner.invoke(args=["key", "delete", "ann", created["id"]])
    assert (deleted.exit_code, deleted.output) == (0, "Deleted the API key deploy.\n")
    assert not works(ann, created["key"])
    assert created["key"] not in line


def test_changes_of_keys_are_security_events(output: StringIO, ann: Person) -> None:
    created = create(ann)
    path = f"/account/keys/{created['id']}"
    ann.patch(path, {"scopes": ["users:read"]})
    ann.patch(path, {})
    ann.delete(path)

    text = output.getvalue()
    lines = [json.loads(line) for line in text.splitlines()]
    events = [(each["event"], each["scopes"]) for each in lines if each.get("key_id") == created["id"]]
    assert events == [
        ("key_created", "account:read"),
        ("key_changed", "users:read"),
        ("key_deleted", "users:read"),
    ]
    assert created["key"] not in text


def test_old_keys_and_addresses_are_deleted(app: Flask, ann: Person) -> None:
    kept, expired = make_key(ann, "account:read"), make_key(ann, "account:read", expires_at=now())
    assert works(ann, kept)

    for days, rows, address in ((29, 2, "127.0.0.1"), (31, 1, None)):
        with app.app_context(), time_machine.travel(now() + timedelta(days=days), tick=False):
            for _ in prune_all(db.session, timedelta(days=30), audit_days=365):
                db.session.commit()
            found = {row.key_hash: row.last_used_ip for row in db.session.scalars(select(ApiKey))}
            assert (len(found), found[key_hash(kept)]) == (rows, address)
    assert key_hash(expired) not in found
