"""GET /docs and the files of its page."""

import gzip
import re

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from tests.support.people import Person
from tests.support.problems import problem
from tests.support.settings import NEVER_OPENED, settings_for

pytestmark = pytest.mark.any_database

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FILES = {
    "/docs": "text/html; charset=utf-8",
    "/docs/page.css": "text/css; charset=utf-8",
    "/docs/page.js": "text/javascript; charset=utf-8",
    "/docs/swagger-ui.css": "text/css; charset=utf-8",
    "/docs/swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "/docs/favicon.png": "image/png",
}


@pytest.fixture(scope="module")
def app_without_docs() -> Flask:
    return create_app(settings_for(NEVER_OPENED, docs_enabled=False))


@pytest.mark.parametrize(("path", "content_type"), FILES.items())
def test_every_file_is_served_with_its_type_and_policy(
    client: FlaskClient, path: str, content_type: str
) -> None:
    response = client.get(path)

    assert (response.status_code, response.content_type) == (200, content_type)
    assert len(response.data) > 100
    assert response.headers.getlist("Content-Security-Policy") == [
        POLICY
    ]  # browsers would enforce two policies together
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("path", FILES)
def test_an_unchanged_file_is_not_sent_again(client: FlaskClient, path: str) -> None:
    tag = client.get(path).headers["ETag"]

    response = client.get(path, headers={"If-None-Match": tag})

    assert (response.status_code, response.data, response.headers["ETag"]) == (304, b"", tag)


@pytest.mark.parametrize("path", [*FILES, "/openapi.json"])
def test_a_client_that_accepts_gzip_gets_the_same_content_compressed(client: FlaskClient, path: str) -> None:
    plain = client.get(path)

    response = client.get(path, headers={"Accept-Encoding": "br, gzip;q=0.5"})

    assert "Accept-Encoding" in response.vary
    if path == "/docs/favicon.png":  # which is compressed already
        assert (response.data, response.headers["ETag"]) == (plain.data, plain.headers["ETag"])
    else:
        assert response.headers["Content-Encoding"] == "gzip"
        assert len(response.data) == int(response.headers["Content-Length"]) < len(plain.data)
        assert gzip.decompress(response.data) == plain.data
        assert response.headers["ETag"] != plain.headers["ETag"]


@pytest.mark.parametrize("accepted", [None, "", "identity", "br", "gzip;q=0", "*;q=0"])
@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
def test_other_clients_get_it_uncompressed(client: FlaskClient, path: str, accepted: str | None) -> None:
    response = client.get(path, headers={"Accept-Encoding": accepted} if accepted is not None else {})

    assert "Content-Encoding" not in response.headers
    assert "Accept-Encoding" in response.vary
    assert response.text.startswith(("<", "{"))


@pytest.mark.parametrize("path", ["/docs/page.js", "/openapi.json"])
def test_an_unchanged_compressed_file_is_not_sent_again(client: FlaskClient, path: str) -> None:
    headers = {"Accept-Encoding": "gzip"}
    tag = client.get(path, headers=headers).headers["ETag"]

    response = client.get(path, headers=headers | {"If-None-Match": tag})
    uncompressed = client.get(path, headers={"If-None-Match": tag})

    assert (response.status_code, response.data, response.headers["ETag"]) == (304, b"", tag)
    assert "Accept-Encoding" in response.vary
    assert uncompressed.status_code == 200


def test_the_page_loads_only_files_that_are_served(client: FlaskClient) -> None:
    page = client.get("/docs").text

    named = set(re.findall(r'(?:src|href)="([^"]+)"', page))
    # Relative, so that the page works behind a proxy that removes a path prefix.
    assert {f"/{name}" for name in named} == set(FILES) - {"/docs"} | {"/openapi.json"}
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script>", page)


@pytest.mark.parametrize(
    "path",
    [
        "/docs/",
        "/docs/index.html",
        "/docs/swagger-ui-bundle.js/",
        "/docs/SWAGGER-UI.css",
        "/docs/swagger-ui.js",
        "/docs/oauth2-redirect.html",
        "/docs/../config.py",
        "/docs/..%2f..%2fconfig.py",
        "/docs/%2e%2e/documentation.py",
        "/docs/..%5cdocumentation.py",
        "/docs/page.js%00.css",
        "/docs//etc/passwd",
        "/docs/docs/page.js",
    ],
)
def test_other_files_are_not_found(client: FlaskClient, path: str) -> None:
    assert problem(client.get(path)) == (404, "not_found")


def test_the_page_ignores_parameters_and_refuses_bodies(client: FlaskClient) -> None:
    assert client.get("/docs?url=https://elsewhere.example&fbclid=x").data == client.get("/docs").data
    assert problem(client.get("/docs", data=b"x")) == (422, "validation_failed")
    assert problem(client.post("/docs")) == (405, "method_not_allowed")


def test_a_head_request_is_answered_without_a_body(client: FlaskClient) -> None:
    response = client.head("/docs/swagger-ui.css")

    assert (response.status_code, response.data) == (200, b"")


def test_a_response_to_credentials_is_not_cached(ann: Person) -> None:
    assert ann.get("/docs").headers["Cache-Control"] == "no-store"


def test_the_page_is_not_in_the_openapi_document(client: FlaskClient) -> None:
    assert [path for path in client.get("/openapi.json").json["paths"] if path.startswith("/docs")] == []


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
def test_without_docs_there_is_no_page(app_without_docs: Flask, method: str, path: str) -> None:
    assert app_without_docs.test_client().open(path, method=method).status_code == 404


def test_without_docs_the_document_is_served_and_browsers_are_not_redirected(app_without_docs: Flask) -> None:
    client = app_without_docs.test_client()

    assert problem(client.get("/docs")) == (404, "not_found")
    assert client.get("/openapi.json").status_code == 200
    assert client.get("/", headers={"Accept": "text/html"}).status_code == 200
