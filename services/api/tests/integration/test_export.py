"""GET /account/export and `flask user export`: everything that is stored about one user."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskCliRunner

from app.database import db
from app.model.models import KnownNetwork, User
from app.model.network_repository import NetworkRepository
from kit.clock import now
from kit.data.export import ROWS
from kit.data.ownership import find_ownership
from kit.data.stored_responses import StoredResponse
from tests.support.credentials import bearer
from tests.support.people import Person
from tests.support.problems import problem

SECRETS = ("$argon2id$", "fingerprint-of-", "shown only once")


def add_rows(app: Flask, person: Person) -> None:
    """Store a known network, and a response that contains a secret."""
    with app.app_context():
        NetworkRepository(db.session).remember(UUID(person.id), f"network of {person.name}")
        response = StoredResponse(
            user_id=UUID(person.id),
            key=f"key of {person.name}",
            fingerprint=f"fingerprint-of-{person.name}",
            expires_at=now() + timedelta(hours=1),
            headers=json.dumps({"Set-Cookie": "shown only once"}),
            body=json.dumps({"api_key": "shown only once"}),
        )
        db.session.add(response)
        db.session.commit()


def export(person: Person) -> dict[str, list[dict[str, Any]]]:
    response = person.get("/account/export")
    assert response.status_code == 200, response.text
    tables: dict[str, list[dict[str, Any]]] = response.get_json()["tables"]
    return tables


def test_an_export_contains_the_rows_of_the_caller_only(app: Flask, ann: Person, bob: Person) -> None:
    add_rows(app, ann)
    add_rows(app, bob)

    tables = export(ann)

    assert {table.name for table in find_ownership(User).owned} == set(tables)
    assert [(row["id"], row["username"]) for row in tables["users"]] == [(ann.id, "ann")]
    assert [row["id"] for row in tables["sessions"]] == [ann.session_id]
    assert {row["type"] for row in tables["tokens"]} == {"access", "refresh"}
    assert {"network of ann"} < {row["network"] for row in tables["known_networks"]}
    assert [row["key"] for row in tables["answers"]] == ["key of ann"]
    assert {row["user_id"] for name in tables if name != "users" for row in tables[name]} == {ann.id}
    text = json.dumps(tables)
    assert "bob" not in text
    assert bob.id not in text


def test_an_export_has_the_values_as_in_other_responses(app: Flask, ann: Person) -> None:
    [user] = export(ann)["users"]

    read = ann.get("/account").get_json()
    assert {name: user[name] for name in read if name in user} == {
        name: read[name] for name in read if name in user
    }
    assert user["disabled"] is False


def test_an_export_contains_no_secret(app: Flask, ann: Person) -> None:
    add_rows(app, ann)

    text = ann.get("/account/export").text

    assert [secret for secret in SECRETS if secret in text] == []
    assert "password_hash" not in text


def test_an_export_is_a_file_that_is_not_stored_in_caches(ann: Person) -> None:
    response = ann.get("/account/export")

    assert response.content_type == "application/json"
    assert response.headers["Content-Disposition"] == 'attachment; filename="account.json"'
    assert response.headers["Cache-Control"] == "no-store"
    assert "ETag" not in response.headers
    assert ann.client.head("/account/export", headers=ann.headers).data == b""


def test_an_export_requires_a_recent_login(ann: Person) -> None:
    refreshed = ann.client.post("/auth/refresh", headers=bearer(ann.refresh)).get_json()["access_token"]

    response = ann.client.get("/account/export", headers=bearer(refreshed))

    assert problem(response) == (401, "fresh_token_required")


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_an_export_contains_every_row_of_several_batches(app: Flask, ann: Person, more: int) -> None:
    stored = 2 * ROWS + more - len(export(ann)["known_networks"])
    time = now()
    rows = [
        {"user_id": UUID(ann.id), "network": str(uuid4()), "first_seen_at": time, "last_seen_at": time}
        for _ in range(stored)
    ]
    with app.app_context():
        db.session.execute(db.insert(KnownNetwork), rows)
        db.session.commit()

    exported = [row["network"] for row in export(ann)["known_networks"]]

    assert len(exported) == len(set(exported)) == 2 * ROWS + more


def test_an_operator_gets_the_same_export(app: Flask, runner: FlaskCliRunner, ann: Person) -> None:
    add_rows(app, ann)
    with time_machine.travel(now(), tick=False):
        response = ann.get("/account/export")
        result = runner.invoke(args=["user", "export", "Ann"])

    assert result.exit_code == 0
    assert result.output == response.text


@pytest.mark.any_database
def test_an_unknown_account_is_not_exported(runner: FlaskCliRunner) -> None:
    result = runner.invoke(args=["user", "export", "unknown"])

    assert result.exit_code == 1
    assert "{" not in result.output
