"""Streamed responses: complete or visibly cut off, logged correctly, with all resources released."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import URL

from tests.support import plain_http
from tests.support.resource_usage import needs_proc, peak_kilobytes
from tests.support.servers import GUNICORN, Process
from tests.support.waiting import wait_until

pytestmark = pytest.mark.long
COMMANDS = {
    "waitress": ("flask", "--app", "tests.support.streaming_app", "serve"),
    "gunicorn": (*GUNICORN, "tests.support.streaming_app:create_app()"),
}
NUMBERS = "/numbers/<int:last>/<int:broken>"


class Server(Process):
    def lines(self) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in self.output.read_text().splitlines()]
        return [line for line in lines if line.get("route", "").startswith(("/numbers", "/without"))]

    def line(self) -> dict[str, Any]:
        """Return the log line of the only request."""
        [line] = self.lines_of(1)
        return line

    def lines_of(self, requests: int) -> list[dict[str, Any]]:
        """Return the log lines of the requests, which are written after the client got the whole body."""
        wait_until(lambda: len(self.lines()) >= requests, 20)
        return self.lines()

    def connections(self) -> dict[str, int]:
        return dict(plain_http.get(f"{self.url}/connections").json())


@pytest.fixture(params=COMMANDS)
def server(request: pytest.FixtureRequest, database_url: URL, tmp_path: Path) -> Iterator[Server]:
    settings = {"LOG_FORMAT": "json", "SLOW_REQUEST_MS": "0"}
    process = Server(database_url, tmp_path / "output", COMMANDS[request.param], **settings)
    yield process
    process.kill()


def test_a_stream_arrives_complete_and_is_logged_at_its_end(server: Server) -> None:
    response = plain_http.get(f"{server.url}/numbers/5000", headers={"X-Request-ID": "one"})

    assert response.status_code == 200
    assert [int(line.split()[0]) for line in response.text.splitlines()] == list(range(1, 5001))
    line = server.line()
    assert (line["level"], line["message"]) == ("INFO", "GET /numbers/<int:last> 200")
    assert (line["request_id"], line["client"], line["sql_statements"]) == ("one", "127.0.0.1", 1)
    assert "broken_off" not in line
    assert server.connections() == {"in_use": 0, "open_transactions": 0}


@pytest.mark.any_database
def test_a_stream_without_a_database_is_sent(server: Server) -> None:
    assert plain_http.get(f"{server.url}/without-database/3").text == "1\n2\n3\n"
    assert plain_http.get(f"{server.url}/without-database/0").text == ""
    assert [line["status"] for line in server.lines_of(2)] == [200, 200]


@pytest.mark.any_database
def test_a_head_request_generates_no_body(server: Server) -> None:
    response = httpx.head(f"{server.url}/numbers/5000")

    assert (response.status_code, response.content) == (200, b"")
    assert server.line()["sql_statements"] == 0


def test_an_error_before_the_first_chunk_is_a_problem(server: Server) -> None:
    missing = plain_http.get(f"{server.url}/numbers/0")
    failed = plain_http.get(f"{server.url}/numbers/10/1")

    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert (failed.status_code, failed.json()["code"]) == (500, "internal_error")
    assert [line["status"] for line in server.lines_of(2)] == [404, 500]
    assert server.connections() == {"in_use": 0, "open_transactions": 0}


def test_a_failing_stream_is_cut_off_and_logged_as_an_error(server: Server) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        plain_http.get(f"{server.url}/numbers/9000/5000", headers={"X-Request-ID": "one"})

    line = server.line()
    assert (line["level"], line["message"]) == ("ERROR", f"GET {NUMBERS} 200")
    assert (line["request_id"], line["route"]) == ("one", NUMBERS)
    assert line["broken_off"] == "by an error"
    assert "a bug in the middle" in line["exception"]
    assert server.connections() == {"in_use": 0, "open_transactions": 0}
    assert "/numbers/9000" not in server.output.read_text()  # the log has the route, not the path


def read_to_the_end(connection: socket.socket) -> None:
    while connection.recv(65_536):
        pass


def test_a_failing_stream_without_chunks_resets_the_connection(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(b"GET /numbers/9000/5000 HTTP/1.0\r\nHost: a\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            read_to_the_end(connection)


def test_a_client_that_disconnects_from_a_stream_releases_its_resources(server: Server) -> None:
    with httpx.stream("GET", f"{server.url}/numbers/3000000") as response:
        next(response.iter_bytes())

    line = server.line()
    assert (line["level"], line["status"], line["broken_off"]) == ("INFO", 200, "by the client")
    assert server.connections() == {"in_use": 0, "open_transactions": 0}


@needs_proc
@pytest.mark.parametrize("server", ["waitress"], indirect=True)
def test_a_stream_is_not_buffered_in_memory(server: Server) -> None:
    plain_http.get(f"{server.url}/numbers/5000")
    before = peak_kilobytes(server)
    size = 0
    with httpx.stream("GET", f"{server.url}/numbers/600000", timeout=60) as response:
        for part in response.iter_bytes():
            size += len(part)

    assert size > 20_000_000
    assert peak_kilobytes(server) - before < 40_000  # KiB. All rows together have more than 80,000
