"""FORWARDED_PREFIX: a proxy in front removes a path prefix."""

import json
from collections.abc import Callable
from functools import partial
from io import StringIO

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app import create_app
from kit.web.paths import with_prefix
from tests.support.people import Person
from tests.support.settings import NEVER_OPENED, settings_for

PROXY, CLIENT = "10.0.0.1", "192.0.2.1"


@pytest.fixture
def behind() -> Flask:
    return create_app(settings_for(NEVER_OPENED, trusted_proxies="10.0.0.0/8", forwarded_prefix="on"))


def documentation(app: Flask, prefix: str, peer: str = PROXY) -> str:
    """Return the link to the documentation in a response that a proxy with this prefix gets."""
    headers = {"X-Forwarded-Prefix": prefix}
    response = app.test_client().get("/", headers=headers, environ_base={"REMOTE_ADDR": peer})
    return str(response.json["documentation"])


@pytest.mark.parametrize("prefix", ["/api", "/api/v1", "/a.b/c_d/~e-f", "/...", "/.x/x.", "/" + "a" * 127])
def test_links_have_the_prefix_of_a_trusted_proxy(behind: Flask, prefix: str) -> None:
    assert documentation(behind, prefix) == f"{prefix}/docs"


@pytest.mark.parametrize(
    "prefix",
    [
        "api",
        "/",
        "/api/",
        "//evil.example",
        "/api//v1",
        "/./api",
        "/../api",
        "/api/..",
        "/api/.",
        "/api?x",
        "/api#x",
        "/%2e",
        "/a b",
        "/\u00fc",
        "/api, /v1",
        "https://evil.example",
        "/" + "a" * 128,
        "/api\n/v1",
    ],
)
def test_any_other_prefix_is_ignored_and_the_first_is_logged(
    behind: Flask, output: StringIO, prefix: str
) -> None:
    environ = {"REMOTE_ADDR": PROXY, "HTTP_X_FORWARDED_PREFIX": prefix}
    client = behind.test_client()

    found = [client.get("/", environ_base=environ).json["documentation"] for _ in range(2)]

    assert found == ["/docs", "/docs"]
    lines = [json.loads(line) for line in output.getvalue().splitlines()]
    assert ["X-Forwarded-Prefix" in line["message"] for line in lines].count(True) == 1


def test_the_prefix_of_a_client_is_ignored(behind: Flask) -> None:
    assert documentation(behind, "/api", peer=CLIENT) == "/docs"


def test_without_the_setting_there_is_no_prefix() -> None:
    app = create_app(settings_for(NEVER_OPENED, trusted_proxies="10.0.0.0/8"))

    assert documentation(app, "/api") == "/docs"


Send = Callable[..., TestResponse]


@pytest.fixture
def send(ann: Person) -> Send:
    """Send a request of Ann through a proxy with the prefix /api, as TrustedProxyMiddleware passes it on."""
    return partial(ann.client.open, base_url="http://localhost/api", headers=ann.headers)


def test_every_path_in_a_response_has_the_prefix(send: Send) -> None:
    new = {"username": "bob", "password": "correct horse battery staple"}

    assert send("/").json["openapi"] == "/api/openapi.json"
    assert send("/", headers={"Accept": "text/html"}).headers["Location"] == "/api/docs"
    assert send("/openapi.json").json["servers"][0]["url"] == "/api"
    assert send("/auth/token?limit=1").headers["Link"].startswith("</api/auth/token?limit=1&cursor=")
    assert send("/auth/register", method="POST", json=new).headers["Location"] == "/api/account"


def test_the_type_of_a_problem_has_no_prefix(send: Send) -> None:
    assert send("/nowhere").json["type"] == "/problems/not-found"


def test_the_document_without_a_prefix_stays_as_it_is(client: FlaskClient, send: Send) -> None:
    assert send("/openapi.json").status_code == 200

    assert client.get("/openapi.json").json["servers"][0]["url"] == "/"


def test_a_complete_url_has_no_prefix(app: Flask) -> None:
    with app.test_request_context(base_url="http://localhost/api"):
        assert with_prefix({"Location": "https://a.example/"}) == {"Location": "https://a.example/"}
