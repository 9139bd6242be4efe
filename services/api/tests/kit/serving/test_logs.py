"""The log: requests, security events, and no secrets."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any
from unittest.mock import patch

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import URL, text

from app import create_app
from app.database import db
from kit.security.hashers import Argon2id, PasswordHash
from kit.serving import logs
from tests.support import plain_http
from tests.support.credentials import PASSWORD, bearer
from tests.support.people import People, Person
from tests.support.settings import settings_for

pytestmark = pytest.mark.any_database

NEW = "a whole new passphrase"
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(output: StringIO) -> Lines:
    return lambda: [json.loads(line) for line in output.getvalue().splitlines()]


def test_a_request_has_one_line(lines: Lines, committed_app: Flask, password_hash: PasswordHash) -> None:
    ann = People(committed_app, password_hash)("ann")

    ann.get("/account?", headers={"X-Request-ID": "one"}, environ_base={"REMOTE_ADDR": "192.0.2.7"})

    [line] = lines()
    assert line.pop("time").endswith("Z")
    assert 0 <= line.pop("sql_ms") <= line.pop("duration_ms")
    assert line == {
        "level": "INFO",
        "logger": "app.request",
        "message": "GET /account 200",
        "request_id": "one",
        "client": "192.0.2.7",
        "method": "GET",
        "route": "/account",
        "status": 200,
        "sql_statements": 1,
        "user_id": ann.id,
    }


TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize("form", ["00-{}-{}-01", "01-{}-{}-00-x", "cc-{}-{}-01"])
def test_a_trace_of_the_client_is_continued(lines: Lines, client: FlaskClient, form: str) -> None:
    client.get("/", headers={"traceparent": form.format(TRACE, SPAN)})

    [line] = lines()
    assert (line["trace_id"], line["parent_span_id"]) == (TRACE, SPAN)


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "x",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-01-x",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-01, 00-{TRACE}-{SPAN}-01",
    ],
)
def test_an_invalid_trace_is_ignored(lines: Lines, client: FlaskClient, traceparent: str) -> None:
    response = client.get("/", headers={"traceparent": traceparent})

    [line] = lines()
    assert response.status_code == 200
    assert not {"trace_id", "parent_span_id"} & set(line)


def test_an_unknown_path_is_not_logged(lines: Lines, client: FlaskClient) -> None:
    client.get("/nowhere/secret")

    [line] = lines()
    assert (line["route"], line["status"]) == ("-", 404)
    assert "user_id" not in line


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_health_checks_are_left_out(lines: Lines, client: FlaskClient, path: str) -> None:
    client.get(path)

    assert lines() == []


@pytest.fixture
def client_with_limit(database_url: URL) -> Iterator[Callable[[int], FlaskClient]]:
    """A client of an app with this SLOW_REQUEST_MS. Two paths take 30 ms and one statement."""
    apps = []

    def wait(**_: str) -> str:
        db.session.execute(text("SELECT 1"))
        time.sleep(0.03)
        return ""

    def make(milliseconds: int) -> FlaskClient:
        app = create_app(settings_for(database_url, slow_request_ms=milliseconds))
        app.add_url_rule("/wait/<name>", "wait", wait)
        app.add_url_rule("/health/wait", "health.wait", wait)
        apps.append(app)
        return app.test_client()

    yield make
    for app in apps:
        with app.app_context():
            for engine in db.engines.values():
                engine.dispose()


@pytest.mark.parametrize(
    ("path", "route"), [("/wait/secret", "/wait/<name>"), ("/health/wait", "/health/wait")]
)
def test_a_slow_request_is_a_warning(
    lines: Lines, client_with_limit: Callable[[int], FlaskClient], path: str, route: str
) -> None:
    client_with_limit(20).get(path)

    [line] = lines()
    assert (line["logger"], line["level"], line["slow"]) == ("app.request", "WARNING", True)
    assert (line["method"], line["route"], line["status"]) == ("GET", route, 200)
    assert line["duration_ms"] > 20
    assert line["sql_statements"] == 1
    assert 0 <= line["sql_ms"] < line["duration_ms"]
    assert "secret" not in str(line)


@pytest.mark.parametrize("milliseconds", [60_000, 0])
def test_a_request_within_the_limit_or_without_one_is_not_a_warning(
    lines: Lines, client_with_limit: Callable[[int], FlaskClient], milliseconds: int
) -> None:
    client = client_with_limit(milliseconds)
    client.get("/wait/secret")
    client.get("/health/wait")

    [line] = lines()
    assert (line["level"], line["route"]) == ("INFO", "/wait/<name>")
    assert "slow" not in line


def test_every_security_event_is_logged(
    lines: Lines, client: FlaskClient, people: People, ann: Person
) -> None:
    register = {"username": "bob", "password": PASSWORD}
    client.post("/auth/register", json=register)
    pair = client.post("/auth/login", json=register).json
    bob = bearer(pair["access_token"])
    other = client.post("/auth/login", json=register).json
    for _ in range(6):
        client.post("/auth/login", json=register | {"password": "wrong"})
    change = {"username": "Bob", "password": NEW, "current_password": PASSWORD}
    changed = client.patch("/account", json=change, headers=bob, environ_base={"REMOTE_ADDR": "192.0.2.7"})
    pair = changed.json["tokens"]
    successor = client.post("/auth/refresh", headers=bearer(pair["refresh_token"])).json
    client.post("/auth/refresh", headers=bearer(successor["refresh_token"]))
    client.post("/auth/refresh", headers=bearer(pair["refresh_token"]))
    id_ = ann.get("/auth/token").json["items"][0]["id"]
    ann.put(f"/auth/token/{id_}", json={"revoke": True})
    elsewhere = people.log_in("ann")
    elsewhere.post("/auth/logout", {"scope": "others"})
    elsewhere.delete("/account")

    events = [line for line in lines() if line["logger"] == "app.security"]
    assert [line["event"] for line in events] == [
        "registered",
        "logged_in",
        "logged_in",
        *["login_failed"] * 5,
        "rate_limited",
        "username_changed",
        "password_changed",
        "token_reused",
        "token_revoked",
        "logged_out",
        "account_deleted",
    ]
    assert {line["user_id"] for line in events[-3:]} == {ann.id}
    assert len({line.get("user_id") for line in events[:3]}) == 1
    assert all(line["request_id"] and line["client"] for line in events)
    assert other["access_token"] not in str(lines())


def test_no_secret_is_ever_logged(
    app: Flask, output: StringIO, lines: Lines, client: FlaskClient, people: People
) -> None:
    secrets = [PASSWORD, NEW, "wrong passphrase of ann", "passphrase in the name field"]
    ann = people("ann")
    client.post("/auth/login", json={"username": secrets[3], "password": secrets[2]})
    client.post("/auth/login", json={"username": "ann", "password": secrets[2]})
    client.post("/auth/register", json={"username": "bob", "password": NEW, "more": "a custom body"})
    client.post("/auth/register", data=b'{"a custom body')
    client.get(f"/account?token={ann.access}", headers=bearer(ann.refresh))
    client.get("/account", headers=bearer(ann.access[:-1]))
    changed = ann.patch("/account", json={"password": NEW, "current_password": PASSWORD})
    new_tokens = [changed.json["tokens"][name] for name in ("access_token", "refresh_token")]
    app.config["PROPAGATE_EXCEPTIONS"] = False
    with patch.object(Argon2id, "verify", side_effect=RuntimeError("a bug")):
        assert client.post("/auth/login", json={"username": "ann", "password": NEW}).status_code == 500

    assert any("a bug" in line.get("exception", "") for line in lines())
    for secret in [*secrets, *new_tokens, ann.access, ann.refresh, ann.access[-43:-1], "custom body"]:
        assert secret not in output.getvalue()


@pytest.mark.parametrize("form", logs.FORMATTERS)
def test_client_input_cannot_forge_a_log_line(form: str) -> None:
    stream = StringIO()
    handler = logs.make_handler(form, stream)
    forged = 'x\n{"event": "forged"}\r\x1b[31m\u2028\u0085'

    handler.handle(logging.makeLogRecord({"msg": forged, "name": forged, "fields": {"method": forged}}))

    assert len(stream.getvalue().splitlines()) == 1
    assert stream.getvalue().isascii()


def test_the_text_format_is_readable() -> None:
    stream = StringIO()
    record = logging.makeLogRecord(
        {"msg": "hello", "levelname": "INFO", "name": "app", "fields": {"status": 200}}
    )

    logs.make_handler("text", stream).handle(record)

    assert stream.getvalue().endswith("Z INFO app: hello status=200\n")


@pytest.mark.parametrize(
    ("env", "given", "form"),
    [
        ("production", None, "json"),
        ("development", None, "text"),
        ("development", "json", "json"),
        ("production", "text", "text"),
    ],
)
def test_production_logs_json(app: Flask, env: str, given: str | None, form: str) -> None:
    settings = app.extensions["settings"].model_copy(update={"flask_env": env, "log_format": given})

    with patch("kit.serving.logs.set_up") as set_up:
        logs.init_app(Flask("other"), settings)

    set_up.assert_called_once_with(form, "INFO")


def test_requests_refused_by_the_server_are_logged(lines: Lines, live: tuple[str, People]) -> None:
    url, _ = live

    plain_http.get(url, headers={"X-Long": "x" * 20_000})

    [line] = lines()
    assert (line["logger"], line["status"], line["client"]) == ("app.request", 431, "127.0.0.1")
    assert line["message"] == "refused before it reached the app: headers_too_large"


def test_an_unknown_method_is_not_logged(lines: Lines, client: FlaskClient) -> None:
    client.open("/account", method="PASSW0RD")

    [line] = lines()
    assert (line["method"], line["message"]) == ("-", "- - 405")
