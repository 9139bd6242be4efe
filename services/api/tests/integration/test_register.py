"""POST /auth/register."""

import re

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.blueprint.schemas import Account
from app.config import APP_NAME
from tests.support.credentials import PASSWORD
from tests.support.problems import errors, problem

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def register(client: FlaskClient, **body: object) -> TestResponse:
    return client.post("/auth/register", json=body)


def test_register_returns_the_account_and_its_location(client: FlaskClient) -> None:
    response = register(client, username="Ann.of-the_9", password=PASSWORD)

    assert response.status_code == 201
    assert response.headers["Location"] == "/account"
    assert set(response.json or {}) == set(Account.model_fields)
    assert "password" not in str(response.json)
    assert UUID4.fullmatch(response.json["id"])
    assert response.json["username"] == "Ann.of-the_9"
    assert response.json["role"] == "user"
    assert response.json["created_at"].endswith("Z")


def test_register_refuses_a_taken_username_in_any_case(client: FlaskClient) -> None:
    register(client, username="Ann", password=PASSWORD)

    response = register(client, username="aNN", password=PASSWORD)

    assert problem(response) == (409, "username_taken")


@pytest.mark.parametrize("name", ["ann", "a.b", "0__", "A" * 64])
def test_register_accepts_every_well_formed_username(client: FlaskClient, name: str) -> None:
    assert register(client, username=name, password=PASSWORD).status_code == 201


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "too_short"),
        ("an", "too_short"),
        ("a" * 65, "too_long"),
        (".ann", "invalid_format"),
        ("-ann", "invalid_format"),
        ("ann\n", "invalid_format"),
        ("ann ", "invalid_format"),
        ("änn", "invalid_format"),
        ("an\0n", "invalid_format"),
        ("ann\u212a", "invalid_format"),
        (None, "wrong_type"),
        (7, "wrong_type"),
        (["ann"], "wrong_type"),
    ],
)
def test_register_refuses_a_malformed_username(client: FlaskClient, name: object, code: str) -> None:
    assert errors(register(client, username=name, password=PASSWORD)) == {("/username", code)}


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("", "too_short"),
        ("x9!kQ2@mZ7#pL4", "too_short"),
        ("e\u0301" * 14, "too_short"),
        ("x9!kQ2@m" * 17, "too_long"),
        ("x9!kQ2@mZ7#pL4$w\0", "invalid_format"),
        ("a" * 20, "repetitive"),
        ("xkcdjqwZ" * 2, "repetitive"),
        ("iLoveYou1234567", "too_common"),
        ("abcABCabcABCabcA", "repetitive"),
        ("ann-of-green-gables1234567", "contains_name"),
        (f"1{APP_NAME.upper()}234567", "contains_name"),
        (None, "wrong_type"),
        (123456789012345, "wrong_type"),
    ],
)
def test_register_refuses_a_weak_password(client: FlaskClient, password: object, code: str) -> None:
    response = register(client, username="ann-of-green-gables", password=password)

    assert errors(response) == {("/password", code)}


@pytest.mark.parametrize(
    "password", ["pass word\t\x01\x7fwithout end", "密" * 7 + "碼語言文字母音聲", "é" * 7 + "abcdefgh"]
)
def test_register_accepts_passwords_with_any_characters(client: FlaskClient, password: str) -> None:
    register(client, username="ann", password=password)

    response = client.post("/auth/login", json={"username": "ann", "password": password})

    assert response.status_code == 200


def test_register_changes_nothing_when_it_refuses(client: FlaskClient) -> None:
    register(client, username="ann", password="too short")

    assert register(client, username="ann", password=PASSWORD).status_code == 201


def test_register_cannot_set_the_role(client: FlaskClient) -> None:
    response = register(client, username="ann", password=PASSWORD, role="admin")

    assert errors(response) == {("/role", "unknown_field")}
