"""Clients that send requests and don't read the responses: the others are served, and nothing restarts."""

import json
import os
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import httpx
import pytest

from proof.production.conftest import REPOSITORY, SITE

CLIENTS = 300
PIPELINED = 178
STREAMS = 250  # of an HTTP/2 connection: Caddy's limit
LARGEST = "/docs/swagger-ui-bundle.js"


def http1(path: str, count: int) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() * count


def http2(path: str, count: int) -> bytes:
    # HPACK: the first two numbers mean GET and https, 4 and 1 the names :path and :authority.
    names = ((4, path.encode()), (1, b"localhost"))
    headers = b"\x82\x87" + b"".join(bytes([name, len(value)]) + value for name, value in names)
    settings, end_of_headers_and_stream = frame(4, 0, 0, b""), 5
    streams = (frame(1, end_of_headers_and_stream, 1 + 2 * number, headers) for number in range(count))
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + b"".join(streams)


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def run(*command: str) -> str:
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout


def containers(*services: str) -> list[str]:
    return run("docker", "compose", "ps", "--quiet", *services).split()


def inspect(template: str, *services: str) -> list[str]:
    return run("docker", "inspect", "--format", template, *containers(*services)).splitlines()


@contextmanager
def not_reading(clients: int, protocol: str, requests: bytes) -> Iterator[list[ssl.SSLSocket]]:
    """Send the requests from each client, and yield their connections.

    They connect to the proxy's own address, because Docker's port forwarding would read the responses.
    """
    [networks] = inspect("{{json .NetworkSettings.Networks}}", "proxy")
    address = next(iter(json.loads(networks).values()))["IPAddress"]
    context = ssl.create_default_context(cafile=os.environ["AUTHORITY"])
    context.set_alpn_protocols([protocol])
    wires = []
    with ExitStack() as connections:
        for _ in range(clients):
            plain = connections.enter_context(socket.socket())
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            plain.settimeout(30)
            plain.connect((address, 443))
            wire = connections.enter_context(context.wrap_socket(plain, server_hostname="localhost"))
            assert wire.selected_alpn_protocol() == protocol
            wire.sendall(requests)
            wires.append(wire)
        yield wires


@pytest.mark.parametrize(
    ("clients", "protocol", "requests"),
    [
        (CLIENTS, "http/1.1", http1(LARGEST, 1)),
        (8, "http/1.1", http1("/docs/swagger-ui.css", PIPELINED)),
        (8, "http/1.1", http1("/openapi.json", PIPELINED)),
        (8, "http/1.1", http1(LARGEST, PIPELINED)),
        (2, "h2", http2(LARGEST, STREAMS)),
    ],
    ids=["connections", "pipelined css", "pipelined json", "pipelined script", "streams"],
)
def test_clients_that_do_not_read_delay_nobody(
    authority: ssl.SSLContext, bearer: dict[str, str], clients: int, protocol: str, requests: bytes
) -> None:
    with not_reading(clients, protocol, requests):
        statuses = [
            httpx.get(f"{SITE}{path}", verify=authority, headers=bearer, timeout=30).status_code
            for path in ("/health/live", "/health/ready", "/account", "/auth/token") * 10
        ]
        used = [run("docker", "exec", api, "df", "--output=used", "/tmp") for api in containers("api")]

    assert set(statuses) == {200}
    assert inspect("{{.RestartCount}} {{.State.OOMKilled}}") == ["0 false"] * len(containers())
    assert {output.split()[1] for output in used} == {"0"}  # no temporary files


def test_a_client_that_does_not_read_is_disconnected(http: httpx.Client) -> None:
    size = len(http.get(LARGEST, headers={"Accept-Encoding": "identity"}).content)

    with not_reading(1, "http/1.1", http1(LARGEST, 1)) as [wire]:
        time.sleep(20)
        received = 0
        with suppress(ConnectionResetError, ssl.SSLEOFError):
            while data := wire.recv(65_536):
                received += len(data)

    assert 0 < received < size
