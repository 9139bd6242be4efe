"""Properties that hold for every request, checked with generated requests; see tests/support/examples.py."""

import json
import re
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import assume, example, given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from app.database import db
from app.exceptions import UsernameRefused, UsernameTaken
from app.model.user_repository import UserRepository
from kit.security.hashers import PasswordHash
from tests.support.documented import documented_paths
from tests.support.examples import examples
from tests.support.people import Person
from tests.support.problems import problem
from tools.client_files.steps import UNKNOWN_ID

pytestmark = pytest.mark.any_database
PATHS = {path: methods for path, methods in documented_paths().items() if "{" not in path}
GET = ["/docs", *(path for path, methods in PATHS.items() if "get" in methods)]
POST = [path for path, methods in PATHS.items() if "post" in methods]
NEEDS_A_TOKEN = {path for path, methods in PATHS.items() if methods.get("get", {}).get("security")}
METHODS = [
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "PROPFIND",
    "X",
    "*",
]
# Characters that lower(), upper() or casefold() map to ASCII, and others that resemble a name.
LETTERS = "aAiIkKsS09._-\u0130\u0131\u017f\u212a\uff41\u0430\u00df\u00e9\u0301\u200b \n\0/@"
HEADER_TEXT = st.text([chr(code) for code in (*range(32, 127), 9, 0x80, 0xE9, 0xFF)], max_size=30)
# Pieces of valid and invalid headers.
HEADERS = {
    "AUTHORIZATION": ["Bearer", "bearer", "Basic", " ", "\t", ",", "x.y.z", "eyJhbGciOiJub25lIn0.e30.", "=",
    "fa_",
    "%s", ".", "\xff"],
    "CONTENT_TYPE": ["application/json", "text/plain", ";", " charset=", "utf-8", "utf-16", '"', ",", "=",
    "boundary", "\xe9"],
    "HTTP_ACCEPT": ["text/html", "application/json", "*/*", ",", ";q=", "0", "1", "-1", "nan", "\xff"],
    "HTTP_ACCEPT_ENCODING": ["gzip", "*", ";q=0"],
    "HTTP_COOKIE": ["access_token_cookie=", "%s", "; ", "=", '"', "session="],
    "HTTP_EXPECT": ["100-continue", "x"],
    "HTTP_IF_MATCH": ["*", '"', "W/", ",", "x", '"x"', "\xff"],
    "HTTP_IF_MODIFIED_SINCE": ["Thu, 01 Jan 1970 00:00:00 GMT", "9" * 20, "-1", ","],
    "HTTP_IF_NONE_MATCH": ["*", '"', "W/", ",", "x", '"x"', "\xff"],
    "HTTP_ORIGIN": ["https://app.example", "null", "*", " ", "\xff"],
    "HTTP_ACCESS_CONTROL_REQUEST_METHOD": ["DELETE", "*"],
    "HTTP_RANGE": ["bytes=", "0-1", "-1", ",", "9" * 20],
    "HTTP_X_HTTP_METHOD_OVERRIDE": ["DELETE", "PUT", "x"],
    "HTTP_X_REQUEST_ID": ["x", "A-1._", " ", "\t", "\xff", "x" * 127, "${x}"],
    "HTTP_X_FORWARDED_FOR": ["127.0.0.1", "::1", ",", "unknown", "\xff", "x" * 100],
    "HTTP_X_FORWARDED_HOST": ["evil.example", ",", "[", ":"],
    "HTTP_X_FORWARDED_PROTO": ["https", ",", "x"],
    "HTTP_X_FORWARDED_PREFIX": ["/", "//evil.example", ".."],
    "HTTP_X_FORWARDED_PORT": ["443", "-1", "x"],
    "HTTP_X_ORIGINAL_URL": ["/account"],
    "HTTP_FORWARDED": ["for=", "127.0.0.1", ";", "host=evil.example", '"'],
    "HTTP_USER_AGENT": ["curl", "\xff", "\x01", "%s", "\u00e9", "x" * 300],
}  # fmt: skip
HEADER_SETS = st.lists(st.sampled_from(list(HEADERS)), min_size=1, max_size=4, unique=True).flatmap(
    lambda names: st.fixed_dictionaries(
        {
            name: st.lists(st.sampled_from(HEADERS[name]), min_size=1, max_size=5).map("".join) | HEADER_TEXT
            for name in names
        }
    )
)


def ask(client: FlaskClient, method: str, target: str, **environ: Any) -> TestResponse:
    """Send a request as the server passes it on: with the raw target and the decoded path."""
    path, _, query = target.partition("?")
    decoded = unquote_to_bytes(path.encode("latin-1", "replace")).decode("latin-1")
    overrides = {"PATH_INFO": decoded, "REQUEST_URI": target, "QUERY_STRING": query, **environ}
    return client.open("/", method=method, environ_overrides=overrides)


def holds(response: TestResponse) -> int:
    """Check what every response must have. Return its status."""
    assert response.status_code < 500 or response.status_code == 501
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,128}", response.headers["X-Request-ID"])
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "Server" not in response.headers
    assert not [name for name, _ in response.headers if name.startswith("Access-Control")]
    if response.status_code >= 400 and response.request.method != "HEAD":
        problem(response)
    return response.status_code


@pytest.fixture(autouse=True)
def answer_bugs(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)  # report bugs as 500 responses


@examples(80)
@given(st.data())
def test_another_spelling_of_a_path_is_not_found(ann: Person, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from([path for path in GET + POST if path != "/"]))
    place = data.draw(st.integers(0, len(path) - 1))
    escaped = f"%{ord(path[place]):02{data.draw(st.sampled_from('xX'))}}"
    piece = data.draw(
        st.sampled_from(["/", "//", "/.", "/..", ".", "%00", "%2f", "%5C", "\\", ";", ";x=1", " ", "%20",
        "+", "#", "*", "\0",
                         "%", "%%", "%c0%af", "%e2%84%aa", "\xff", "A", "~", "", escaped,
                         path[place].swapcase(), "/" + path])
    )  # fmt: skip
    if data.draw(st.booleans()):
        piece = escaped
    removed = data.draw(st.integers(0, 1))
    spelling = path[:place] + piece + path[place + removed :]
    if data.draw(st.booleans()):
        spelling = path + piece
    assume(spelling not in [*GET, *POST, ""])

    response = ask(
        ann.client, "POST" if path in POST else "GET", spelling, HTTP_AUTHORIZATION=f"Bearer {ann.access}"
    )

    assert holds(response) in (400, 404, 405), spelling


@examples(60)
@given(st.sampled_from(METHODS) | st.text("ABCXYZ-_!", min_size=1, max_size=8), st.sampled_from(GET + POST))
def test_a_method_is_accepted_or_gets_the_allowed_ones(ann: Person, method: str, path: str) -> None:
    response = ask(ann.client, method, path)

    status = holds(response)
    if method not in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        assert status == 405
    if status == 405:
        assert method not in response.headers["Allow"].split(", ")


@examples(80)
@given(
    st.lists(
        st.sampled_from(["limit", "active", "cursor", "=", "&", "1", "100", "101", "0", "+1", "%31", "true",
        "false", "True", "",
                         "%", "%00", "%ff", ";", "[]", "\xff", "limit=5", "&active=false",
                         "AAZg2X_X8EwKht7aDwlHf6y786bBq6p9"]),
        max_size=6,
    ).map("".join),
    st.sampled_from(["/auth/token", "/account", "/openapi.json", "/problems"]),
)  # fmt: skip
def test_a_query_is_valid_or_refused(ann: Person, query: str, path: str) -> None:
    response = ask(ann.client, "GET", f"{path}?{query}", HTTP_AUTHORIZATION=f"Bearer {ann.access}")

    taken = parse_qsl(query, keep_blank_values=True, encoding="latin-1")
    understood = len(dict(taken)) == len(taken) and all(
        path == "/auth/token"
        and (
            (name == "limit" and re.fullmatch("[1-9][0-9]?|100", value, re.ASCII))
            or (name == "active" and value in ("true", "false"))
            or (name == "cursor" and value == "AAZg2X_X8EwKht7aDwlHf6y786bBq6p9")
        )
        for name, value in taken
    )
    malformed = "\xff" in query  # a raw byte isn't allowed in a URI
    assert holds(response) == (400 if malformed else 200 if understood else 422)


@examples(80)
@given(HEADER_SETS, st.sampled_from(["GET", "HEAD", "OPTIONS", "DELETE"]), st.sampled_from(GET))
def test_headers_do_not_affect_authentication_or_cause_errors(
    ann: Person, headers: dict[str, str], method: str, path: str
) -> None:
    response = ask(ann.client, method, path, **headers)

    status = holds(response)
    assert "evil.example" not in response.headers.get("Location", "")
    if path in NEEDS_A_TOKEN and method != "OPTIONS":
        assert status in (401, 405)
    given_id = headers.get("HTTP_X_REQUEST_ID", "")
    if re.fullmatch(r"[A-Za-z0-9._-]{1,128}", given_id):
        assert response.headers["X-Request-ID"] == given_id


@examples(30)
@given(HEADER_SETS)
def test_headers_do_not_prevent_access_to_the_account(ann: Person, headers: dict[str, str]) -> None:
    headers["HTTP_AUTHORIZATION"] = f"Bearer {ann.access}"

    status = holds(ask(ann.client, "GET", "/account", **headers))

    assert status in ((200, 304) if "HTTP_IF_NONE_MATCH" in headers else (200,))


@examples(60)
@given(st.text([chr(code) for code in range(32, 256)], max_size=8) | st.lists(
    st.sampled_from(["a", ".", ":", "80", "65536", "[", "]", "::1", "-", "_", "@", "/", ",", " ", "\t", "%",
    "1.2.3.4", "\xe9"]),
    max_size=5,
).map("".join))  # fmt: skip
@example("localhost")
@example("[::1]:80")
def test_a_host_is_well_formed_or_refused(client: FlaskClient, host: str) -> None:
    status = holds(ask(client, "GET", "/health/live", HTTP_HOST=host))

    assert status in (200, 400)
    if status == 200:
        assert re.fullmatch(r"[A-Za-z0-9_.-]+(:\d+)?|\[[0-9a-fA-F:.]+\](:\d+)?", host, re.ASCII)


JSON_VALUES = st.recursive(
    st.sampled_from([None, True, False, 0, -1, 1.5, "", "ann", "session", "a\0b", "x" * 200,
    "correct horse battery staple"]),
    lambda inner: st.lists(inner, max_size=2)
    | st.dictionaries(st.sampled_from(["username", "password", "scope", "revoke", "x"]), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
OPERATIONS = [
    (method.upper(), re.sub(r"{\w+}", UNKNOWN_ID, path))
    for path, methods in documented_paths().items()
    for method in methods
    if method != "get" or path == "/account"
]


@examples(80)
@given(
    st.sampled_from(OPERATIONS),
    JSON_VALUES.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=30),
    st.sampled_from(["application/json", "application/merge-patch+json", "text/plain",
    "application/json; charset=utf-16", ""]),
    st.booleans(),
)  # fmt: skip
def test_any_body_gets_a_response_within_the_contract(
    ann: Person, operation: tuple[str, str], raw: bytes, content_type: str, is_caller: bool
) -> None:
    headers = ann.headers if is_caller else {}

    response = ann.client.open(
        operation[1], method=operation[0], data=raw, content_type=content_type, headers=headers
    )

    assert holds(response) in (200, 201, 202, 204, 400, 401, 403, 404, 409, 415, 422)


@examples(80)
@given(st.text(LETTERS, min_size=3, max_size=6))
@example("\u212aat")
@example("\u0130an")
@example("\u017fue")
@example("ann\n")
@example("a" * 64)
@example("a" * 65)
def test_a_username_that_is_not_ascii_is_refused(app: Flask, password_hash: PasswordHash, name: str) -> None:
    ascii_letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    is_name = 3 <= len(name) <= 64 and name[0] in ascii_letters and set(name) <= set(ascii_letters + "._-")

    with app.app_context():
        try:
            UserRepository(db.session).register(name, password_hash)
            registered = True
        except UsernameRefused:
            registered = False
        db.session.rollback()

    assert registered == is_name


@examples(60)
@given(st.text("aAiIkKsS0._-", min_size=3, max_size=5), st.data())
def test_usernames_that_differ_only_in_case_are_equal(
    app: Flask, password_hash: PasswordHash, name: str, data: st.DataObject
) -> None:
    assume(name[0] not in "._-")
    alike = {"i": "iI\u0130\u0131", "k": "kK\u212a", "s": "sS\u017f"}
    other = "".join(data.draw(st.sampled_from([letter.lower(), letter.upper()])) for letter in name)
    lookalike = "".join(data.draw(st.sampled_from(alike.get(letter.lower(), letter))) for letter in name)

    with app.app_context():
        users = UserRepository(db.session)
        users.register(name, password_hash)
        found = getattr(users.find_by_username(other), "username", None)
        lookalike_found = users.find_by_username(lookalike) is not None
        with pytest.raises(UsernameTaken):
            users.register(other, password_hash)
        db.session.rollback()

    assert found == name
    assert lookalike_found == (lookalike.isascii() and lookalike.lower() == name.lower())
