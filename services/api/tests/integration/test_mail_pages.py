"""The pages that the links in mails lead to. proof/clients tests them in a browser."""

import gzip
import re
from html.parser import HTMLParser

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from kit.web import openapi
from tests.support.problems import problem
from tests.support.settings import NEVER_OPENED, WITHOUT_MAIL, settings_for

pytestmark = pytest.mark.any_database

PAGES = ["/verify-email", "/reset-password"]
FILES = {
    "/verify-email": "text/html; charset=utf-8",
    "/reset-password": "text/html; charset=utf-8",
    "/mail-pages/page.css": "text/css; charset=utf-8",
    "/mail-pages/page.js": "text/javascript; charset=utf-8",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Elements(HTMLParser):
    """The elements of a page with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def values(self, *names: str) -> set[str]:
        return {value for _, given in self.found for name, value in given.items() if name in names and value}


def app_with(**others: object) -> Flask:
    return create_app(settings_for(NEVER_OPENED, **others))


@pytest.fixture(scope="module")
def mail_app() -> Flask:
    return app_with()


@pytest.fixture
def mail_client(mail_app: Flask) -> FlaskClient:
    return mail_app.test_client()


@pytest.mark.parametrize(("path", "content_type"), FILES.items())
def test_every_file_is_served_with_its_type_and_policy(
    mail_client: FlaskClient, path: str, content_type: str
) -> None:
    response = mail_client.get(path)

    assert (response.status_code, response.content_type) == (200, content_type)
    assert response.headers.getlist("Content-Security-Policy") == [POLICY]
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-cache"
    assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_an_unchanged_file_is_not_sent_again(mail_client: FlaskClient, path: str, coding: str) -> None:
    headers = {"Accept-Encoding": coding}
    tag = mail_client.get(path, headers=headers).headers["ETag"]

    response = mail_client.get(path, headers=headers | {"If-None-Match": tag})

    assert (response.status_code, response.data, response.headers["ETag"]) == (304, b"", tag)


@pytest.mark.parametrize("path", FILES)
def test_a_file_is_compressed_if_the_client_accepts_that(mail_client: FlaskClient, path: str) -> None:
    plain = mail_client.get(path)

    response = mail_client.get(path, headers={"Accept-Encoding": "gzip"})

    assert response.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in response.vary
    assert gzip.decompress(response.data) == plain.data


@pytest.mark.parametrize("path", FILES)
def test_a_head_request_is_answered_without_a_body(mail_client: FlaskClient, path: str) -> None:
    response = mail_client.head(path)

    assert (response.status_code, response.data) == (200, b"")
    assert int(response.headers["Content-Length"]) == len(mail_client.get(path).data)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_nothing_inline_and_loads_only_its_files(mail_client: FlaskClient, path: str) -> None:
    page = mail_client.get(path).text

    # Relative, so that the page works behind a proxy that removes a path prefix.
    assert Elements(page).values("src", "href") == {"mail-pages/page.css", "mail-pages/page.js", "data:,"}
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script>|https?://", page)
    for file in ("/mail-pages/page.css", "/mail-pages/page.js"):
        assert not re.search(r"https?://|@import|url\(|innerHTML|eval\(", mail_client.get(file).text)


@pytest.mark.parametrize("path", PAGES)
def test_a_form_calls_an_operation_relative_to_the_page(mail_client: FlaskClient, path: str) -> None:
    page = Elements(mail_client.get(path).text)

    [target] = page.values("data-path")
    assert target in ("auth/email/verify", "auth/password-reset/confirm")


def test_a_password_can_not_end_up_in_a_url(mail_client: FlaskClient) -> None:
    page = Elements(mail_client.get("/reset-password").text)

    fields = [given for tag, given in page.found if tag == "input"]
    assert [given for given in fields if "name" in given] == []
    assert [given for tag, given in page.found if tag == "form" and "hidden" not in given] == []


def test_each_field_has_a_label_and_suggests_a_new_password(mail_client: FlaskClient) -> None:
    page = Elements(mail_client.get("/reset-password").text)

    labels = page.values("for")
    fields = [given for tag, given in page.found if tag == "input" and given["type"] == "password"]
    assert {given["id"] for given in fields} == labels == {"password", "repeated"}
    assert {given["autocomplete"] for given in fields} == {"new-password"}
    assert {given["aria-describedby"] for given in fields} <= page.values("id")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_ignores_parameters_and_refuses_bodies(mail_client: FlaskClient, path: str) -> None:
    assert mail_client.get(f"{path}?utm_source=mail").data == mail_client.get(path).data
    assert problem(mail_client.get(path, data=b"x")) == (422, "validation_failed")
    assert problem(mail_client.post(path)) == (405, "method_not_allowed")


@pytest.mark.parametrize(
    "path",
    [
        "/verify-email/",
        "/verify-email.html",
        "/mail-pages",
        "/mail-pages/",
        "/mail-pages/verify-email.html",
        "/mail-pages/../pages.py",
        "/mail-pages/..%2fpages.py",
    ],
)
def test_other_files_are_not_found(mail_client: FlaskClient, path: str) -> None:
    assert problem(mail_client.get(path)) == (404, "not_found")


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_the_same_behind_a_proxy_that_removes_a_prefix(mail_client: FlaskClient, path: str) -> None:
    behind = app_with(trusted_proxies="10.0.0.0/8", forwarded_prefix="on").test_client()

    response = behind.get(
        path, headers={"X-Forwarded-Prefix": "/api"}, environ_base={"REMOTE_ADDR": "10.0.0.1"}
    )

    assert (response.status_code, response.data) == (200, mail_client.get(path).data)


def test_the_pages_do_not_depend_on_the_documentation() -> None:
    client = app_with(docs_enabled=False).test_client()

    assert [client.get(path).status_code for path in FILES] == [200] * len(FILES)


def test_the_pages_are_not_in_the_openapi_document(mail_app: Flask) -> None:
    assert [path for path in openapi.build(mail_app)["paths"] if path in FILES] == []


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
def test_without_mail_there_is_no_page(method: str, path: str) -> None:
    client = app_with(**WITHOUT_MAIL).test_client()

    assert client.open(path, method=method).status_code == 404
