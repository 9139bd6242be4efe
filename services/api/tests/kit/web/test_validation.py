"""Request bodies: media types, strict JSON and limits."""

import json
from io import BytesIO

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.credentials import PASSWORD, bearer
from tests.support.people import Person
from tests.support.problems import errors, problem

pytestmark = pytest.mark.any_database
GOOD = json.dumps({"username": "ann", "password": PASSWORD})
NAME = '{"username": "ann", "password": "correct horse battery staple"%s}'


def send(
    client: FlaskClient, data: bytes | str, content_type: str | None = "application/json"
) -> TestResponse:
    return client.post("/auth/register", data=data, content_type=content_type)


@pytest.mark.parametrize(
    "data",
    [
        b" ",
        b"{",
        b"{}x",
        b"{} {}",
        b"{'username': 'ann'}",
        b'{"username": "ann",}',
        b"// comment\n{}",
        b"NaN",
        NAME % ', "x": NaN',
        NAME % ', "x": Infinity',
        NAME % ', "x": -Infinity',
        NAME % ', "username": "bob"',
        NAME % ', "x": {"y": 1, "y": 1}',
        NAME % r', "user\u006eame": "bob"',
        b"\xef\xbb\xbf" + GOOD.encode(),
        GOOD.encode("utf-16"),
        GOOD.encode("utf-32"),
        b'{"username": "\xff"}',
        b'{"username": "\xed\xa0\x80"}',
        r'{"username": "\ud800"}',
        r'{"username": "\udc00\ud800"}',
        r'{"\ud800": 1}',
        '{"username": "an\nn"}',
        '{"username": "an\x00n"}',
        r'{"username": "\x41"}',
        '{"x": 01}',
        '{"x": 1.}',
        '{"x": +1}',
        "[" * 33 + "]" * 33,
        "[" * 60_000,
        '{"x":' * 10_000,
        '{"x": "' + "\\" * 999,
    ],
    ids=lambda data: repr(data)[:40],
)
def test_json_that_is_not_strict_is_malformed(client: FlaskClient, data: bytes | str) -> None:
    assert problem(send(client, data)) == (400, "malformed_json")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("[]", {("", "wrong_type")}),
        ("null", {("", "wrong_type")}),
        ('"ann"', {("", "wrong_type")}),
        ("7", {("", "wrong_type")}),
        ("[" * 32 + "]" * 32, {("", "wrong_type")}),
        ("{}", {("/username", "required"), ("/password", "required")}),
        (NAME % ', "x": 1e400', {("/x", "unknown_field")}),
        (NAME % (', "x": ' + "9" * 4000), {("/x", "unknown_field")}),
        (NAME % (', "x": ' + "9" * 5000), {("/x", "unknown_field")}),
        (NAME % r', "\ud83d\ude00": 1', {("/😀", "unknown_field")}),
        (NAME % r', "\u0000": 1', {("/\0", "unknown_field")}),
        (NAME % ', "": 1', {("/", "unknown_field")}),
        (NAME % (', "x": "' + "[" * 100 + '"'), {("/x", "unknown_field")}),
        (NAME % r', "x": "\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["', {("/x", "unknown_field")}),
        (
            '{"username": 1e400, "password": 9999999999999999999999}',
            {("/username", "wrong_type"), ("/password", "wrong_type")},
        ),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, str) else "",
)  # fmt: skip
def test_well_formed_json_of_the_wrong_shape_is_refused_with_reasons(
    client: FlaskClient, data: str, expected: set[tuple[str, str]]
) -> None:
    assert errors(send(client, data)) == expected


def test_the_number_of_reasons_in_a_response_is_limited(client: FlaskClient) -> None:
    body = json.dumps({f"x{number}": 1 for number in range(1000)})

    assert len(send(client, body).json["errors"]) == 20


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'application/json; charset="utf-8"',
        "application/json;",
        "application/json; ;charset=UTF8 ;",
        "application/json;charset=utf8",
        'application/json; charset="UTF8"',
        "application/json\t;\tcharset=Utf-8",
    ],
)
def test_json_media_types_are_accepted(client: FlaskClient, content_type: str) -> None:
    assert send(client, GOOD, content_type).status_code == 201


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "text/plain",
        "text/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/vnd.api+json",
        "application/merge-patch+json",
        "application/problem+json",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "application/json; version=1",
        "application/json; charset",
        "application/json; charset=",
        'application/json; charset="utf-8',
        "application/json; charset*=utf-8''utf-8",
        "application/json; =utf-8",
        "application/json; charset=utf-8; charset=utf-8",
        "application/json; charset=utf-8; version=1",
        "application/json; charset='utf-8'",
        "application/json; charset=utf-8x",
        ";application/json",
        "application/json, text/plain",
        "application/jsonx",
        "*/*",
    ],
)
def test_anything_else_is_an_unsupported_media_type(client: FlaskClient, content_type: str | None) -> None:
    assert problem(send(client, GOOD, content_type)) == (415, "unsupported_media_type")


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "identity, gzip", "x", "utf-8"])
def test_a_compressed_body_is_an_unsupported_media_type(client: FlaskClient, coding: str) -> None:
    response = client.post(
        "/auth/register", data=GOOD, headers={"Content-Encoding": coding}, content_type="application/json"
    )

    assert problem(response) == (415, "unsupported_media_type")


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
def test_a_body_may_be_declared_as_not_compressed(client: FlaskClient, coding: str) -> None:
    response = client.post(
        "/auth/register", data=GOOD, headers={"Content-Encoding": coding}, content_type="application/json"
    )

    assert response.status_code == 201


@pytest.mark.parametrize("content_type", [None, "application/json", "text/plain", "application/json;"])
def test_an_empty_body_of_any_type_is_no_body(ann: Person, content_type: str | None) -> None:
    def post(path: str, token: str = ann.access) -> TestResponse:
        return ann.client.post(path, data=b"", content_type=content_type, headers=bearer(token))

    assert errors(post("/auth/register")) == {("", "required")}
    assert post("/auth/refresh", ann.refresh).status_code == 200
    assert post("/auth/logout").status_code == 204
    assert problem(ann.get("/account")) == (401, "token_revoked")


@pytest.mark.parametrize("data", [b"{}", b" { }\n"])
@pytest.mark.parametrize("content_type", [None, "application/json"])
def test_an_empty_object_is_no_body_where_none_is_taken(
    ann: Person, data: bytes, content_type: str | None
) -> None:
    def send(method: str, path: str, token: str = ann.access) -> int:
        headers = bearer(token)
        return ann.client.open(
            path, method=method, data=data, content_type=content_type, headers=headers
        ).status_code

    assert send("GET", "/") == send("GET", "/docs") == send("GET", "/account") == 200
    assert send("POST", "/auth/refresh", ann.refresh) == 200
    assert send("DELETE", "/account") == 204


@pytest.mark.parametrize("data", [b"x", b"[]", b"null", b"{}{}", b'{"a": 1}', b" ", b"\xef\xbb\xbf{}"])
def test_any_other_unexpected_body_is_refused(ann: Person, data: bytes) -> None:
    for response in (
        ann.client.get("/", data=data),
        ann.client.get("/account", headers=ann.headers, data=data),
        ann.client.delete("/account", headers=ann.headers, data=data, content_type="application/json"),
    ):
        assert errors(response) == {("", "unknown_field")}
    assert ann.get("/account").status_code == 200


def test_an_unexpected_chunked_body_is_refused(client: FlaskClient) -> None:
    """Chunked bodies have no length, as gunicorn passes them on."""
    environ = {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": "", "wsgi.input_terminated": True}

    response = client.get("/", input_stream=BytesIO(b"[]"), environ_overrides=environ)

    assert errors(response) == {("", "unknown_field")}


def test_an_unauthenticated_request_is_refused_before_its_body_is_read(client: FlaskClient) -> None:
    response = client.patch("/account", data=b"{", content_type="text/plain")

    assert problem(response) == (401, "missing_token")


@pytest.mark.parametrize(("size", "status"), [(65_536, 201), (65_537, 413)])
def test_a_body_over_the_limit_is_refused(client: FlaskClient, size: int, status: int) -> None:
    response = send(client, GOOD + " " * (size - len(GOOD)))

    assert response.status_code == status
    if status == 413:
        assert problem(response) == (413, "body_too_large")


def test_a_body_shorter_than_its_content_length_is_refused(client: FlaskClient) -> None:
    response = client.post(
        "/auth/register",
        data=GOOD,
        content_type="application/json",
        environ_overrides={"CONTENT_LENGTH": str(len(GOOD) + 1)},
    )

    assert problem(response) == (400, "bad_request")
    assert send(client, GOOD).status_code == 201
