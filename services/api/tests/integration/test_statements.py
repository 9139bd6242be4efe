"""How many SQL statements each request may take, BEGIN and COMMIT not counted."""

import json
from io import StringIO

import pytest
from flask import Flask

from app.model.passwords import PasswordHash
from tests.integration.conftest import PASSWORD, People, bearer

BUDGET = {
    "GET /account": 1,
    "GET /auth/token": 2,
    "POST /auth/logout": 2,
    "POST /auth/refresh": 4,
    "POST /auth/login": 6,
}


@pytest.mark.parametrize("operation", BUDGET)
def test_a_request_takes_no_more_statements_than_its_budget(
    committed_app: Flask, password_hash: PasswordHash, output: StringIO, operation: str
) -> None:
    ann = People(committed_app, password_hash)("ann")
    method, path = operation.split()
    body = {"username": "ann", "password": PASSWORD} if path == "/auth/login" else None
    token = {"/auth/login": "", "/auth/refresh": ann.refresh}.get(path, ann.access)

    response = committed_app.test_client().open(
        path, method=method, json=body, headers=bearer(token) if token else {}
    )

    assert response.status_code < 300, response.text
    lines = [json.loads(line) for line in output.getvalue().splitlines()]
    (taken,) = [line["sql_statements"] for line in lines if line["logger"] == "app.request"]
    assert taken == BUDGET[operation]
