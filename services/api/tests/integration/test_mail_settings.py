"""REGISTER_EMAIL, and an app without mail."""

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from kit.web import openapi
from tests.support.credentials import PASSWORD
from tests.support.mail import Mailbox
from tests.support.paths import API
from tests.support.people import People
from tests.support.problems import problem
from tests.support.settings import NEVER_OPENED, SECRET_KEY, WITHOUT_MAIL, settings_for

pytestmark = pytest.mark.any_database
LOGIN = {"username": "ann", "password": PASSWORD}


@pytest.fixture
def required(app: Flask) -> Iterator[Flask]:
    settings = app.extensions["settings"].model_copy(update={"register_email": "required"})
    with patch.dict(app.extensions, settings=settings):
        yield app


def document(**settings: object) -> dict[str, object]:
    return openapi.build(create_app(settings_for(NEVER_OPENED, **settings)))


def registration(**settings: object) -> dict[str, object]:
    """Return the schema of the body of a registration."""
    built: Any = document(**settings)
    body = built["paths"]["/auth/register"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    return dict(built["components"]["schemas"][body["$ref"].rpartition("/")[2]])


def test_a_login_needs_a_verified_address_if_one_is_required(required: Flask, client: FlaskClient) -> None:
    client.post("/auth/register", json={**LOGIN, "email": "ann@example.com"})
    mailbox = Mailbox(required)
    mailbox.receive()

    wrong = client.post("/auth/login", json=LOGIN | {"password": "wrong"})
    early = client.post("/auth/login", json=LOGIN)
    [sent] = mailbox.receive()
    client.post("/auth/email/verify", json={"token": sent.token})

    assert problem(wrong) == (401, "invalid_credentials")
    assert problem(early) == (403, "email_unverified")
    assert client.post("/auth/login", json=LOGIN).status_code == 200


def test_a_required_address_cannot_be_removed(required: Flask, people: People) -> None:
    response = people("ann").delete("/account/email", json={"current_password": PASSWORD})

    assert problem(response) == (409, "email_required")


def test_the_document_says_whether_an_address_is_required() -> None:
    assert "email" in registration(register_email="optional")["properties"]  # type: ignore[operator]
    assert "email" not in registration(register_email="optional")["required"]  # type: ignore[operator]
    assert "email" in registration(register_email="required")["required"]  # type: ignore[operator]
    assert "email" not in registration(register_email="off")["properties"]  # type: ignore[operator]


def test_an_app_without_mail_has_no_trace_of_it() -> None:
    app = create_app(settings_for(NEVER_OPENED, **WITHOUT_MAIL))
    text = json.dumps(openapi.build(app)).lower()

    assert "mail" not in text
    assert not [
        rule.rule for rule in app.url_map.iter_rules() if "email" in rule.rule or "reset" in rule.rule
    ]


def test_an_app_without_mail_imports_nothing_for_it() -> None:
    code = "import sys; from app import create_app; create_app(); print([*sys.modules])"
    environment = {"FLASK_ENV": "production", "DATABASE_URL": NEVER_OPENED, "SECRET_KEY": SECRET_KEY}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=API, env=environment, capture_output=True, text=True, check=True
    )

    modules = run.stdout.replace("'", "").strip("[]\n").split(", ")
    assert not [name for name in modules if name.startswith(("app.mail", "smtplib"))]
