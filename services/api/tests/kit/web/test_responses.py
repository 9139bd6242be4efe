"""Properties of every response: one path for each resource, headers, request ids, CORS."""

import re
from io import StringIO
from unittest.mock import patch

import pytest
from flask import Flask, abort
from flask.testing import FlaskClient
from sqlalchemy import URL, text
from werkzeug.exceptions import HTTPException
from werkzeug.test import create_environ, run_wsgi_app

from app import create_app
from app.database import db
from tests.support.credentials import bearer
from tests.support.people import Person
from tests.support.problems import problem
from tests.support.settings import NEVER_OPENED, settings_for

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/nowhere"),
        ("POST", "/"),
        ("GET", "/account"),
        ("OPTIONS", "/account"),
        ("HEAD", "/"),
    ],
)
def test_every_response_has_the_security_headers(client: FlaskClient, method: str, path: str) -> None:
    response = client.open(path, method=method)

    assert {name: response.headers.get(name) for name in ALWAYS} == ALWAYS
    assert response.headers["Permissions-Policy"]
    assert "Server" not in response.headers
    assert "Strict-Transport-Security" not in response.headers


@pytest.mark.parametrize(
    ("statements", "description"), [(0, "0 statements"), (1, "1 statement"), (2, "2 statements")]
)
def test_development_responses_have_server_timing(
    database_url: URL, statements: int, description: str
) -> None:
    app = create_app(settings_for(database_url, flask_env="development"))

    @app.get("/ask")
    def ask() -> str:
        for _ in range(statements):
            db.session.execute(text("SELECT 1"))
        return ""

    timing = app.test_client().get("/ask").headers["Server-Timing"]
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()

    times = re.fullmatch(rf'app;dur=(\d+\.\d), sql;dur=(\d+\.\d);desc="{description}"', timing)
    assert times
    assert float(times[1]) >= float(times[2])


@pytest.mark.parametrize("flask_env", ["production", "testing"])
def test_production_responses_have_no_server_timing(flask_env: str) -> None:
    client = create_app(settings_for(NEVER_OPENED, flask_env=flask_env)).test_client()

    assert "Server-Timing" not in client.get("/").headers


def test_a_response_over_tls_has_hsts(client: FlaskClient) -> None:
    response = client.get("/", base_url="https://localhost")

    assert response.headers["Strict-Transport-Security"] == "max-age=31536000"


@pytest.mark.parametrize(
    "path",
    [
        "/account/",
        "/auth//login",
        "/./account",
        "/Account",
        "/%2faccount",
        "/%2Faccount",
        "/auth%2Ftoken",
        "/acc%6funt",
        "/%41ccount",
        "/auth",
        "/openapi.jso",
    ],
)
def test_a_path_has_one_spelling(ann: Person, path: str) -> None:
    assert problem(ann.get(path)) == (404, "not_found")


@pytest.mark.parametrize("method", ["POST", "PUT", "TRACE", "CONNECT", "PROPFIND", "X" * 50])
def test_a_wrong_method_gets_the_allowed_ones(client: FlaskClient, method: str) -> None:
    response = client.open("/health/live", method=method)

    assert problem(response) == (405, "method_not_allowed")
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"])
def test_no_header_overrides_the_method(ann: Person, header: str) -> None:
    assert problem(ann.post("/account", headers={header: "DELETE"}))[0] == 405
    assert ann.get("/account").status_code == 200


def test_options_returns_the_allowed_methods(client: FlaskClient) -> None:
    response = client.options("/account")

    assert (response.status_code, response.data) == (204, b"")
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS", "PATCH", "PUT", "DELETE"}


def test_head_responds_like_get_without_a_body(ann: Person) -> None:
    get = ann.get("/account")

    head = ann.client.head("/account", headers=ann.headers)

    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["ETag"] == get.headers["ETag"]
    assert head.headers["Content-Length"] == get.headers["Content-Length"]
    conditional = ann.client.head("/account", headers=ann.headers | {"If-None-Match": get.headers["ETag"]})
    assert conditional.status_code == 304


@pytest.mark.parametrize("given", ["x", "a" * 128, "A-1._z"])
def test_a_clients_request_id_is_kept(client: FlaskClient, given: str) -> None:
    assert client.get("/", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "a" * 129, "a b", "a\tb", "ä", "a,b", "${x}"])
def test_any_other_request_id_is_replaced(client: FlaskClient, given: str) -> None:
    response = client.get("/nowhere", headers={"X-Request-ID": given})

    assert problem(response)
    assert len(response.headers["X-Request-ID"]) == 36


@pytest.mark.parametrize("path", ["/account", "/auth/token", "/auth/login", "/auth/nowhere"])
def test_responses_to_authenticated_callers_are_not_stored(client: FlaskClient, path: str) -> None:
    assert client.get(path, headers=bearer("x")).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a b",
        "a,b",
        "a/b",
        "a@b",
        "a:b",
        "a:",
        "a:123456",
        "[::1",
        "::1",
        ".",
        "a..b",
        "a\x7f",
        "ä",
        "a:65536",
        "[....]",
        "[1]",
        "[1.2.3.4]",
        "[fe80::1%25eth0]",
        "-",
        "-a",
        "a-",
    ],
)
def test_a_malformed_host_is_refused(client: FlaskClient, host: str) -> None:
    assert problem(client.get("/", environ_overrides={"HTTP_HOST": host})) == (400, "bad_request")


@pytest.mark.parametrize("host", ["a", "a.b.c", "a.b.", "a_b", "10.0.0.1:80", "[::1]", "[::1]:5000", "A:1"])
def test_a_well_formed_host_is_accepted(client: FlaskClient, host: str) -> None:
    assert client.get("/", environ_overrides={"HTTP_HOST": host}).status_code == 200


def test_cors_is_off(client: FlaskClient) -> None:
    response = client.options(
        "/account", headers={"Origin": "https://app.example", "Access-Control-Request-Method": "GET"}
    )

    assert not [name for name, _ in response.headers if name.startswith("Access-Control")]


ORIGIN = "https://app.example"
PACKAGED = "capacitor://localhost"


@pytest.fixture(scope="module")
def shared() -> Flask:
    """An app that allows two origins."""
    app = create_app(settings_for(NEVER_OPENED, cors_origins=f"{ORIGIN},{PACKAGED}", cors_headers="X-Team"))
    app.config["PROPAGATE_EXCEPTIONS"] = False

    @app.get("/bug")
    def bug() -> str:
        raise RuntimeError

    return app


@pytest.mark.parametrize("origin", [ORIGIN, PACKAGED])
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 200),
        ("GET", "/nowhere", 404),
        ("OPTIONS", "/nowhere", 404),
        ("POST", "/", 405),
        ("GET", "/account", 401),
        ("GET", "/auth/token?limit=0", 401),
        ("GET", "/problems?x=1", 422),
        ("GET", "/%2Faccount", 404),
        ("GET", "/bug", 500),
    ],
)
def test_a_listed_origin_may_read_every_response(
    shared: Flask, origin: str, method: str, path: str, status: int
) -> None:
    response = shared.test_client().open(path, method=method, headers={"Origin": origin})

    assert response.status_code == status
    assert response.headers["Access-Control-Allow-Origin"] == origin
    assert "Access-Control-Allow-Credentials" not in response.headers
    assert "Origin" in response.headers["Vary"]


def test_pages_may_read_every_documented_header(shared: Flask) -> None:
    response = shared.test_client().get("/", headers={"Origin": ORIGIN})

    exposed = set(response.headers["Access-Control-Expose-Headers"].split(", "))
    documented = shared.test_client().get("/openapi.json").json["components"]["headers"]
    assert exposed >= set(documented) | {"ETag", "Location", "Retry-After", "X-Request-ID"}
    assert exposed - set(documented) == {"Accept-Ranges", "Allow", "Link"}


def test_pages_may_send_every_documented_header_and_those_of_tracing(shared: Flask) -> None:
    response = shared.test_client().options(
        "/account", headers={"Origin": ORIGIN, "Access-Control-Request-Method": "PATCH"}
    )

    assert response.status_code == 204
    assert "PATCH" in response.headers["Access-Control-Allow-Methods"].split(", ")
    sent = set(response.headers["Access-Control-Allow-Headers"].split(", "))
    paths = shared.test_client().get("/openapi.json").json["paths"].values()
    parameters = [
        each for methods in paths for operation in methods.values() for each in operation["parameters"]
    ]
    assert sent >= {each["name"] for each in parameters if each["in"] == "header"}
    assert sent >= {"Authorization", "Content-Type", "Idempotency-Key", "X-Requested-With", "X-Team"}
    assert sent >= {"traceparent", "tracestate", "baggage", "sentry-trace"}


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "null",
        "https://app.example.evil.example",
        "http://app.example",
        "HTTPS://app.example",
    ],
)
def test_another_origin_is_not_allowed(shared: Flask, origin: str) -> None:
    response = shared.test_client().get("/", headers={"Origin": origin})

    assert not [name for name, _ in response.headers if name.startswith("Access-Control")]
    assert "Origin" in response.headers["Vary"]


@pytest.mark.parametrize(
    ("status", "answered"),
    [
        (400, (400, "bad_request")),
        (401, (400, "bad_request")),
        (403, (400, "bad_request")),
        (404, (404, "not_found")),
        (409, (400, "bad_request")),
        (415, (415, "unsupported_media_type")),
        (418, (400, "bad_request")),
        (500, (500, "internal_error")),
        (502, (500, "internal_error")),
    ],
)
def test_an_abort_gets_the_problem_of_its_http_status(
    app: Flask, status: int, answered: tuple[int, str]
) -> None:
    with app.test_request_context(), pytest.raises(HTTPException) as raised:
        abort(status)
    with app.test_request_context():
        response = app.make_response(app.handle_user_exception(raised.value))

    assert (response.status_code, response.get_json(force=True)["code"]) == answered


def test_a_bug_is_logged_with_its_request_id_and_without_client_text(app: Flask, output: StringIO) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False

    with patch("kit.web.headers._is_host", side_effect=RuntimeError):
        response = app.test_client().get("/account/%0Aforged")

    app.config["PROPAGATE_EXCEPTIONS"] = None
    assert response.status_code == 500
    assert response.headers["X-Request-ID"] in output.getvalue()
    assert "forged" not in output.getvalue()


def test_a_bug_is_answered_without_details(app: Flask, ann: Person) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False

    with patch("app.authentication.find_user_by_token", side_effect=RuntimeError("the inside")):
        response = ann.get("/account")

    app.config["PROPAGATE_EXCEPTIONS"] = None
    assert problem(response) == (500, "internal_error")
    assert "inside" not in response.text


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        ("api.example.com", 200),
        ("API.Example.COM", 200),
        ("api.example.com.", 200),
        ("api.example.com:5000", 200),
        ("[2001:db8::1]:5000", 200),
        ("localhost", 400),
        ("evil.example", 400),
        ("api.example.com.evil.example", 400),
        ("xapi.example.com", 400),
        ("[2001:db8::2]", 400),
    ],
)
def test_only_allowed_hosts_are_answered(host: str, answer: int) -> None:
    settings = settings_for(NEVER_OPENED, allowed_hosts="api.example.com,[2001:db8::1]")
    client = create_app(settings).test_client()

    response = client.get("/", environ_overrides={"HTTP_HOST": host})

    assert response.status_code == answer
    if answer == 400:
        assert problem(response) == (400, "host_not_allowed")


@pytest.mark.parametrize("host", ["192.0.2.1", "192.0.2.1:5000", "localhost"])
def test_health_checks_are_answered_for_any_host(host: str) -> None:
    app = create_app(settings_for(NEVER_OPENED, allowed_hosts="api.example.com"))
    client = app.test_client()
    environ = {"HTTP_HOST": host}

    assert client.get("/health/live", environ_overrides=environ).status_code == 200
    assert problem(client.get("/", environ_overrides=environ)) == (400, "host_not_allowed")
    assert status_without_host(app, "/health/live", "HTTP/1.0") == 200
    assert status_without_host(app, "/", "HTTP/1.0") == 400


@pytest.mark.parametrize("path", ["/", "/health/live"])
@pytest.mark.parametrize(("protocol", "status"), [("HTTP/1.0", 200), ("HTTP/1.1", 400)])
def test_only_http_1_0_needs_no_host(app: Flask, path: str, protocol: str, status: int) -> None:
    assert status_without_host(app, path, protocol) == status


def status_without_host(app: Flask, path: str, protocol: str) -> int:
    environ = create_environ(path)
    environ["SERVER_PROTOCOL"] = protocol
    del environ["HTTP_HOST"]
    _, status, _ = run_wsgi_app(app, environ)
    return int(status[:3])


def test_an_empty_host_is_malformed_in_http_1_0_too(client: FlaskClient) -> None:
    overrides = {"HTTP_HOST": "", "SERVER_PROTOCOL": "HTTP/1.0"}

    assert problem(client.get("/", environ_overrides=overrides)) == (400, "bad_request")


def test_a_trusted_proxy_can_report_tls() -> None:
    client = create_app(settings_for(NEVER_OPENED, trusted_proxies="10.0.0.0/8")).test_client()

    for peer, secure in (("10.0.0.1", True), ("192.0.2.1", False)):
        response = client.get("/", environ_base={"REMOTE_ADDR": peer}, headers={"X-Forwarded-Proto": "https"})
        assert ("Strict-Transport-Security" in response.headers) is secure


@pytest.mark.parametrize("path", ["/auth", "/auth/", "/auth/nothing"])
def test_nothing_under_auth_is_stored(client: FlaskClient, path: str) -> None:
    assert client.get(path).headers["Cache-Control"] == "no-store"
