"""Fixtures for the stack of compose.production.yaml, which proof/scripts/deploy-rehearsal starts."""

import os
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

HTTP_PORT = int(os.environ.get("HTTP_ADDRESS", ":0").rpartition(":")[2])
HTTPS_PORT = int(os.environ.get("HTTPS_ADDRESS", ":0").rpartition(":")[2])
SITE = f"https://localhost:{HTTPS_PORT}"
REPOSITORY = Path(__file__).parents[2]
PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="session")
def authority() -> ssl.SSLContext:
    """Return a TLS context that only trusts the proxy's own authority."""
    return ssl.create_default_context(cafile=os.environ["AUTHORITY"])


@pytest.fixture
def http(authority: ssl.SSLContext) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=SITE, verify=authority, timeout=40) as client:
        yield client


@pytest.fixture
def bearer(http: httpx.Client) -> dict[str, str]:
    """Return the Authorization header of a new user."""
    ann = {"username": f"ann-{uuid4().hex[:12]}", "password": PASSWORD}
    assert http.post("/auth/register", json=ann).status_code == 201
    return {"Authorization": f"Bearer {http.post('/auth/login', json=ann).json()['access_token']}"}


class Wire:
    """A TLS connection for requests that no client library sends."""

    def __init__(self, authority: ssl.SSLContext) -> None:
        plain = socket.create_connection(("127.0.0.1", HTTPS_PORT), timeout=10)
        self.socket = authority.wrap_socket(plain, server_hostname="localhost")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self, seconds: float, drip: bytes = b"") -> tuple[bytes, float]:
        """Read until the server closes the connection. Return the data and the seconds until then.

        Send `drip` once a second meanwhile. Raises TimeoutError if the server does not close the connection.
        """
        begin = time.monotonic()
        received = b""
        self.socket.settimeout(1)
        while time.monotonic() < begin + seconds:
            try:
                data = self.socket.recv(65_536)
            except TimeoutError:
                if drip and not received:
                    with suppress(OSError):  # closed: the next recv() returns b""
                        self.socket.sendall(drip)
                continue
            except ConnectionResetError:
                data = b""
            if not data:
                return received, time.monotonic() - begin
            received += data
        raise TimeoutError(received)


def opened(authority: ssl.SSLContext) -> Iterator[Wire]:
    wire = Wire(authority)
    yield wire
    wire.socket.close()


wire = pytest.fixture(opened, name="wire")
another_wire = pytest.fixture(opened, name="another_wire")
