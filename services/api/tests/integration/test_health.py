"""GET /health/live and /health/ready."""

from collections.abc import Iterator
from io import StringIO
from unittest.mock import patch

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import URL, make_url, text

from app import create_app
from app.database import db
from kit.data import readiness
from tests.support.credentials import PASSWORD
from tests.support.paths import MIGRATIONS
from tests.support.problems import problem
from tests.support.settings import settings_for

OK = {"status": "ok", "checks": {"database": "ok", "migrations": "ok"}}


def test_a_migrated_app_is_ready(client: FlaskClient) -> None:
    assert client.get("/health/live").json == {"status": "ok"}
    assert client.get("/health/ready").json == OK


@pytest.mark.parametrize(
    ("statement", "is_ready"),
    [
        ("DELETE FROM alembic_version", False),
        ("DROP TABLE alembic_version", False),
        ("UPDATE alembic_version SET version_num = 'newer'", True),
    ],
    ids=["unmarked", "never migrated", "by a newer release"],
)
def test_readiness_requires_a_migrated_database(
    app: Flask, client: FlaskClient, statement: str, is_ready: bool
) -> None:
    with app.app_context():
        db.session.execute(text(statement))
        db.session.commit()

    response = client.get("/health/ready")

    if is_ready:
        assert response.json == OK
    else:
        assert problem(response) == (503, "not_ready")
        assert "`migrations`" in response.json["detail"]
        assert int(response.headers["Retry-After"]) >= 1


def test_an_older_revision_that_the_code_knows_is_not_ready(app: Flask, client: FlaskClient) -> None:
    _, known = readiness.revisions(MIGRATIONS)

    with patch("kit.data.readiness.revisions", return_value=({"later"}, {*known, "later"})):
        assert problem(client.get("/health/ready")) == (503, "not_ready")


def test_readiness_fails_once_shutdown_begins(app: Flask, client: FlaskClient) -> None:
    app.extensions["stopping"].set()

    ready, live = client.get("/health/ready"), client.get("/health/live")

    app.extensions["stopping"].clear()
    assert problem(ready) == (503, "not_ready")
    assert live.status_code == 200


@pytest.fixture
def stranded(tmp_path: object, database_url: URL) -> Iterator[FlaskClient]:
    """An app whose database is unavailable."""
    url = make_url("postgresql://user@127.0.0.1:1/app_test")
    # part: sqlite
    if database_url.drivername == "sqlite":
        url = make_url(f"sqlite:////{tmp_path}/nowhere/app_test.db")
    # end of part
    app = create_app(settings_for(url))
    app.config["PROPAGATE_EXCEPTIONS"] = False
    yield app.test_client()
    with app.app_context():
        db.engine.dispose()


def test_without_its_database_the_app_is_alive_but_not_ready(stranded: FlaskClient) -> None:
    assert stranded.get("/health/live").status_code == 200
    response = stranded.get("/health/ready")
    assert problem(response) == (503, "not_ready")
    assert "`database`" in response.json["detail"]


def test_without_its_database_the_app_asks_clients_to_retry(stranded: FlaskClient, output: StringIO) -> None:
    response = stranded.post("/auth/register", json={"username": "ann", "password": PASSWORD})

    assert problem(response) == (503, "database_unavailable")
    assert int(response.headers["Retry-After"]) >= 1
    assert stranded.get("/problems").status_code == 200
    [reason] = [line for line in output.getvalue().splitlines() if "app.error" in line]
    assert response.headers["X-Request-ID"] in reason
    assert "INSERT" not in reason
