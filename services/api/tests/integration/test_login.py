"""POST /auth/login."""

from unicodedata import normalize
from unittest.mock import patch

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from app.database import db
from app.model.models import Session, User
from kit.clock import now
from kit.security.hashers import Argon2id, Scrypt
from tests.support.credentials import PASSWORD, bearer
from tests.support.people import People
from tests.support.problems import errors, problem
from tests.support.settings import SECRET_KEY


def log_in(client: FlaskClient, username: str = "ann", password: str = PASSWORD) -> TestResponse:
    return client.post("/auth/login", json={"username": username, "password": password})


def test_login_returns_a_valid_pair_of_tokens(client: FlaskClient, people: People) -> None:
    people.register("ann")

    response = log_in(client)

    assert response.status_code == 200
    assert response.headers["Cache-Control"] == "no-store"
    pair = response.json or {}
    assert set(pair) == {
        "access_token", "refresh_token", "token_type", "expires_in", "refresh_expires_in", "session_id",
    }  # fmt: skip
    assert pair["token_type"] == "Bearer"
    assert (pair["expires_in"], pair["refresh_expires_in"]) == (900, 2_592_000)
    assert client.get("/account", headers=bearer(pair["access_token"])).json["username"] == "ann"


def test_a_token_has_the_claims_of_the_profile_and_no_name(client: FlaskClient, people: People) -> None:
    people.register("ann")

    pair = log_in(client).json

    for name, kind, typ, lifetime in [
        ("access_token", "access", "at+jwt", 900),
        ("refresh_token", "refresh", "rt+jwt", 2_592_000),
    ]:
        token = jwt.decode_complete(pair[name], SECRET_KEY, algorithms=["HS256"], audience="flask-api")
        claims = token["payload"]
        assert token["header"] == {"alg": "HS256", "typ": typ}
        assert set(claims) >= {"iss", "aud", "sub", "jti", "sid", "type", "iat", "nbf", "exp", "fresh"}
        assert (claims["iss"], claims["type"], claims["sid"]) == ("flask-api", kind, pair["session_id"])
        assert claims["exp"] - claims["iat"] == lifetime
        assert claims["fresh"] is (kind == "access")
        assert "ann" not in str(token)


@pytest.mark.parametrize("name", ["ann", "Ann", "ANN"])
def test_login_ignores_the_case_of_the_username(client: FlaskClient, people: People, name: str) -> None:
    people.register("aNn")

    assert log_in(client, name).status_code == 200


@pytest.mark.parametrize("name", ["ann ", " ann", "\tann\r\n", "\u00a0ann\u2003", "ann" + " " * 64])
def test_login_trims_white_space_around_the_username(client: FlaskClient, people: People, name: str) -> None:
    people.register("ann")

    assert log_in(client, name).status_code == 200


@pytest.mark.parametrize("name", ["bob", "an", ".", "an n", "\u212aelvin", "ä" * 64])
def test_login_has_the_same_response_for_a_wrong_name_and_a_wrong_password(
    client: FlaskClient, people: People, name: str
) -> None:
    people.register("ann")
    people.register("kelvin")
    wrong_password = log_in(client, "ann", "wrong horse battery staple")

    wrong_name = log_in(client, name)

    assert problem(wrong_name) == problem(wrong_password) == (401, "invalid_credentials")
    own, other = wrong_name.headers["X-Request-ID"], wrong_password.headers["X-Request-ID"]
    assert wrong_name.text.replace(own, other) == wrong_password.text
    assert str(wrong_name.headers).replace(own, other) == str(wrong_password.headers)


@pytest.mark.parametrize("name", ["ann", "unknown", "."])
@pytest.mark.parametrize("password", [PASSWORD, "wrong horse battery staple"])
def test_login_hashes_exactly_once(client: FlaskClient, people: People, name: str, password: str) -> None:
    people.register("ann")

    with (
        patch.object(Argon2id, "verify", autospec=True, side_effect=Argon2id.verify) as verify,
        patch.object(Argon2id, "hash") as hash_,
    ):
        log_in(client, name, password)

    assert (verify.call_count, hash_.call_count) == (1, 0)


def test_login_keeps_no_transaction_open_while_it_hashes(client: FlaskClient, people: People) -> None:
    people.register("ann")

    def verify(hasher: Argon2id, password: str, hashed: str) -> bool:
        assert not db.session().in_transaction()
        return True

    with patch.object(Argon2id, "verify", verify):
        assert log_in(client).status_code == 200


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"username": "", "password": PASSWORD}, ("/username", "too_short")),
        ({"username": " \t", "password": PASSWORD}, ("/username", "too_short")),
        ({"username": "a" * 255, "password": PASSWORD}, ("/username", "too_long")),
        ({"username": "an\0n", "password": PASSWORD}, ("/username", "invalid_format")),
        ({"username": "an\a", "password": PASSWORD}, ("/username", "invalid_format")),
        ({"username": 1, "password": PASSWORD}, ("/username", "wrong_type")),
        ({"password": PASSWORD}, ("/username", "required")),
        ({"username": "ann", "password": ""}, ("/password", "too_short")),
        ({"username": "ann", "password": "x" * 129}, ("/password", "too_long")),
        ({"username": "ann", "password": "x\0"}, ("/password", "invalid_format")),
        ({"username": "ann", "password": PASSWORD, "otp": "1"}, ("/otp", "unknown_field")),
    ],
)
def test_login_checks_types_and_lengths(
    client: FlaskClient, body: dict[str, object], expected: tuple[str, str]
) -> None:
    assert errors(client.post("/auth/login", json=body)) == {expected}


def test_a_password_matches_in_any_unicode_normalization(client: FlaskClient) -> None:
    composed, decomposed = "caf\u00e9 au lait et miel", "cafe\u0301 au lait et miel"
    client.post("/auth/register", json={"username": "ann", "password": composed})

    assert log_in(client, "ann", decomposed).status_code == 200


def test_the_length_of_a_password_does_not_depend_on_unicode_normalization(client: FlaskClient) -> None:
    composed = "".join(f"\u00e9{number:03}" for number in range(32))
    client.post("/auth/register", json={"username": "ann", "password": normalize("NFD", composed)})

    assert len(composed) == 128
    assert log_in(client, "ann", composed).status_code == 200
    assert errors(log_in(client, "ann", composed + "x")) == {("/password", "too_long")}
    assert errors(log_in(client, "ann", "e\u0301" * 300)) == {("/password", "too_long")}


def test_an_old_hash_verifies_and_is_replaced_at_login(
    app: Flask, client: FlaskClient, people: People
) -> None:
    people.register("ann")
    with app.app_context():
        ann = db.session.scalars(select(User)).one()
        ann.password_hash = Scrypt().hash(PASSWORD)
        before = ann.updated_at
        db.session.commit()

    assert log_in(client).status_code == 200

    with app.app_context():
        ann = db.session.scalars(select(User)).one()
        assert ann.password_hash.startswith("$argon2id$")
        assert ann.updated_at == before
    assert log_in(client).status_code == 200


def test_the_51st_login_ends_the_least_recently_refreshed_session(
    app: Flask, client: FlaskClient, people: People
) -> None:
    oldest = people("ann")
    second = people.log_in("ann")
    for _ in range(48):
        people.log_in("ann")
    refreshed = client.post("/auth/refresh", headers=bearer(oldest.refresh)).json

    assert log_in(client).status_code == 200

    assert problem(second.get("/account")) == (401, "token_revoked")
    assert client.get("/account", headers=bearer(refreshed["access_token"])).status_code == 200
    with app.app_context():
        live = select(func.count()).select_from(Session).where(Session.ended_at.is_(None))
        assert db.session.scalar(live) == 50
        ended = db.session.scalars(select(Session).where(Session.ended_at.is_not(None))).one()
        assert ended.ended_reason == "session_limit"


def test_a_login_fails_if_the_password_changes_meanwhile(
    app: Flask, client: FlaskClient, people: People
) -> None:
    people.register("ann")

    def change_meanwhile(hasher: Argon2id, password: str, hashed: str) -> bool:
        ann = db.session.scalars(select(User)).one()
        ann.password_changed_at = now()
        db.session.commit()
        return True

    with patch.object(Argon2id, "verify", change_meanwhile):
        assert problem(log_in(client)) == (401, "invalid_credentials")
