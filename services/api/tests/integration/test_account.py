"""GET, PATCH, PUT and DELETE /account."""

import json
from datetime import timedelta
from typing import Any
from unittest.mock import patch

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, func, select

from app.blueprint.schemas import TokenPair
from app.database import db
from app.mail.schemas import Account
from app.model.models import Role, Session, Token, User
from kit.clock import now
from kit.security.hashers import Argon2id
from tests.support.credentials import PASSWORD, bearer
from tests.support.people import People, Person
from tests.support.problems import errors, problem

NEW = "a whole new passphrase"
NEW_PASSWORD = {"username": "ann", "password": NEW, "current_password": PASSWORD}


def can_log_in(client: FlaskClient, name: str, password: str) -> bool:
    response = client.post("/auth/login", json={"username": name, "password": password})
    return response.status_code == 200


def test_the_account_belongs_to_the_caller(ann: Person, bob: Person) -> None:
    response = ann.get("/account")

    assert (response.json["id"], response.json["username"]) == (ann.id, "ann")
    assert set(response.json or {}) == set(Account.model_fields)
    assert "password" not in str(response.json)


def test_an_unchanged_account_is_not_sent_again(ann: Person) -> None:
    tag = ann.get("/account").headers["ETag"]

    for given in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        response = ann.get("/account", headers={"If-None-Match": given})
        assert (response.status_code, response.data) == (304, b"")
        assert response.headers["ETag"] == tag
    assert ann.get("/account", headers={"If-None-Match": '"other"'}).status_code == 200
    assert ann.get("/account", headers={"If-Match": '"other"'}).status_code == 200


def test_a_rename_changes_the_account_and_its_etag(ann: Person) -> None:
    before = ann.get("/account")

    response = ann.patch("/account", json={"username": "Anna", "current_password": PASSWORD})

    assert response.status_code == 200
    assert response.json["username"] == "Anna"
    assert response.json["updated_at"] > before.json["updated_at"]
    after = ann.get("/account")
    assert after.json == response.json
    assert after.headers["ETag"] == response.headers["ETag"] != before.headers["ETag"]


def test_renaming_to_the_current_name_changes_nothing(ann: Person) -> None:
    before = ann.get("/account").json

    response = ann.patch("/account", json={"username": "ann", "current_password": PASSWORD})

    assert (response.status_code, response.json) == (200, before)


def test_a_change_of_case_is_a_rename(ann: Person) -> None:
    response = ann.patch("/account", json={"username": "ANN", "current_password": PASSWORD})

    assert response.json["username"] == "ANN"


def test_a_former_name_is_available(ann: Person, bob: Person) -> None:
    ann.patch("/account", json={"username": "anna", "current_password": PASSWORD})

    assert bob.patch("/account", json={"username": "ann", "current_password": PASSWORD}).status_code == 200


@pytest.mark.parametrize("method", ["patch", "put"])
def test_a_new_password_ends_every_session_of_the_user(
    client: FlaskClient, people: People, bob: Person, method: str
) -> None:
    ann, elsewhere = people("ann"), people.log_in("ann")

    response = getattr(ann, method)("/account", json=NEW_PASSWORD)

    assert response.status_code == 200
    for person in (ann, elsewhere):
        assert problem(person.get("/account")) == (401, "token_revoked")
        assert problem(client.post("/auth/refresh", headers=bearer(person.refresh))) == (401, "token_revoked")
    assert bob.get("/account").status_code == 200
    assert can_log_in(client, "ann", NEW)
    assert not can_log_in(client, "ann", PASSWORD)


def test_a_new_password_returns_a_fresh_pair_of_a_new_session(client: FlaskClient, ann: Person) -> None:
    response = ann.patch("/account", json=NEW_PASSWORD)

    account = dict(response.json or {})
    pair = account.pop("tokens")
    assert set(pair) == set(TokenPair.model_fields)
    assert pair["session_id"] != ann.session_id
    read = client.get("/account", headers=bearer(pair["access_token"]))
    assert response.headers["ETag"] == read.headers["ETag"]
    assert account == read.json
    refreshed = client.post("/auth/refresh", headers=bearer(pair["refresh_token"]))
    assert refreshed.json["session_id"] == pair["session_id"]
    assert client.delete("/account", headers=bearer(pair["access_token"])).status_code == 204


def test_a_change_without_a_new_password_returns_no_tokens(ann: Person) -> None:
    response = ann.patch("/account", json={"username": "anna", "current_password": PASSWORD})

    assert set(response.json or {}) == set(Account.model_fields)
    assert ann.get("/account").status_code == 200


def test_a_replacement_changes_both(client: FlaskClient, ann: Person) -> None:
    response = ann.put("/account", json={"username": "anna", "password": NEW, "current_password": PASSWORD})

    assert response.json["username"] == "anna"
    assert can_log_in(client, "anna", NEW)


@pytest.mark.parametrize("method", ["patch", "put"])
def test_a_patch_accepts_the_merge_patch_media_type(ann: Person, method: str) -> None:
    body = json.dumps({"username": "anna", "password": NEW, "current_password": PASSWORD})

    response = getattr(ann, method)("/account", data=body, content_type="application/merge-patch+json")

    assert response.status_code == (200 if method == "patch" else 415)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, {("/current_password", "required")}),
        ({"current_password": PASSWORD}, {("", "required")}),
        ({"username": "anna"}, {("/current_password", "required")}),
        ({"username": None, "current_password": PASSWORD}, {("/username", "wrong_type")}),
        ({"password": None, "current_password": PASSWORD}, {("/password", "wrong_type")}),
        ({"username": "a", "current_password": PASSWORD}, {("/username", "too_short")}),
        ({"password": "short", "current_password": PASSWORD}, {("/password", "too_short")}),
        ({"password": "ann-1-ann-2-ann", "current_password": PASSWORD}, {("/password", "contains_name")}),
        (
            {"password": "anna-1-anna-2-3", "username": "anna", "current_password": PASSWORD},
            {("/password", "contains_name")},
        ),
        ({"username": "anna", "role": "admin", "current_password": PASSWORD}, {("/role", "read_only")}),
        ({"username": "anna", "role": None, "current_password": PASSWORD}, {("/role", "read_only")}),
        ({"role": "user", "current_password": PASSWORD}, {("", "required")}),
        ({"is_admin": True, "current_password": PASSWORD}, {("/is_admin", "unknown_field")}),
        ({"username": "a/b", "current_password": 1, "~/": 0}, {
            ("/username", "invalid_format"), ("/current_password", "wrong_type"), ("/~0~1", "unknown_field"),
        }),
    ],
)  # fmt: skip
def test_a_change_is_validated(ann: Person, body: object, expected: set[tuple[str, str]]) -> None:
    before = ann.get("/account").json

    assert errors(ann.patch("/account", json=body)) == expected
    assert ann.get("/account").json == before


@pytest.mark.parametrize("method", ["patch", "put"])
def test_a_change_lists_every_wrong_field_at_once(ann: Person, method: str) -> None:
    body = {"username": "a/b", "password": "ann-1-ann-2-ann", "colour": "red"}

    assert errors(getattr(ann, method)("/account", json=body)) == {
        ("/username", "invalid_format"),
        ("/password", "contains_name"),
        ("/colour", "unknown_field"),
        ("/current_password", "required"),
    }


@pytest.mark.parametrize("method", ["patch", "put"])
def test_an_account_cannot_get_a_name_that_looks_official(ann: Person, method: str) -> None:
    body = {"username": "Admin", "password": NEW, "current_password": PASSWORD}

    assert errors(getattr(ann, method)("/account", json=body)) == {("/username", "already_exists")}


def test_an_operators_account_may_keep_its_official_name(people: People) -> None:
    root = people("root", Role.ADMIN)
    body = {"username": "Root", "current_password": PASSWORD}

    assert root.patch("/account", json=body).json["username"] == "Root"
    assert root.put("/account", json=body | {"password": NEW}).status_code == 200


@pytest.mark.parametrize("missing", ["username", "password", "current_password"])
def test_a_replacement_needs_every_field(ann: Person, missing: str) -> None:
    body = {"username": "anna", "password": NEW, "current_password": PASSWORD}
    del body[missing]

    assert errors(ann.put("/account", json=body)) == {(f"/{missing}", "required")}


def test_an_account_can_be_sent_back_as_it_was_read(ann: Person) -> None:
    read: Any = ann.get("/account").json
    names = {"current_password": PASSWORD, "username": "anna"}

    response = ann.patch("/account", read | names)
    replaced = ann.put("/account", read | names | {"password": "another horse, another staple"})

    assert (response.status_code, response.json["username"]) == (200, "anna")
    assert (response.json["id"], response.json["created_at"]) == (read["id"], read["created_at"])
    assert replaced.status_code == 200


def test_a_new_account_has_no_id_yet(client: FlaskClient) -> None:
    body = {"username": "carol", "password": PASSWORD, "id": "x", "created_at": "x", "role": "user"}

    refused = errors(client.post("/auth/register", json=body))

    assert refused == {(f"/{name}", "unknown_field") for name in ("id", "created_at", "role")}


def test_errors_of_a_change_have_a_fixed_order(ann: Person, bob: Person) -> None:
    stale = {"If-Match": '"old"'}
    body = {"username": "bob", "current_password": "wrong horse battery staple"}

    assert problem(ann.patch("/account", json=body | {"x": 1}, headers=stale))[0] == 422
    assert problem(ann.patch("/account", json=body | {"role": "admin"}, headers=stale))[0] == 422
    assert problem(ann.patch("/account", json=body, headers=stale)) == (412, "precondition_failed")
    assert problem(ann.patch("/account", json=body)) == (403, "wrong_current_password")
    body["current_password"] = PASSWORD
    assert problem(ann.patch("/account", json=body)) == (409, "username_taken")


@pytest.mark.parametrize("wildcard", [False, True])
def test_the_current_version_can_be_changed(ann: Person, wildcard: bool) -> None:
    tag = "*" if wildcard else ann.get("/account").headers["ETag"]
    body = {"username": "anna", "current_password": PASSWORD}

    assert ann.patch("/account", json=body, headers={"If-Match": tag}).status_code == 200


@pytest.mark.parametrize("form", ["{}", "W/{}"])
def test_an_outdated_version_cannot_be_changed(ann: Person, form: str) -> None:
    tag = ann.get("/account").headers["ETag"]
    ann.patch("/account", json={"username": "anna", "current_password": PASSWORD})
    body = {"username": "annie", "current_password": PASSWORD}

    response = ann.patch("/account", json=body, headers={"If-Match": form.format(tag)})

    assert problem(response) == (412, "precondition_failed")
    assert ann.get("/account").json["username"] == "anna"


def test_a_refused_rename_does_not_change_the_password(client: FlaskClient, ann: Person, bob: Person) -> None:
    body = {"username": "Bob", "password": NEW, "current_password": PASSWORD}

    assert problem(ann.patch("/account", json=body)) == (409, "username_taken")
    assert can_log_in(client, "ann", PASSWORD)


def test_a_password_that_changes_meanwhile_counts_as_wrong(app: Flask, ann: Person) -> None:
    def change_meanwhile(hasher: Argon2id, password: str, hashed: str) -> bool:
        db.session.scalars(select(User)).one().password_changed_at = now()
        db.session.commit()
        return True

    with patch.object(Argon2id, "verify", change_meanwhile):
        response = ann.patch("/account", json={"username": "anna", "current_password": PASSWORD})

    assert problem(response) == (403, "wrong_current_password")


def test_an_account_deleted_meanwhile_cannot_be_changed(app: Flask, ann: Person) -> None:
    def delete_meanwhile(hasher: Argon2id, password: str, hashed: str) -> bool:
        db.session.execute(delete(User))
        db.session.commit()
        return True

    with patch.object(Argon2id, "verify", delete_meanwhile):
        response = ann.patch("/account", json={"username": "anna", "current_password": PASSWORD})

    assert problem(response) == (401, "token_revoked")


def test_deleting_an_account_deletes_all_its_rows(app: Flask, client: FlaskClient, people: People) -> None:
    ann, elsewhere = people("ann"), people.log_in("ann")

    assert ann.delete("/account").status_code == 204

    for person in (ann, elsewhere):
        assert problem(person.get("/account")) == (401, "token_revoked")
        assert problem(client.post("/auth/refresh", headers=bearer(person.refresh))) == (401, "token_revoked")
    assert not can_log_in(client, "ann", PASSWORD)
    with app.app_context():
        for table in (User, Session, Token):
            assert db.session.scalar(select(func.count()).select_from(table)) == 0


def test_the_next_owner_of_a_name_inherits_nothing(ann: Person, people: People) -> None:
    ann.delete("/account")

    successor = people("ann")

    assert problem(ann.get("/account")) == (401, "token_revoked")
    assert len(successor.get("/auth/token?active=false").json["items"]) == 2


def test_deleting_the_account_requires_a_token_from_a_login(client: FlaskClient, ann: Person) -> None:
    refreshed = client.post("/auth/refresh", headers=bearer(ann.refresh)).json["access_token"]

    response = client.delete("/account", headers=bearer(refreshed))

    assert problem(response) == (401, "fresh_token_required")
    assert "insufficient_user_authentication" in response.headers["WWW-Authenticate"]
    assert ann.get("/account").status_code == 200


def test_deleting_the_account_requires_a_recent_login(app: Flask, ann: Person) -> None:
    fresh = app.extensions["settings"].model_copy(update={"fresh_seconds": 60})

    with patch.dict(app.extensions, {"settings": fresh}):
        with time_machine.travel(now() + timedelta(seconds=75), tick=False):
            assert problem(ann.delete("/account")) == (401, "fresh_token_required")
        with time_machine.travel(now() + timedelta(seconds=58), tick=False):
            assert ann.delete("/account").status_code == 204


def test_the_last_admin_cannot_be_removed(people: People, ann: Person) -> None:
    root = people("root", Role.ADMIN)

    assert problem(root.delete("/account")) == (409, "last_admin")
    people.register("heir", Role.ADMIN)
    assert root.delete("/account").status_code == 204
