"""The proxy in front of the API: its limits, errors and headers."""

import json
import os
import socket
from typing import Any

import httpx
import pytest

from proof.production.conftest import HTTP_PORT, PASSWORD, SITE, Wire

JSON = {"Content-Type": "application/json"}
GET = b"GET / HTTP/1.1\r\n"
HOST = b"Host: localhost\r\n"
CLOSE = b"Connection: close\r\n"
LOGIN = b"POST /auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = LOGIN + b"Transfer-Encoding: chunked\r\n\r\n"
MEMBERS = {"type", "title", "status", "detail", "code", "request_id"}


def problem(response: httpx.Response) -> tuple[int, str]:
    body = response.json()
    assert response.headers["Content-Type"] == "application/problem+json"
    assert set(body) == MEMBERS
    assert body["status"] == response.status_code
    assert body["type"] == f"/problems/{body['code'].replace('_', '-')}"
    assert body["request_id"] == response.headers["X-Request-ID"]
    return response.status_code, body["code"]


def head_and_body(answer: bytes) -> tuple[str, dict[str, Any]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    return head.decode(), json.loads(body)


def test_responses_of_the_proxy_have_the_headers_of_the_api(http: httpx.Client) -> None:
    of_the_proxy = http.get("/metrics")
    of_the_api = http.get("/auth/nowhere")

    assert problem(of_the_proxy) == problem(of_the_api) == (404, "not_found")
    assert of_the_proxy.json() | {"request_id": ""} == of_the_api.json() | {"request_id": ""}
    own = {"date", "x-request-id", "content-length", "connection"}
    assert {name: value for name, value in of_the_proxy.headers.items() if name not in own} == {
        name: value for name, value in of_the_api.headers.items() if name not in own
    }
    assert of_the_proxy.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert not {"server", "via", "alt-svc"} & set(of_the_proxy.headers)


@pytest.mark.parametrize(
    "path", ["/metrics", "/metrics?x=1", "//metrics", "/%6detrics", "/metrics/", "/METRICS"]
)
def test_metrics_are_not_public(http: httpx.Client, path: str) -> None:
    response = http.send(httpx.Request("GET", f"{SITE}{path}"))

    assert problem(response) == (404, "not_found")


@pytest.mark.parametrize("path", ["/nowhere", "/metrics"])
@pytest.mark.parametrize(
    ("given", "kept"), [("a.B_9-" * 20, True), ("a b", False), ("a" * 129, False), ('"', False)]
)
def test_a_request_keeps_its_id_or_gets_one(http: httpx.Client, path: str, given: str, kept: bool) -> None:
    response = http.get(path, headers={"X-Request-ID": given})

    problem(response)
    assert (response.headers["X-Request-ID"] == given) is kept
    assert len(response.headers["X-Request-ID"]) == (len(given) if kept else 36)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_a_problem(http: httpx.Client, chunked: bool) -> None:
    body = b"x" * 1_000_000
    response = http.post("/auth/login", content=iter([body]) if chunked else body, headers=JSON)

    assert problem(response) == (413, "body_too_large")


def test_a_body_at_the_limit_is_accepted(http: httpx.Client) -> None:
    assert problem(http.post("/auth/login", content=b" " * 65_536, headers=JSON)) == (400, "malformed_json")


def test_headers_over_the_limit_are_a_problem(http: httpx.Client) -> None:
    response = http.get("/", headers={"X-Long": "x" * 40_000})

    assert problem(response) == (431, "headers_too_large")


def test_far_too_long_headers_close_the_connection(wire: Wire) -> None:
    wire.send(GET + HOST + b"X-Long: " + b"x" * 50_000)

    answer, _ = wire.receive(15, drip=b"x" * 50_000)
    assert answer.startswith(b"HTTP/1.1 431 ") or not answer


@pytest.mark.parametrize("drip", [b"", b"x"])
def test_incomplete_headers_time_out_after_five_seconds(wire: Wire, drip: bytes) -> None:
    wire.send(GET + b"Host: ")

    answer, seconds = wire.receive(20, drip)
    assert not answer
    assert 3 < seconds < 10


def test_an_incomplete_body_times_out_after_thirty_seconds(wire: Wire, another_wire: Wire) -> None:
    wire.send(CHUNKED)
    another_wire.send(LOGIN + b"Content-Length: 100\r\n\r\n{")

    dripped, seconds = wire.receive(50, drip=b"1\r\n \r\n")
    stalled, seconds_more = another_wire.receive(10)
    for answer in (dripped, stalled):
        head, body = head_and_body(answer)
        assert head.startswith("HTTP/1.1 400 ")
        assert body["code"] == "bad_request"
    assert 25 < seconds <= seconds + seconds_more < 40


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (GET + CLOSE + b"\r\n", 400),
        (GET + HOST + HOST + CLOSE + b"\r\n", 400),
        (GET + b"Host: a b\r\n" + CLOSE + b"\r\n", 400),
        (GET + b"Host: other\r\n" + CLOSE + b"\r\n", 400),
        (b"GET / HTTP/1.0\r\n\r\n", 400),
        (GET + HOST + b"Transfer-Encoding : chunked\r\n\r\n", 400),
        (LOGIN + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
        (LOGIN + b"Content-Length: +2\r\n\r\n{}", 400),
        (LOGIN + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n2\r\n{}\r\n0\r\n\r\n", 501),
        (LOGIN + b"Transfer-Encoding: chunked, identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 501),
        (CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", 400),
        (CHUNKED + b"2\r\n{}x\r\n0\r\n\r\n", 400),
        (CHUNKED + b"fffffffffffffffff\r\n", 400),
        (CHUNKED + b"2;" + b"x" * 9000 + b"\r\n{}\r\n0\r\n\r\n", 400),
        (CHUNKED + b"2\r\n{}\r\n0\r\nno colon\r\n\r\n", 400),
        (b"\x16\x03\x01 this is no HTTP\r\n\r\n", 400),
    ],
)  # fmt: skip
def test_an_ambiguous_request_is_refused_and_closed(wire: Wire, request_: bytes, status: int) -> None:
    wire.send(request_)

    answer, _ = wire.receive(10)
    assert answer.split()[1] == str(status).encode()
    assert answer.count(b"HTTP/1.") == 1
    assert b"Server:" not in answer


def test_length_and_chunks_together_are_one_request(wire: Wire) -> None:
    smuggled = b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(smuggled), smuggled)
    wire.send(LOGIN + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n" + CLOSE + b"\r\n" + body)

    answer, _ = wire.receive(10)
    assert (
        head_and_body(answer)[1]["code"] == "malformed_json"
    )  # it parsed the chunks as the body, and answered once


def test_a_folded_header_is_one_header(wire: Wire) -> None:
    wire.send(GET + b"X-Fold: a\r\n Transfer-Encoding: chunked\r\n" + HOST + CLOSE + b"\r\n")

    answer, _ = wire.receive(10)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_half_closed_connection_gets_a_problem(wire: Wire) -> None:
    """Caddy takes it for a disconnect and cancels the request, unless the API is faster."""
    body = b'{"username": "missing", "password": "correct horse battery staple"}'
    wire.send(LOGIN + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    # Only shut down the TCP connection: SSLSocket.shutdown() would also drop the TLS state.
    with socket.socket(fileno=os.dup(wire.socket.fileno())) as same:
        same.shutdown(socket.SHUT_WR)

    answer, _ = wire.receive(10)
    head, problem_ = head_and_body(answer)
    assert (head.split()[1], problem_["code"]) in {("400", "bad_request"), ("401", "invalid_credentials")}


@pytest.mark.parametrize("forged", ["203.0.113.9", "203.0.113.9, 203.0.113.10", "10.0.0.1", "localhost"])
def test_a_forged_client_address_is_ignored(http: httpx.Client, bearer: dict[str, str], forged: str) -> None:
    address = http.get("/auth/token", headers=bearer).json()["items"][0]["ip"]
    headers = {"X-Forwarded-For": forged, "X-Real-IP": forged, "Forwarded": f"for={forged}"}
    username = {"username": http.get("/account", headers=bearer).json()["username"]}

    pair = http.post("/auth/login", json=username | {"password": PASSWORD}, headers=headers).json()
    listed = http.get("/auth/token", headers={"Authorization": f"Bearer {pair['access_token']}"}).json()
    assert {item["ip"] for item in listed["items"]} == {address}


def test_plain_http_is_refused_except_for_browsers() -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{HTTP_PORT}", headers={"Host": "localhost"}) as plain:
        post = plain.post("/auth/login", json={})
        get = plain.get("/account", headers={"Authorization": "Bearer x"})
        redirect = plain.get("/docs?x=1", headers={"Accept": "text/html,*/*"})

    assert problem(post) == problem(get) == (400, "bad_request")
    assert (redirect.status_code, redirect.headers["Location"]) == (308, "https://localhost/docs?x=1")
    assert not {"server", "via"} & set(redirect.headers)
