"""The running stack, over HTTP."""

import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx
import pytest

from tests.support.credentials import PASSWORD, bearer

JSON = {"Content-Type": "application/json"}
NEW = "a whole new passphrase"


def test_the_stack_is_ready(http: httpx.Client) -> None:
    assert http.get("/health/ready").json() == {
        "status": "ok",
        "checks": {"database": "ok", "migrations": "ok"},
    }


def test_an_account_from_registration_to_deletion(http: httpx.Client, username: str) -> None:
    credentials = {"username": username, "password": PASSWORD}

    registered = http.post("/auth/register", json=credentials)
    assert registered.status_code == 201
    pair = http.post("/auth/login", json=credentials).json()
    account = http.get("/account", headers=bearer(pair["access_token"]))
    assert account.json() == registered.json()

    refreshed = http.post("/auth/refresh", headers=bearer(pair["refresh_token"])).json()
    access = bearer(refreshed["access_token"])
    listed = http.get("/auth/token", params={"active": "false"}, headers=access).json()["items"]
    assert Counter(item["revoked_reason"] for item in listed) == {None: 3, "rotated": 1}
    assert {item["ip"] is None for item in listed} == {False}

    change = {"password": NEW, "current_password": PASSWORD}
    assert http.patch("/account", json=change, headers=access).status_code == 200
    assert http.post("/auth/login", json=credentials).status_code == 401
    fresh = http.post("/auth/login", json={"username": username, "password": NEW}).json()
    assert http.post(
        "/auth/logout", json={"scope": "others"}, headers=bearer(fresh["access_token"])
    ).is_success
    assert http.get("/account", headers=access).status_code == 401

    assert http.delete("/account", headers=bearer(fresh["access_token"])).status_code == 204
    assert http.get("/account", headers=bearer(fresh["access_token"])).status_code == 401
    assert http.post("/auth/register", json=credentials).status_code == 201


def test_twenty_refreshes_at_once_have_one_successor(http: httpx.Client, username: str) -> None:
    credentials = {"username": username, "password": PASSWORD}
    http.post("/auth/register", json=credentials)
    pair = http.post("/auth/login", json=credentials).json()
    barrier = Barrier(20)

    def refresh(_: int) -> httpx.Response:
        barrier.wait(timeout=30)
        return http.post("/auth/refresh", headers=bearer(pair["refresh_token"]))

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(refresh, range(20)))

    assert Counter(answer.status_code for answer in answers) == {200: 20}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1
    successor = answers[0].json()["refresh_token"]
    assert http.post("/auth/refresh", headers=bearer(successor)).status_code == 200
    stolen = http.post("/auth/refresh", headers=bearer(pair["refresh_token"]))
    assert (stolen.status_code, stolen.json()["code"]) == (401, "token_reused")


@pytest.mark.parametrize(
    ("method", "path", "more", "status", "code"),
    [
        ("GET", "/nowhere", {}, 404, "not_found"),
        ("POST", "/account", {}, 405, "method_not_allowed"),
        ("GET", "/account", {}, 401, "missing_token"),
        ("GET", "/account", {"headers": bearer("x")}, 401, "invalid_token"),
        ("POST", "/auth/login", {"content": b"{", "headers": JSON}, 400, "malformed_json"),
        ("POST", "/auth/login", {"content": b"{}"}, 415, "unsupported_media_type"),
        ("POST", "/auth/login", {"json": {}}, 422, "validation_failed"),
        ("POST", "/auth/login", {"content": b"x" * 1_000_000}, 413, "body_too_large"),
        ("GET", "/", {"headers": {"X-Long": "x" * 20_000}}, 431, "headers_too_large"),
        ("GET", "/", {"headers": {"Host": "a b"}}, 400, "bad_request"),
    ],
)  # fmt: skip
def test_every_failure_is_a_problem(
    http: httpx.Client, method: str, path: str, more: dict[str, object], status: int, code: str
) -> None:
    response = http.request(method, path, **more)  # type: ignore[arg-type]

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["X-Request-ID"] == response.json()["request_id"]
    assert http.get("/health/live").status_code == 200


def test_no_response_reveals_the_server(http: httpx.Client) -> None:
    for response in (http.get("/"), http.get("/nowhere"), http.request("BREW", "/")):
        assert "Server" not in response.headers
        assert not re.search(
            "waitress|werkzeug|flask/|python", str(response.headers) + response.text, re.IGNORECASE
        )
