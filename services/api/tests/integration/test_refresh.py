"""POST /auth/refresh: rotation, retries after a lost response, and reuse of a stolen token."""

from datetime import timedelta
from unittest.mock import patch
from uuid import UUID, uuid4

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, select, update
from werkzeug.test import TestResponse

from app.authentication import encode
from app.database import db
from app.model.models import Session, Token
from kit.clock import now
from kit.security import jwt
from tests.support.credentials import bearer
from tests.support.people import People, Person
from tests.support.problems import problem


def refresh(client: FlaskClient, token: str) -> TestResponse:
    return client.post("/auth/refresh", headers=bearer(token))


def test_refresh_returns_a_new_pair_for_the_same_session(client: FlaskClient, ann: Person) -> None:
    response = refresh(client, ann.refresh)

    assert response.status_code == 200
    assert response.json["session_id"] == ann.session_id
    assert response.json["refresh_token"] != ann.refresh
    assert client.get("/account", headers=bearer(response.json["access_token"])).status_code == 200


def test_refresh_keeps_the_previous_access_token_valid(client: FlaskClient, ann: Person) -> None:
    refresh(client, ann.refresh)

    assert ann.get("/account").status_code == 200


def test_a_session_can_be_refreshed_repeatedly(client: FlaskClient, ann: Person) -> None:
    token = ann.refresh
    for _ in range(5):
        response = refresh(client, token)
        assert response.status_code == 200
        token = response.json["refresh_token"]


def test_retrying_a_refresh_returns_the_same_successor(client: FlaskClient, ann: Person) -> None:
    first = refresh(client, ann.refresh).json

    with time_machine.travel(now() + timedelta(seconds=8), tick=False):
        again = refresh(client, ann.refresh)

    assert again.status_code == 200
    assert again.json["access_token"] == first["access_token"]
    assert again.json["refresh_token"] == first["refresh_token"]
    assert 890 <= again.json["expires_in"] <= 892
    assert refresh(client, first["refresh_token"]).status_code == 200


def test_a_retried_refresh_never_returns_a_negative_lifetime(
    app: Flask, client: FlaskClient, ann: Person
) -> None:
    short = app.extensions["settings"].model_copy(update={"access_token_seconds": 1})
    with patch.dict(app.extensions, {"settings": short}):
        refresh(client, ann.refresh)

        with time_machine.travel(now() + timedelta(seconds=5), tick=False):
            assert refresh(client, ann.refresh).json["expires_in"] == 0


def test_reusing_a_token_ends_the_session_once_its_successor_was_used(
    client: FlaskClient, ann: Person, people: People
) -> None:
    other_session = people.log_in("ann")
    first = refresh(client, ann.refresh).json
    second = refresh(client, first["refresh_token"]).json

    response = refresh(client, ann.refresh)

    assert problem(response) == (401, "token_reused")
    assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    for token in (ann.refresh, first["refresh_token"], second["refresh_token"]):
        assert problem(refresh(client, token)) == (401, "token_revoked")
    for token in (ann.access, first["access_token"], second["access_token"]):
        assert problem(client.get("/account", headers=bearer(token))) == (401, "token_revoked")
    assert other_session.get("/account").status_code == 200


def test_reusing_a_token_after_the_grace_period_ends_the_session(client: FlaskClient, ann: Person) -> None:
    successor = refresh(client, ann.refresh).json["refresh_token"]

    with time_machine.travel(now() + timedelta(seconds=11), tick=False):
        assert problem(refresh(client, ann.refresh)) == (401, "token_reused")
        assert problem(refresh(client, successor)) == (401, "token_revoked")


def test_the_list_shows_why_a_stolen_session_ended(client: FlaskClient, ann: Person, people: People) -> None:
    successor = refresh(client, ann.refresh).json["refresh_token"]
    refresh(client, successor)
    refresh(client, ann.refresh)

    listed = people.log_in("ann").get("/auth/token?active=false").json["items"]

    reasons = [item["revoked_reason"] for item in listed if item["session_id"] == ann.session_id]
    assert sorted(reasons) == ["reused"] * 4 + ["rotated"] * 2


@pytest.mark.parametrize("is_spent", [False, True])
def test_a_token_without_a_row_counts_as_reused(
    app: Flask, client: FlaskClient, ann: Person, people: People, is_spent: bool
) -> None:
    other_session = people.log_in("ann")
    newest = refresh(client, ann.refresh).json["refresh_token"] if is_spent else ann.refresh
    with app.app_context():
        own = Token.session_id == UUID(ann.session_id)
        db.session.execute(delete(Token).where(own, Token.type == "refresh"))
        db.session.commit()

    assert problem(refresh(client, ann.refresh)) == (401, "token_reused")

    for token in (ann.refresh, newest):
        assert problem(refresh(client, token)) == (401, "token_revoked")
    assert problem(ann.get("/account")) == (401, "token_revoked")
    assert other_session.get("/account").status_code == 200


def test_a_token_without_a_row_ends_only_a_session_of_its_user(
    app: Flask, client: FlaskClient, ann: Person, bob: Person
) -> None:
    with app.test_request_context():
        times = {"iat": 0, "nbf": 0, "exp": 2**33}
        claims = {"jti": str(uuid4()), "sid": ann.session_id, "fresh": False, **times}
        foreign = jwt.encode("refresh", bob.id, claims)

    assert problem(refresh(client, foreign)) == (401, "token_revoked")
    assert refresh(client, ann.refresh).status_code == 200


def test_after_a_restored_backup_a_session_refreshed_since_ends(
    app: Flask, client: FlaskClient, ann: Person
) -> None:
    with app.app_context():
        backup = db.session.scalar(select(Session.refresh_id))
    newest = refresh(client, ann.refresh).json["refresh_token"]
    with app.app_context():
        db.session.execute(delete(Token).where(Token.parent_id == backup))
        db.session.execute(update(Token).values(revoked_at=None, revoked_reason=None))
        db.session.execute(update(Session).values(refresh_id=backup))
        db.session.commit()

    assert problem(refresh(client, newest)) == (401, "token_reused")
    assert problem(refresh(client, ann.refresh)) == (401, "token_revoked")


@pytest.mark.parametrize("elapsed", [2_592_000 + 11, 7_776_000 + 11])
def test_an_idle_session_ends(client: FlaskClient, ann: Person, elapsed: int) -> None:
    with time_machine.travel(now() + timedelta(seconds=elapsed), tick=False):
        assert problem(refresh(client, ann.refresh)) == (401, "token_expired")


def test_a_session_ends_at_its_maximum_age(app: Flask, client: FlaskClient, ann: Person) -> None:
    with app.app_context():
        session = db.session.scalars(select(Session)).one()
        session.ends_at = (now() + timedelta(seconds=100)).replace(microsecond=0)
        db.session.commit()

    pair = refresh(client, ann.refresh).json

    assert 98 <= pair["expires_in"] <= 100
    assert 98 <= pair["refresh_expires_in"] <= 100
    with time_machine.travel(now() + timedelta(seconds=105), tick=False):  # within the clock leeway
        assert problem(refresh(client, pair["refresh_token"])) == (401, "token_expired")


@pytest.mark.parametrize("name", ["access", "refresh"])
def test_a_token_expires_with_its_row_even_if_it_says_otherwise(app: Flask, ann: Person, name: str) -> None:
    with app.app_context():
        db.session.execute(update(Token).values(expires_at=now() - timedelta(seconds=11)))
        db.session.commit()
        token = db.session.scalars(select(Token).where(Token.type == name)).one()
        token.expires_at = now() + timedelta(days=3650)  # not stored
        forged = encode(token)
        db.session.rollback()

    if name == "access":
        response = ann.client.get("/account", headers=bearer(forged))
    else:
        response = refresh(ann.client, forged)

    assert problem(response) == (401, "token_expired")


def test_an_expired_row_is_tolerated_within_the_leeway(app: Flask, client: FlaskClient, ann: Person) -> None:
    with app.app_context():
        db.session.execute(update(Token).values(expires_at=now() - timedelta(seconds=5)))
        db.session.commit()

    assert ann.get("/account").status_code == 200
    assert refresh(client, ann.refresh).status_code == 200


def test_refresh_refuses_an_access_token(client: FlaskClient, ann: Person) -> None:
    assert problem(refresh(client, ann.access)) == (401, "invalid_token")


def test_refresh_refuses_a_body(client: FlaskClient, ann: Person) -> None:
    response = client.post("/auth/refresh", headers=bearer(ann.refresh), json={"a": 1})

    assert problem(response) == (422, "validation_failed")
