"""BROWSER_COOKIES=on: the refresh token in a cookie."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import validate
from sqlalchemy import URL, event, select
from werkzeug.test import TestResponse

from app import create_app
from app.database import db
from app.model.models import Session, User
from kit.clock import now
from kit.security import jwt
from tests.support.authenticator import add_challenge, add_factor
from tests.support.cookies import ATTRIBUTES, CLEARED, NAME, SAME_ORIGIN, Page, cookie_header, sent_cookies
from tests.support.credentials import PASSWORD, bearer
from tests.support.documented import documented
from tests.support.fixtures import migrate
from tests.support.people import People, Person
from tests.support.problems import errors, problem
from tests.support.settings import NEVER_OPENED, settings_for

LOGIN = {"username": "ann", "password": PASSWORD, "cookie": True}
REFUSED, CROSS_ORIGIN = (401, "token_revoked"), (403, "cross_origin")
NEW_PASSWORD = {"password": "another horse, another staple", "current_password": PASSWORD}


@pytest.fixture(scope="session")
def migrated_app(database_url: URL, migrated_apps: dict[object, Flask]) -> Flask:
    """The app with cookies, and proxies in 10.0.0.0/8."""
    key = (database_url, "cookies")
    if key not in migrated_apps:
        settings = settings_for(database_url, browser_cookies="on", trusted_proxies="10.0.0.0/8")
        migrated_apps[key] = migrate(create_app(settings))
    return migrated_apps[key]


@pytest.fixture
def raw(app: Flask) -> FlaskClient:
    """A client that only sends the cookies that a test gives it."""
    return app.test_client(use_cookies=False)


@pytest.fixture
def page(app: Flask, people: People) -> Page:
    people.register("ann")
    page = Page(app)
    page.log_in("ann")
    return page


def is_alive(page: Page) -> bool:
    return page.client.get("/account", headers=bearer(page.access)).status_code == 200


def cookie_for(person: Person) -> dict[str, str]:
    return cookie_header(person.refresh)


# Login


def test_the_login_puts_the_refresh_token_only_in_the_cookie(app: Flask, people: People) -> None:
    people.register("ann")
    page = Page(app)

    response = page.log_in("ann")

    assert set(response.get_json()) == {
        "access_token",
        "token_type",
        "expires_in",
        "refresh_expires_in",
        "session_id",
    }
    assert page.cookie not in response.text
    assert page.cookie.count(".") == 2
    assert response.headers["Cache-Control"] == "no-store"


def test_the_cookie_has_exactly_these_attributes(app: Flask, people: People) -> None:
    people.register("ann")
    time = now().replace(microsecond=0)
    page = Page(app)

    with time_machine.travel(time, tick=False):
        [cookie] = sent_cookies(page.log_in("ann"))

    expires = (time + timedelta(days=30)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert cookie == f"{NAME}={page.cookie}; Expires={expires}; Max-Age=2592000; {ATTRIBUTES}"


# part: second-factor
def test_a_login_in_two_steps_puts_the_refresh_token_in_the_cookie(app: Flask, people: People) -> None:
    ann = people("ann")
    authenticator, _ = add_factor(app, ann)
    body = {"challenge": add_challenge(app, ann), "code": authenticator.code(), "cookie": True}
    browser = app.test_client()

    elsewhere = browser.post("/auth/login/second-factor", json=body, headers={"Sec-Fetch-Site": "same-site"})
    response = browser.post("/auth/login/second-factor", json=body, headers={"Sec-Fetch-Site": "same-origin"})

    assert (elsewhere.status_code, elsewhere.get_json()["code"]) == (403, "cross_origin")
    assert response.status_code == 200
    assert "refresh_token" not in response.get_json()
    assert sent_cookies(response)[0].startswith(f"{NAME}=")


# end of part


@pytest.mark.parametrize("choice", [{}, {"cookie": False}])
def test_without_the_choice_the_body_has_the_refresh_token(
    raw: FlaskClient, people: People, choice: dict[str, bool]
) -> None:
    people.register("ann")

    response = raw.post("/auth/login", json={"username": "ann", "password": PASSWORD} | choice)

    assert response.json["refresh_token"].count(".") == 2
    assert sent_cookies(response) == []


@pytest.mark.parametrize("choice", ["true", 1, None])
def test_the_choice_is_a_boolean(raw: FlaskClient, choice: object) -> None:
    response = raw.post("/auth/login", json=LOGIN | {"cookie": choice}, headers=SAME_ORIGIN)

    assert errors(response) == {("/cookie", "wrong_type")}


def test_a_failed_login_sets_no_cookie(raw: FlaskClient, people: People) -> None:
    people.register("ann")

    response = raw.post("/auth/login", json=LOGIN | {"password": "wrong"}, headers=SAME_ORIGIN)

    assert problem(response) == (401, "invalid_credentials")
    assert sent_cookies(response) == []


def test_no_cookie_is_set_for_tokens_that_were_not_stored(app: Flask, people: People) -> None:
    people.register("ann")

    def fail(_: object) -> None:
        raise RuntimeError("the commit fails")

    event.listen(db.session, "before_commit", fail)
    try:
        app.config["PROPAGATE_EXCEPTIONS"] = False
        response = Page(app).client.post("/auth/login", json=LOGIN, headers=SAME_ORIGIN)
    finally:
        event.remove(db.session, "before_commit", fail)
        app.config["PROPAGATE_EXCEPTIONS"] = None

    assert response.status_code == 500
    assert sent_cookies(response) == []


# Which pages may use the cookie

OWN = "http://api.example.com"
HOST = {"Host": "api.example.com"}
# Request headers, and whether they prove the origin of http://api.example.com.
HEADERS: list[tuple[dict[str, str], bool]] = [
    ({}, False),
    ({"Sec-Fetch-Site": "same-origin"}, True),
    ({"Sec-Fetch-Site": "same-site"}, False),
    ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Sec-Fetch-Site": "none"}, False),
    ({"Sec-Fetch-Site": ""}, False),
    ({"Sec-Fetch-Site": "Same-Origin"}, False),
    ({"Sec-Fetch-Site": "same-origin, same-origin"}, False),
    ({"Origin": OWN}, True),
    ({"Origin": "null"}, False),
    ({"Origin": ""}, False),
    ({"Origin": "https://api.example.com"}, False),
    ({"Origin": "http://api.example.com:8080"}, False),
    ({"Origin": "http://www.api.example.com"}, False),
    ({"Origin": "http://example.com"}, False),
    ({"Origin": "http://evil.example"}, False),
    ({"Origin": "http://api.example.com.evil.example"}, False),
    ({"Origin": "http://api.example.com/"}, False),
    ({"Origin": "http://ann@api.example.com"}, False),
    ({"Origin": f"{OWN}, {OWN}"}, False),
    ({"Referer": f"{OWN}/"}, False),
    ({"Sec-Fetch-Site": "same-origin", "Origin": OWN}, True),
    ({"Sec-Fetch-Site": "same-site", "Origin": OWN}, False),
    ({"Sec-Fetch-Site": "cross-site", "Origin": OWN}, False),
    ({"Sec-Fetch-Site": "none", "Origin": OWN}, False),
    ({"Sec-Fetch-Site": "", "Origin": OWN}, False),
    ({"Origin": OWN, "Host": "api.example.com:80"}, True),
    ({"Origin": OWN, "Host": "API.example.com"}, True),
    ({"Origin": OWN, "Host": "api.example.com:443"}, False),
    ({"Origin": f"{OWN}:5000", "Host": "api.example.com:5000"}, True),
    ({"Origin": OWN, "Host": "api.example.com:5000"}, False),
    ({"Origin": "http://[2001:db8::1]:5000", "Host": "[2001:db8::1]:5000"}, True),
    ({"Origin": "http://evil.example", "X-Forwarded-Host": "evil.example"}, False),
    ({"Origin": "http://evil.example", "Forwarded": "host=evil.example"}, False),
]
PATHS = ["/auth/login", "/auth/refresh", "/auth/logout"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("headers", "is_own"), HEADERS)
def test_only_pages_of_the_own_origin_may_use_the_cookie(
    raw: FlaskClient, ann: Person, path: str, headers: dict[str, str], is_own: bool
) -> None:
    is_login = path == "/auth/login"
    given = HOST | headers | ({} if is_login else cookie_for(ann))

    response = raw.post(path, json=LOGIN if is_login else None, headers=given)

    if is_own:
        assert response.status_code == (204 if path == "/auth/logout" else 200)
        assert len(sent_cookies(response)) == 1
    else:
        assert problem(response) == CROSS_ORIGIN
        assert sent_cookies(response) == []
        assert ann.get("/account").status_code == 200


@pytest.mark.parametrize(
    ("peer", "headers", "is_own"),
    [
        ("10.0.0.1", {"Origin": "https://api.example.com"}, True),
        ("10.0.0.1", {"Origin": "https://api.example.com", "Host": "api.example.com:443"}, True),
        ("10.0.0.1", {"Origin": "https://api.example.com:8443", "Host": "api.example.com:8443"}, True),
        ("10.0.0.1", {"Origin": OWN}, False),
        ("10.0.0.1", {"Origin": "https://api.example.com", "X-Forwarded-Proto": "http"}, False),
        ("192.0.2.1", {"Origin": "https://api.example.com"}, False),
        ("192.0.2.1", {"Origin": OWN}, True),
    ],
)
def test_behind_a_proxy_the_origin_has_the_scheme_that_the_client_uses(
    raw: FlaskClient, ann: Person, peer: str, headers: dict[str, str], is_own: bool
) -> None:
    given = HOST | {"X-Forwarded-Proto": "https"} | cookie_for(ann) | headers

    response = raw.post("/auth/refresh", headers=given, environ_base={"REMOTE_ADDR": peer})

    assert response.status_code == (200 if is_own else 403)


def test_a_refused_login_counts_nothing_and_opens_no_session(app: Flask, people: People) -> None:
    people.register("ann")
    client = app.test_client()

    for _ in range(10):
        assert problem(client.post("/auth/login", json=LOGIN | {"password": "wrong"})) == CROSS_ORIGIN

    assert client.post("/auth/login", json=LOGIN, headers=SAME_ORIGIN).status_code == 200
    with app.app_context():
        assert len(db.session.scalars(select(Session)).all()) == 1


# Refresh


def test_a_refresh_by_cookie_rotates_the_cookie(page: Page) -> None:
    first = page.cookie

    response = page.refresh()

    assert response.status_code == 200
    assert "refresh_token" not in response.get_json()
    assert page.cookie not in response.text
    assert page.cookie != first
    assert is_alive(page)


def test_after_a_lost_response_the_same_cookie_is_sent_again(page: Page) -> None:
    first, session_id = page.cookie, page.session_id
    page.refresh()
    lost = page.cookie
    page.cookie = first

    response = page.refresh()

    assert response.status_code == 200
    assert (page.cookie, page.session_id) == (lost, session_id)


def test_a_reused_cookie_ends_the_session_and_is_cleared(page: Page) -> None:
    stolen = page.cookie
    page.refresh()
    page.refresh()

    reused = page.post("/auth/refresh", headers=cookie_header(stolen))
    revoked = page.post("/auth/refresh")

    assert problem(reused) == (401, "token_reused")
    assert problem(revoked) == REFUSED
    assert sent_cookies(reused) == sent_cookies(revoked) == [CLEARED]
    assert not is_alive(page)


def test_an_expired_cookie_is_cleared(page: Page) -> None:
    with time_machine.travel(now() + timedelta(days=31), tick=False):
        response = page.post("/auth/refresh")

    assert problem(response) == (401, "token_expired")
    assert sent_cookies(response) == [CLEARED]


@pytest.mark.parametrize("path", ["/auth/refresh", "/auth/logout"])
@pytest.mark.parametrize(
    "values", [("",), ("garbage",), ("a.b.c",), ("\u00e4",), ("{0}", "{0}"), ("{0}", "")]
)
def test_a_malformed_cookie_is_an_invalid_token(page: Page, path: str, values: tuple[str, ...]) -> None:
    header = cookie_header(*(value.format(page.cookie) for value in values))

    response = page.post(path, headers=header)

    assert problem(response) == (401, "invalid_token")
    assert sent_cookies(response) == [CLEARED]
    assert is_alive(page)


@pytest.mark.parametrize("path", ["/auth/refresh", "/auth/logout"])
def test_an_access_token_in_the_cookie_is_refused(page: Page, path: str) -> None:
    assert problem(page.post(path, headers=cookie_header(page.access))) == (401, "invalid_token")
    assert is_alive(page)


@pytest.mark.parametrize("path", ["/auth/refresh", "/auth/logout"])
@pytest.mark.parametrize("headers", [{}, SAME_ORIGIN, {"Cookie": "refresh_token_cookie=a.b.c"}])
def test_without_the_cookie_a_token_is_missing(raw: FlaskClient, path: str, headers: dict[str, str]) -> None:
    response = raw.post(path, headers=headers)

    assert problem(response) == (401, "missing_token")
    assert sent_cookies(response) == []


@pytest.mark.parametrize("name", ["refresh_token", "__host-refresh_token", "__Secure-refresh_token"])
def test_only_a_cookie_with_the_exact_name_counts(raw: FlaskClient, ann: Person, name: str) -> None:
    headers = SAME_ORIGIN | {"Cookie": f"{name}={ann.refresh}"}

    assert problem(raw.post("/auth/refresh", headers=headers)) == (401, "missing_token")


def test_the_cookie_authenticates_nothing_else(page: Page) -> None:
    for method, path in (("GET", "/account"), ("GET", "/auth/token"), ("DELETE", "/account")):
        headers = SAME_ORIGIN | cookie_header(page.cookie)
        assert problem(page.client.open(path, method=method, headers=headers)) == (401, "missing_token")


# Authorization header and cookie


@pytest.mark.parametrize("origin", [SAME_ORIGIN, {"Sec-Fetch-Site": "cross-site"}, {}])
def test_the_header_wins_over_the_cookie(page: Page, people: People, origin: dict[str, str]) -> None:
    bob = people("bob")
    headers = bearer(bob.refresh) | origin | cookie_header(page.cookie)

    response = page.client.post("/auth/refresh", headers=headers)

    assert response.json["session_id"] == bob.session_id
    assert "refresh_token" in response.get_json()
    assert sent_cookies(response) == []
    assert page.refresh().status_code == 200


def test_the_header_wins_for_the_same_session_too(page: Page) -> None:
    response = page.post("/auth/refresh", headers=bearer(page.cookie))

    assert "refresh_token" in response.get_json()
    assert sent_cookies(response) == []


@pytest.mark.parametrize("path", ["/auth/refresh", "/auth/logout"])
@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "missing_token"),
        ("Basic YW5uOng=", "missing_token"),
        ("Bearer", "invalid_token"),
        ("Bearer x", "invalid_token"),
        ("Bearer a.b.c", "invalid_token"),
    ],
)
def test_an_invalid_header_wins_too(page: Page, path: str, header: str, code: str) -> None:
    response = page.post(path, headers={"Authorization": header})

    assert problem(response) == (401, code)
    assert sent_cookies(response) == []
    assert is_alive(page)


# Logout


@pytest.mark.parametrize("body", [None, {}, {"scope": "session"}])
def test_logout_by_cookie_ends_the_session(page: Page, people: People, body: object) -> None:
    elsewhere = people.log_in("ann")

    response = page.post("/auth/logout", json=body)

    assert response.status_code == 204
    assert sent_cookies(response) == [CLEARED]
    assert not is_alive(page)
    assert problem(page.refresh()) == REFUSED
    assert elsewhere.get("/account").status_code == 200


@pytest.mark.parametrize("scope", ["others", "all"])
def test_logout_of_other_sessions_needs_an_access_token(page: Page, people: People, scope: str) -> None:
    elsewhere = people.log_in("ann")

    response = page.post("/auth/logout", json={"scope": scope})

    assert problem(response) == (401, "missing_token")
    assert sent_cookies(response) == []
    assert is_alive(page)
    assert elsewhere.get("/account").status_code == 200


def test_logout_by_cookie_does_not_spend_it(page: Page) -> None:
    page.post("/auth/logout", json={"scope": "everything"})

    assert page.refresh().status_code == 200


def test_logout_works_after_the_response_of_a_refresh_was_lost(page: Page) -> None:
    spent = page.cookie
    page.refresh()

    assert page.post("/auth/logout", headers=cookie_header(spent)).status_code == 204
    assert not is_alive(page)


def test_a_cookie_of_an_ended_session_is_refused_and_cleared(page: Page) -> None:
    page.client.post("/auth/logout", headers=bearer(page.access))

    for path in ("/auth/logout", "/auth/refresh"):
        response = page.post(path)
        assert problem(response) == REFUSED
        assert sent_cookies(response) == [CLEARED]


def test_a_cookie_of_a_disabled_account_is_refused(app: Flask, page: Page) -> None:
    with app.app_context():
        db.session.scalars(select(User)).one().disabled = True  # without ending its sessions
        db.session.commit()

    assert problem(page.post("/auth/logout")) == REFUSED


def test_a_cookie_cannot_end_a_session_of_another_user(app: Flask, page: Page, bob: Person) -> None:
    with app.test_request_context():
        times = {"iat": 0, "nbf": 0, "exp": 2**33}
        claims = {"jti": str(uuid4()), "sid": page.session_id, "fresh": False, **times}
        foreign = jwt.encode("refresh", bob.id, claims)

    assert problem(page.post("/auth/logout", headers=cookie_header(foreign))) == REFUSED
    assert is_alive(page)


@pytest.mark.parametrize(("scope", "is_cleared"), [("session", True), ("all", True), ("others", False)])
def test_logout_with_the_access_token_clears_the_cookie_of_its_session(
    page: Page, scope: str, is_cleared: bool
) -> None:
    response = page.send("POST", "/auth/logout", json={"scope": scope})

    assert response.status_code == 204
    assert sent_cookies(response) == ([CLEARED] if is_cleared else [])
    assert is_alive(page) is not is_cleared


def test_logout_keeps_the_cookie_of_another_session(page: Page, bob: Person) -> None:
    response = page.send("POST", "/auth/logout", headers=bob.headers)

    assert response.status_code == 204
    assert sent_cookies(response) == []
    assert page.refresh().status_code == 200


# The account


@pytest.mark.parametrize(("method", "more"), [("PATCH", {}), ("PUT", {"username": "ann"})])
def test_a_new_password_sets_a_new_cookie(page: Page, method: str, more: dict[str, str]) -> None:
    before = page.session_id

    response = page.send(method, "/account", json=NEW_PASSWORD | more)

    assert response.status_code == 200
    assert "refresh_token" not in response.json["tokens"]
    assert response.headers["Cache-Control"] == "no-store"
    page.cookie = sent_cookies(response)[0].partition("=")[2].partition(";")[0]
    assert page.cookie not in response.text
    assert page.refresh().status_code == 200
    assert page.session_id == response.json["tokens"]["session_id"] != before


@pytest.mark.parametrize("values", [(), ("garbage",), ("{other}",), ("{own}", "{own}"), ("{access}",)])
def test_a_new_password_without_the_cookie_of_the_session_sets_none(
    page: Page, people: People, values: tuple[str, ...]
) -> None:
    other = people.log_in("ann").refresh
    cookies = [value.format(own=page.cookie, other=other, access=page.access) for value in values]

    response = page.send("PATCH", "/account", json=NEW_PASSWORD, headers=cookie_header(*cookies))

    assert response.json["tokens"]["refresh_token"].count(".") == 2
    assert sent_cookies(response) == []


def test_a_change_without_a_new_password_sets_no_cookie(page: Page) -> None:
    change = {"username": "Ann", "current_password": PASSWORD}

    response = page.send("PATCH", "/account", json=change)

    assert response.json["username"] == "Ann"
    assert "tokens" not in response.get_json()
    assert sent_cookies(response) == []


def test_deleting_the_account_clears_the_cookie(page: Page) -> None:
    response = page.send("DELETE", "/account")

    assert response.status_code == 204
    assert sent_cookies(response) == [CLEARED]
    assert response.headers["Cache-Control"] == "no-store"


# The log, the document, and an app without cookies


def test_the_log_contains_no_cookie(page: Page, output: StringIO) -> None:
    first = page.cookie
    page.refresh()
    page.post("/auth/refresh", headers={"Sec-Fetch-Site": "cross-site"})
    page.post("/auth/logout")

    lines = output.getvalue()

    assert "/auth/logout" in lines
    for secret in (first, page.cookie, page.cookie.rpartition(".")[2], NAME):
        assert secret not in lines


def operations(browser_cookies: str) -> dict[str, Any]:
    paths = documented(browser_cookies=browser_cookies)["paths"]
    return {path: paths[path]["post"] for path in PATHS}


def test_the_document_describes_the_cookie() -> None:
    document = documented(browser_cookies="on")
    described, schemas = operations("on"), document["components"]["schemas"]

    validate(document)
    assert document["components"]["securitySchemes"]["refresh_cookie"]["name"] == NAME
    assert described["/auth/refresh"]["security"] == [{"refresh_token": []}, {"refresh_cookie": []}]
    assert described["/auth/logout"]["security"] == [{"access_token": []}, {"refresh_cookie": []}]
    assert described["/auth/login"]["security"] == []
    for operation in described.values():
        [content] = operation["responses"]["403"]["content"].values()
        assert "cross_origin" in content["examples"]
    assert schemas["Login"]["properties"]["cookie"]["type"] == "boolean"
    assert "refresh_token" not in schemas["TokenPair"]["required"]
    assert {"username", "password"} == set(schemas["Login"]["required"])
    assert schemas["Login"]["properties"]["username"]["maxLength"] == 254  # as with mail alone


def test_without_the_setting_the_document_has_no_trace_of_cookies() -> None:
    text = json.dumps(documented()).lower()

    assert "cookie" not in text
    assert "cross_origin" not in text


@pytest.fixture
def without_cookies() -> FlaskClient:
    return create_app(settings_for(NEVER_OPENED)).test_client(use_cookies=False)


def test_without_the_setting_the_choice_is_an_unknown_field(without_cookies: FlaskClient) -> None:
    response = without_cookies.post("/auth/login", json=LOGIN, headers=SAME_ORIGIN)

    assert errors(response) == {("/cookie", "unknown_field")}


@pytest.mark.parametrize("path", ["/auth/refresh", "/auth/logout"])
def test_without_the_setting_cookies_are_ignored(without_cookies: FlaskClient, page: Page, path: str) -> None:
    response: TestResponse = without_cookies.post(path, headers=SAME_ORIGIN | cookie_header(page.cookie))

    assert problem(response) == (401, "missing_token")
    assert sent_cookies(response) == []
