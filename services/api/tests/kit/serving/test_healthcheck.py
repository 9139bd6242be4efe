"""The command of the container's health check."""

import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.support.paths import API

SCRIPT = API / "kit" / "serving" / "healthcheck.py"


class Api(HTTPServer):
    """Return a configurable status, and record the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses = {"/health/ready": 200, "/health/live": 200}
        self.asked: list[tuple[str, str]] = []


class Handler(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Host"]))
        self.send_response(self.server.statuses[self.path])
        self.end_headers()
        self.wfile.write(b"the reason")

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as server:
        Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server
        server.shutdown()


def check(port: int, folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """Run it as in the container, with `folder` as /tmp."""
    done = subprocess.run(
        [sys.executable, "-I", SCRIPT, *arguments],
        env={"PATH": os.environ["PATH"], "PORT": str(port), "TMPDIR": str(folder), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_it_passes_while_the_api_is_ready(api: Api, tmp_path: Path) -> None:
    assert check(api.server_port, tmp_path) == (0, "")

    api.statuses["/health/ready"] = 503
    assert check(api.server_port, tmp_path) == (1, "/health/ready answered 503: the reason\n")


def test_once_ready_only_liveness_is_checked(api: Api, tmp_path: Path) -> None:
    api.statuses["/health/ready"] = 503
    assert check(api.server_port, tmp_path, "--then-live")[0] == 1
    api.statuses["/health/ready"] = 200
    assert check(api.server_port, tmp_path, "--then-live")[0] == 0

    api.statuses["/health/ready"] = 503
    assert check(api.server_port, tmp_path, "--then-live") == (0, "")
    api.statuses["/health/live"] = 500
    assert check(api.server_port, tmp_path, "--then-live")[0] == 1
    assert [path for path, _ in api.asked] == 2 * ["/health/ready"] + 2 * ["/health/live"]


def test_it_fails_with_one_line_if_no_server_listens(api: Api, tmp_path: Path) -> None:
    api.server_close()

    status, output = check(api.server_port, tmp_path)

    assert (status, output.count("\n")) == (1, 1)
    assert "/health/ready: ConnectionRefusedError" in output
