"""POST /auth/register."""

import re
from unittest.mock import patch

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import URL
from werkzeug.test import TestResponse

from app.config import APP_NAME
from app.mail.schemas import Account
from tests.support.credentials import PASSWORD
from tests.support.problems import errors, problem
from tests.support.settings import settings_for

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
    ("body", "expected"),
    [
        (
            {"username": "a/b", "password": "iloveyouprincess", "role": "admin"},
            {("/username", "invalid_format"), ("/password", "too_common"), ("/role", "unknown_field")},
        ),
        ({"password": "a" * 20}, {("/username", "required"), ("/password", "repetitive")}),
        ({"username": "admin"}, {("/username", "already_exists"), ("/password", "required")}),
        (
            {"username": "admin", "password": "admin-1-admin-2"},
            {("/username", "already_exists"), ("/password", "contains_name")},
        ),
        (
            {"username": "abcdefgh", "password": "abcdefgh" * 2},
            {("/password", "too_common"), ("/password", "repetitive"), ("/password", "contains_name")},
        ),
        ({"username": 1, "password": 1}, {("/username", "wrong_type"), ("/password", "wrong_type")}),
        ({"username": "an", "password": "x" * 129}, {("/username", "too_short"), ("/password", "too_long")}),
    ],
)
def test_register_lists_every_wrong_field_at_once(
    client: FlaskClient, body: dict[str, object], expected: set[tuple[str, str]]
) -> None:
    assert errors(register(client, **body)) == expected


@pytest.mark.parametrize("name", ["admin", "ADMIN", "Root", "support", "postmaster"])
def test_register_refuses_a_name_that_looks_official(client: FlaskClient, name: str) -> None:
    assert errors(register(client, username=name, password=PASSWORD)) == {("/username", "already_exists")}


@pytest.mark.parametrize("name", ["admin2", "roots", "supporter"])
def test_register_accepts_a_name_that_only_contains_an_official_one(client: FlaskClient, name: str) -> None:
    assert register(client, username=name, password=PASSWORD).status_code == 201


def test_a_setting_replaces_the_reserved_names(app: Flask, client: FlaskClient, database_url: URL) -> None:
    def reserve(names: str) -> None:
        app.extensions["settings"] = settings_for(database_url, reserved_usernames=names)

    with patch.dict(app.extensions):
        reserve("Boss, team")
        answers = [
            register(client, username=name, password=PASSWORD).status_code
            for name in ("bosS", "team", "admin")
        ]
        reserve("off")
        answers.append(register(client, username="team", password=PASSWORD).status_code)

    assert answers == [422, 422, 201, 201]


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
