"""Use an API with many clients at once: python - HOST:PORT. The exit status is 1 if a response is wrong."""

import json
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from uuid import uuid4

CLIENTS = 24
SECONDS = 15
PASSWORD = "correct horse battery staple"
Answer = tuple[int, dict[str, str]]


def ask(method: str, path: str, token: str = "", body: object = None) -> Answer:
    connection = HTTPConnection(sys.argv[1], timeout=30)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if body:
        headers["Content-Type"] = "application/json"
    connection.request(method, path, json.dumps(body) if body else None, headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, json.loads(content or "{}")


def log_in(_: int) -> dict[str, str]:
    credentials = {"username": f"c-{uuid4().hex[:12]}", "password": PASSWORD}
    assert ask("POST", "/auth/register", body=credentials)[0] == 201
    status, pair = ask("POST", "/auth/login", body=credentials)
    assert status == 200, pair
    return pair


def live(pair: dict[str, str]) -> Counter[str]:
    """Read, refresh and list until the time is up, then log out. Return the counts of the responses."""
    answers: Counter[str] = Counter()

    def count(method: str, path: str, token: str) -> Answer:
        status, body = ask(method, path, token)
        answers[f"{method} {path} {status} {body.get('code', '')}".strip()] += 1
        return status, body

    while time.monotonic() < until:
        count("GET", "/account", pair["access_token"])
        status, successor = count("POST", "/auth/refresh", pair["refresh_token"])
        pair = successor if status == 200 else pair
        count("GET", "/auth/token", pair["access_token"])
    count("POST", "/auth/logout", pair["access_token"])
    count("GET", "/account", pair["access_token"])
    return answers


pairs = [log_in(number) for number in range(CLIENTS)]
until = time.monotonic() + SECONDS
with ThreadPoolExecutor(CLIENTS) as pool:
    total = sum(pool.map(live, pairs), Counter())
sys.stdout.write(json.dumps(total, indent=2) + "\n")
once = {"POST /auth/logout 204": CLIENTS, "GET /account 401 token_revoked": CLIENTS}
many = {"GET /account 200", "POST /auth/refresh 200", "GET /auth/token 200"}
assert set(total) == many | set(once)
assert {name: total[name] for name in once} == once
