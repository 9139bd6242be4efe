"""Run a server in its own process, and send it raw requests."""

import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import randrange

import httpx
from sqlalchemy import URL

from tests.support import plain_http
from tests.support.people import People
from tests.support.processes import begin
from tests.support.settings import SECRET_KEY
from tests.support.waiting import wait_until

Live = tuple[str, People]  # what the fixture `live` returns
FLASK_SERVE = ("flask", "--app", "app", "serve")
ALONE = (sys.executable, "-m", *FLASK_SERVE)  # without forking from the preloaded process
GUNICORN = (sys.executable, "-m", "gunicorn")
BY = {"waitress": {}, "gunicorn": {"SERVER": "gunicorn", "WEB_CONCURRENCY": "2"}}
# The head of a request to register. The body follows.
HEAD = (
    b"POST /auth/register HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)


def send_raw(url: str, raw: bytes) -> bytes:
    """Send bytes as they are and return all that the server sends until it closes the connection."""
    address = httpx.URL(url)
    with socket.create_connection((address.host, address.port or 80), timeout=60) as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    return answer


def exchange(url: str, raw: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes as they are and return status, headers and body of the first response."""
    head, _, body = send_raw(url, raw).partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.title(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(first.split()[1]), headers, body


def allow_many_files() -> None:
    """Let this process open as many files as it may, for its connections."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))


def free_port() -> int:
    """Return a free port below the range that the kernel assigns to clients."""
    while True:
        port = randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class Process:
    """`flask serve` or another server in its own process."""

    def __init__(
        self,
        database: URL,
        output: Path,
        command: Sequence[str] = FLASK_SERVE,
        /,
        **settings: str,
    ) -> None:
        self.port = free_port()
        environment = {
            "DATABASE_URL": database.render_as_string(hide_password=False),
            "SECRET_KEY": SECRET_KEY,
            "PORT": str(self.port),
            "THREADS": "4",
            "REGISTER_LIMIT": "off",
        }
        self.output = output
        self.process = begin(command, output, environment | settings)
        self.url = f"http://127.0.0.1:{self.port}"
        try:
            wait_until(self.answers, 60)
        except TimeoutError:
            self.kill()
            raise AssertionError(output.read_text()) from None

    def answers(self) -> bool:
        try:
            # Short: a connection accepted by the kernel for a stopping server would wait until it ends.
            return plain_http.get(f"{self.url}/health/live", timeout=2).is_success
        except httpx.TransportError:
            return False

    def stop(self, *signals: int) -> tuple[int, str]:
        for number in signals or (signal.SIGTERM,):
            with suppress(ProcessLookupError):  # it has ended
                os.kill(self.id, number)
            time.sleep(0.01)
        return self.wait(), self.output.read_text()

    @property
    def id(self) -> int:
        assert self.process.pid
        return self.process.pid

    def wait(self) -> int:
        """Wait until the process ends. Return its exit code."""
        self.process.join(timeout=60)
        assert self.process.exitcode is not None
        return self.process.exitcode

    def kill(self) -> None:
        if self.process.is_alive():
            os.killpg(self.id, signal.SIGKILL)
        self.wait()
