"""Clients that send requests and don't read the responses: the others are served, and nothing restarts."""

import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from proof.production.conftest import REPOSITORY, SITE

CLIENTS = 300
PIPELINED = 178
LARGEST = "/docs/swagger-ui-bundle.js"


def run(*command: str) -> str:
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout


def containers(*services: str) -> list[str]:
    return run("docker", "compose", "ps", "--quiet", *services).split()


def inspect(template: str, *services: str) -> list[str]:
    return run("docker", "inspect", "--format", template, *containers(*services)).splitlines()


@contextmanager
def not_reading(authority: ssl.SSLContext, clients: int, requests: bytes) -> Iterator[None]:
    """Send the requests from each client.

    They connect to the proxy's own address, because Docker's port forwarding would read the responses.
    """
    [networks] = inspect("{{json .NetworkSettings.Networks}}", "proxy")
    address = next(iter(json.loads(networks).values()))["IPAddress"]
    with ExitStack() as connections:
        for _ in range(clients):
            plain = connections.enter_context(socket.socket())
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plain.settimeout(30)
            plain.connect((address, 443))
            wire = connections.enter_context(authority.wrap_socket(plain, server_hostname="localhost"))
            wire.sendall(requests)
        yield


@pytest.mark.parametrize(
    ("clients", "path", "pipelined"),
    [
        (CLIENTS, LARGEST, 1),
        (8, "/docs/swagger-ui.css", PIPELINED),
        (8, "/openapi.json", PIPELINED),
        (8, LARGEST, PIPELINED),
    ],
)
def test_clients_that_do_not_read_delay_nobody(
    authority: ssl.SSLContext, bearer: dict[str, str], clients: int, path: str, pipelined: int
) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

    with not_reading(authority, clients, request * pipelined):
        statuses = [
            httpx.get(f"{SITE}{path}", verify=authority, headers=bearer, timeout=10).status_code
            for path in ("/health/live", "/health/ready", "/account", "/auth/token") * 10
        ]
        used = [run("docker", "exec", api, "df", "--output=used", "/tmp") for api in containers("api")]

    assert set(statuses) == {200}
    assert inspect("{{.RestartCount}} {{.State.OOMKilled}}") == ["0 false"] * len(containers())
    assert {output.split()[1] for output in used} == {"0"}  # no temporary files
