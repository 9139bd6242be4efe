"""Uploads: forms and raw bodies, limits, and refusals before the body is read."""

from collections.abc import Iterator
from hashlib import sha256
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import URL
from werkzeug.test import TestResponse

from app.database import db
from kit.security.hashers import PasswordHash
from kit.web import openapi
from kit.web.uploads import Upload, safe_name
from tests.support import uploads_app
from tests.support.extended_app import delete_all_rows
from tests.support.people import People, Person
from tests.support.problems import errors, problem
from tests.support.settings import settings_for

pytestmark = pytest.mark.any_database
PNG = b"\x89PNG\r\n\x1a\n" + b"\r\n--" * 30_000


@pytest.fixture
def app(database_url: URL, migrated_app: Flask, tmp_path: Any) -> Iterator[Flask]:
    settings = settings_for(
        database_url, max_upload_bytes=300_000_000, storage_url=f"file:{tmp_path}", threads=8
    )
    app = uploads_app.create_app(settings)
    yield app
    delete_all_rows(app)
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def ann(app: Flask, password_hash: PasswordHash) -> Person:
    return People(app, password_hash)("ann")


def form(
    name: str = "a.png", media_type: str = "image/png", data: bytes = PNG, **fields: Any
) -> dict[str, Any]:
    return {"file": (BytesIO(data), name, media_type), **fields}


def test_a_form_with_a_file_is_received(ann: Person) -> None:
    response = ann.post("/pictures", data=form("../Ärger über\n Bilder.png"))

    assert response.status_code == 200, response.text
    assert response.json == {
        "size": len(PNG),
        "media_type": "image/png",
        "name": "Ärger über Bilder.png",
        "sha256": sha256(PNG).hexdigest(),
        "owner": "ann",
        "title": "",
    }


def test_a_raw_body_is_received(ann: Person) -> None:
    response = ann.post("/pictures", data=PNG, content_type="image/png")

    assert (response.status_code, response.json["sha256"]) == (200, sha256(PNG).hexdigest())
    assert (response.json["media_type"], response.json["name"]) == ("image/png", "")


def test_the_temporary_file_is_removed(ann: Person, tmp_path: Any) -> None:
    ann.client.application.config["PROPAGATE_EXCEPTIONS"] = False

    assert ann.post("/pictures", data=form()).status_code == 200
    assert ann.post("/pictures", data=form("fail.png")).status_code == 500

    assert list(tmp_path.iterdir()) == []


def test_the_fields_of_a_form_are_validated(client: FlaskClient) -> None:
    def send(**fields: Any) -> TestResponse:
        file = (BytesIO(PNG[:1000]), "a.png", "image/png")
        return client.post("/pictures/forms", data={"picture": file, **fields})

    assert send(title="Sunset", copies="3").json["title"] == "Sunset x3"
    assert errors(send()) == {("/title", "required")}
    assert errors(send(title="x", copies="many", colour="red")) == {
        ("/copies", "invalid_format"),
        ("/colour", "unknown_field"),
    }
    raw = client.post("/pictures/forms", data=PNG, content_type="image/png")
    assert problem(raw) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("data", "content_type", "expected"),
    [
        (b"", "image/png", (422, "validation_failed")),
        (b"{}", "application/json", (415, "unsupported_media_type")),
        (PNG, "image/gif", (415, "unsupported_media_type")),
        (PNG, "", (415, "unsupported_media_type")),
        (PNG, "multipart/form-data", (400, "malformed_form")),
        (PNG, "multipart/form-data; boundary=" + "x" * 71, (400, "malformed_form")),
        (PNG, "multipart/form-data; boundary=x", (400, "malformed_form")),
        (b"--x--\r\n", "multipart/form-data; boundary=x", (422, "validation_failed")),
        (b"--x\r\n\r\nno header\r\n--x--\r\n", "multipart/form-data; boundary=x", (400, "malformed_form")),
        (
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n'
            b"Content-Type: image/png\r\n\r\nnever ends",
            "multipart/form-data; boundary=x",
            (400, "malformed_form"),
        ),
        (
            b"--x\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\ntext\r\n--x--\r\n",
            "multipart/form-data; boundary=x",
            (400, "malformed_form"),
        ),
        (
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' * 40 + b"--x--\r\n",
            "multipart/form-data; boundary=x",
            (400, "malformed_form"),
        ),
    ],
    ids=[
        "nothing", "json", "another type", "no type", "no boundary", "long boundary", "no part", "empty form",
        "no disposition", "incomplete", "long header", "repeated parts",
    ],
)  # fmt: skip
def test_a_wrong_body_is_refused(
    ann: Person, data: bytes, content_type: str, expected: tuple[int, str]
) -> None:
    response = ann.post("/pictures", data=data, content_type=content_type)

    assert problem(response) == expected


def test_a_wrong_part_is_refused(ann: Person) -> None:
    assert problem(ann.post("/pictures", data=form(media_type="text/html"))) == (
        415,
        "unsupported_media_type",
    )
    assert errors(ann.post("/pictures", data=form(data=b""))) == {("/file", "too_short")}
    assert errors(ann.post("/pictures", data={"title": "a"}, content_type="multipart/form-data")) == {
        ("/file", "required")
    }
    assert errors(ann.post("/pictures", data=form(colour="red"))) == {("/colour", "unknown_field")}
    other = {"other": (BytesIO(PNG), "a.png", "image/png")}
    assert errors(ann.post("/pictures", data=other)) == {("/other", "unknown_field")}
    two = {"file": [(BytesIO(PNG), "a.png", "image/png"), (BytesIO(PNG), "b.png", "image/png")]}
    assert problem(ann.post("/pictures", data=two)) == (400, "malformed_form")
    coded = ann.post("/pictures", data=PNG, content_type="image/png", headers={"Content-Encoding": "gzip"})
    assert problem(coded) == (415, "unsupported_media_type")


class NeverRead(BytesIO):
    """A body that must not be read."""

    def read(self, *_: object) -> bytes:
        raise AssertionError("the body was read")


def test_callers_and_announced_lengths_are_checked_before_the_body_is_read(
    client: FlaskClient, ann: Person
) -> None:
    def unread(length: int) -> dict[str, Any]:
        announced = {"CONTENT_LENGTH": str(length)}
        return {"input_stream": NeverRead(), "content_type": "image/png", "environ_overrides": announced}

    anonymous = client.post("/pictures", **unread(uploads_app.MAX_BYTES))
    too_long = ann.post("/pictures", **unread(uploads_app.MAX_BYTES + 1))
    wrong_query = ann.post("/pictures?colour=red", **unread(1000))

    assert problem(anonymous) == (401, "missing_token")
    assert problem(too_long) == (413, "body_too_large")
    assert "at most 4000000 bytes" in too_long.json["detail"]
    assert problem(wrong_query) == (422, "validation_failed")


@pytest.mark.parametrize(
    "content_type", ["image/png", "multipart/form-data; boundary=x"], ids=["raw", "form"]
)
def test_a_body_of_unknown_length_is_limited(ann: Person, content_type: str) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n'
    head += b"Content-Type: image/png\r\n\r\n"
    body = (head if "form" in content_type else b"") + bytes(uploads_app.MAX_BYTES + 1)

    response = ann.post(
        "/pictures",
        input_stream=BytesIO(body),
        content_type=content_type,
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )

    assert problem(response) == (413, "body_too_large")


def test_a_body_that_ends_early_is_refused(ann: Person) -> None:
    announced = {"CONTENT_LENGTH": str(len(PNG) + 1)}
    response = ann.post(
        "/pictures", input_stream=BytesIO(PNG), content_type="image/png", environ_overrides=announced
    )

    assert problem(response) == (400, "bad_request")


def test_too_many_uploads_at_once_are_refused(app: Flask, ann: Person) -> None:
    slots = app.extensions["upload_slots"]
    assert slots.acquire(blocking=False)
    assert slots.acquire(blocking=False)  # a quarter of 8 threads

    refused = ann.post("/pictures", data=form())
    slots.release()
    accepted = ann.post("/pictures", data=form())

    assert problem(refused) == (503, "overloaded")
    assert refused.headers["Retry-After"] == "1"
    assert accepted.status_code == 200


def test_an_upload_is_documented(app: Flask) -> None:
    operation = openapi.build(app)["paths"]["/pictures"]["post"]

    content = operation["requestBody"]["content"]
    file = {"type": "string", "format": "binary", "maxLength": uploads_app.MAX_BYTES}
    assert content["image/png"] == {"schema": file}
    assert content["multipart/form-data"]["schema"]["properties"] == {"file": file}
    assert content["multipart/form-data"]["encoding"] == {"file": {"contentType": "image/png"}}
    assert {"400", "401", "413", "415", "422", "503"} <= set(operation["responses"])


def test_a_view_that_takes_more_than_the_setting_is_refused(app: Flask) -> None:
    settings = app.extensions["settings"].model_copy(update={"max_upload_bytes": 1_000_000})
    app.extensions["settings"] = settings

    with pytest.raises(TypeError, match="4000000 bytes, and MAX_UPLOAD_BYTES is 1000000"):
        openapi.check(app)


@pytest.mark.parametrize(
    ("given", "safe"),
    [
        ("a.png", "a.png"),
        ("C:\\photos\\a.png", "a.png"),
        ("../../etc/passwd", "passwd"),
        (".htaccess", "htaccess"),
        ("a\0b\r\n\u202eg.png", "abg.png"),
        ("x" * 300, "x" * 100),
        ("..", ""),
        ("", ""),
    ],
    ids=["plain", "windows", "traversal", "hidden", "control", "long", "dots", "empty"],
)
def test_a_file_name_is_made_safe(given: str, safe: str) -> None:
    assert safe_name(given) == safe


def test_media_types_are_checked() -> None:
    with pytest.raises(TypeError, match="name media types"):
        Upload(["png"], 1000)


def test_other_bodies_keep_their_limit(ann: Person) -> None:
    response = ann.patch("/account", data=b"x" * 70_000, content_type="application/json")

    assert problem(response) == (413, "body_too_large")
