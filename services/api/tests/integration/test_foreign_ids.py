"""Refresh tokens that mix the ids of two users or of two tokens. Only the signing key could make one."""

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from kit.security import jwt
from tests.support.credentials import bearer
from tests.support.people import Person
from tests.support.problems import problem


def mixed(app: Flask, token: str, other: str, *claims: str) -> str:
    """Return a signed refresh token like `token`, with some claims of another."""
    with app.app_context():
        merged = jwt.decode(token) | {name: jwt.decode(other)[name] for name in claims}
        kept = {name: merged[name] for name in ("jti", "sid", "iat", "nbf", "exp", "fresh")}
        return jwt.encode("refresh", merged["sub"], kept)


def refresh(client: FlaskClient, token: str) -> TestResponse:
    return client.post("/auth/refresh", headers=bearer(token))


@pytest.mark.parametrize(
    "claims", [("sub",), ("sid",), ("jti",), ("sub", "sid"), ("sub", "jti"), ("sid", "jti")]
)
def test_a_refresh_token_with_ids_of_two_users_is_revoked_and_ends_nothing(
    app: Flask, client: FlaskClient, ann: Person, bob: Person, claims: tuple[str, ...]
) -> None:
    token = mixed(app, ann.refresh, bob.refresh, *claims)

    assert problem(refresh(client, token)) == (401, "token_revoked")
    assert [refresh(client, person.refresh).status_code for person in (ann, bob)] == [200, 200]


def test_a_spent_token_with_the_id_of_another_user_returns_no_tokens(
    app: Flask, client: FlaskClient, ann: Person, bob: Person
) -> None:
    assert refresh(client, ann.refresh).status_code == 200

    response = refresh(client, mixed(app, ann.refresh, bob.refresh, "sub"))

    assert problem(response) == (401, "token_revoked")
    assert refresh(client, ann.refresh).status_code == 200


def test_the_id_of_an_access_token_cannot_be_refreshed(app: Flask, client: FlaskClient, ann: Person) -> None:
    token = mixed(app, ann.refresh, ann.access, "jti")

    assert problem(refresh(client, token)) == (401, "token_revoked")
    assert refresh(client, ann.refresh).status_code == 200
