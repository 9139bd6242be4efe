"""The proxy with other settings, with invalid ones, and behind another proxy, which forwards plain HTTP.

This file must run last: it restarts the proxy on another port, and stops the API.
"""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest

from proof.production.conftest import PASSWORD, REPOSITORY
from tests.support.waiting import wait_until

ECHO = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Echo(BaseHTTPRequestHandler):
    def do_GET(self):
        body = bytes(self.headers)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
HTTPServer(("", 5000), Echo).serve_forever()
"""


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@contextmanager
def container(image: str, *options: str, port: int, command: tuple[str, ...] = ()) -> Iterator[str]:
    """Run a container until the block ends, and yield the address of its published port once it listens."""
    name = docker("run", "--detach", "--rm", f"--publish=127.0.0.1::{port}", *options, image, *command)
    try:
        address = docker("port", name, str(port))
        wait_until(lambda: answers(address), 30)
        yield address
    finally:
        docker("rm", "--force", name)


def answers(address: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"http://{address}/", headers={"Host": "localhost"}).status_code > 0
    return False


@pytest.fixture(scope="module")
def echo() -> Iterator[str]:
    """Return the host name of a server that answers with the request's headers."""
    project = os.environ["COMPOSE_PROJECT_NAME"]
    options = (f"--network={project}_proxy", "--network-alias=echo")
    with container(project, *options, port=5000, command=("python", "-c", ECHO)):
        yield "echo"


def proxy(**environment: str) -> Iterator[httpx.Client]:
    """Start the proxy with these settings, and yield a client for its plain HTTP port."""
    up = ["docker", "compose", "--progress", "quiet", "up", "--detach", "--wait", "--no-deps", "proxy"]
    where = ["docker", "compose", "port", "proxy", "80"]
    subprocess.run(up, cwd=REPOSITORY, env=os.environ | environment, check=True)
    address = subprocess.run(where, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.strip()
    with httpx.Client(base_url=f"http://{address}", headers={"Host": "localhost"}) as client:
        yield client


def test_a_redirect_keeps_a_port_other_than_443() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    for client in proxy(HTTPS_PORT=str(port)):
        redirect = client.get("/docs?x=1", headers={"Accept": "text/html"})

    assert redirect.headers["Location"] == f"https://localhost:{port}/docs?x=1"


@pytest.fixture(scope="module")
def behind_another() -> Iterator[httpx.Client]:
    """Trust the network between proxy and API, from which this machine's requests come."""
    yield from proxy(SITE_TLS="off", TRUSTED_PROXIES=f"192.0.2.1,{os.environ['PROXY_SUBNET']}")


def test_forwarded_headers_of_a_trusted_proxy_are_accepted(behind_another: httpx.Client) -> None:
    forwarded = {"X-Forwarded-For": "198.51.100.7, 203.0.113.9", "X-Forwarded-Proto": "https"}
    dora = {"username": "dora", "password": PASSWORD}

    assert behind_another.post("/auth/register", json=dora, headers=forwarded).status_code == 201
    login = behind_another.post("/auth/login", json=dora, headers=forwarded)
    bearer = {"Authorization": f"Bearer {login.json()['access_token']}"}
    listed = behind_another.get("/auth/token", headers=bearer).json()

    assert "Strict-Transport-Security" in login.headers
    assert {item["ip"] for item in listed["items"]} == {"203.0.113.9"}


@pytest.mark.parametrize(("trusted", "kept"), [("", False), ("192.0.2.0/24", False), ("0.0.0.0/0", True)])
def test_only_a_trusted_proxy_sets_the_prefix(echo: str, trusted: str, kept: bool) -> None:
    network = f"{os.environ['COMPOSE_PROJECT_NAME']}_proxy"
    settings = ("--env=SITE_NAME=localhost", "--env=SITE_TLS=off", f"--env=TRUSTED_PROXIES={trusted}")
    image = f"{os.environ['COMPOSE_PROJECT_NAME']}-proxy"
    with container(
        image, f"--network={network}", *settings, f"--env=UPSTREAM={echo}:5000", port=80
    ) as address:
        received = httpx.get(
            f"http://{address}/", headers={"Host": "localhost", "X-Forwarded-Prefix": "/api"}
        )

    assert ("X-Forwarded-Prefix: /api" in received.text) is kept


def test_without_forwarded_headers_the_scheme_is_http(behind_another: httpx.Client) -> None:
    answer = behind_another.get("/")

    assert answer.status_code == 200
    assert "Strict-Transport-Security" not in answer.headers


@pytest.mark.parametrize(
    ("name", "value"),
    [("SITE_NAME", ""), ("SITE_NAME", "https://localhost"), ("SITE_TLS", "publik")],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    started = subprocess.run(
        ["docker", "compose", "run", "--rm", "--no-deps", "-T", "proxy"],
        cwd=REPOSITORY,
        env=os.environ | {name: value},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert started.returncode != 0
    assert name in started.stderr
    assert ".env.example" in started.stderr


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_without_an_api_there_is_a_problem(behind_another: httpx.Client, method: str) -> None:
    subprocess.run(["docker", "compose", "--progress", "quiet", "stop", "api"], cwd=REPOSITORY, check=True)

    answer = behind_another.request(method, "/auth/login", json={}, timeout=30)

    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert "Nothing was done" in answer.json()["detail"]
    assert answer.headers["Retry-After"] == "1"
