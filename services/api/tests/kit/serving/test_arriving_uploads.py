"""Uploads on both servers: the checks before the body arrives, and the cost of slow clients."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import httpx
import pytest
from flask import Flask
from sqlalchemy import update

from app.database import db
from app.model.models import User
from kit.security.hashers import PasswordHash
from tests.support import plain_http
from tests.support.people import People
from tests.support.resource_usage import needs_proc, peak_kilobytes, temporary_files
from tests.support.servers import GUNICORN, Process
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.any_database, pytest.mark.long]
COMMANDS = {
    "waitress": ("flask", "--app", "tests.support.uploads_app", "serve"),
    "gunicorn": (*GUNICORN, "tests.support.uploads_app:create_app()"),
}
SETTINGS = {"MAX_UPLOAD_BYTES": "300000000", "THREADS": "8"}
SLOTS = 2  # a quarter of the threads
PNG = bytes(range(256)) * 400


@pytest.fixture(scope="module", params=COMMANDS)
def server(
    request: pytest.FixtureRequest, migrated_app: Flask, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp(request.param)
    url = migrated_app.extensions["settings"].database_url
    storage = {"STORAGE_URL": f"file:{folder}/files"}
    process = Process(url, folder / "output", COMMANDS[request.param], **SETTINGS, **storage)
    yield process
    process.kill()


@pytest.fixture
def people(committed_app: Flask, password_hash: PasswordHash) -> People:
    return People(committed_app, password_hash)


def head(access: str = "", length: int = len(PNG), path: str = "/pictures", more: str = "") -> bytes:
    token = f"Authorization: Bearer {access}\r\n" if access else ""
    media_type = "application/octet-stream" if path.endswith("large") else "image/png"
    return (
        f"POST {path} HTTP/1.1\r\nHost: a\r\n{token}{more}"
        f"Content-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def connect(server: Process) -> closing[socket.socket]:
    return closing(socket.create_connection(("127.0.0.1", server.port), timeout=30))


def answer(client: socket.socket) -> bytes:
    """Return a response with a short body, which arrives at once."""
    received = b""
    while b"\r\n\r\n" not in received or not received.rstrip().endswith(b"}"):
        part = client.recv(65_536)
        if not part:
            break
        received += part
    return received


def test_an_unknown_caller_is_refused_before_the_body_arrives(server: Process) -> None:
    with connect(server) as client:
        client.sendall(head(length=3_000_000))

        assert answer(client).startswith(b"HTTP/1.1 401")


def test_a_long_body_is_refused_before_it_arrives(server: Process, people: People) -> None:
    with connect(server) as client:
        client.sendall(head(people("ann").access, 2**40))

        assert b"at most 4000000 bytes" in answer(client)


def test_a_client_that_still_sends_gets_the_refusal(server: Process) -> None:
    for _ in range(100):  # the server closed one in twenty of these connections too early
        with connect(server) as client:
            client.sendall(head(length=3_000_000))
            client.sendall(bytes(3_000_000))

            assert answer(client).startswith(b"HTTP/1.1 401")


@pytest.mark.parametrize("server", ["waitress"], indirect=True)  # gunicorn sends it in any case
def test_continue_is_sent_when_the_body_is_wanted(server: Process, people: People) -> None:
    expects = "Expect: 100-continue\r\n"
    with connect(server) as client:
        client.sendall(head(more=expects))
        assert answer(client).startswith(b"HTTP/1.1 401")
    with connect(server) as client:
        client.sendall(head(people("ann").access, more=expects))
        assert client.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(PNG)
        assert answer(client).startswith(b"HTTP/1.1 200")


def test_a_connection_is_used_again_after_an_upload(server: Process, people: People) -> None:
    access = people("ann").access
    with connect(server) as client:
        for _ in range(2):
            client.sendall(head(access) + PNG)
            assert answer(client).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("server", ["waitress"], indirect=True)
def test_a_request_that_follows_an_upload_at_once_is_answered(server: Process, people: People) -> None:
    access = people("ann").access
    with connect(server) as client:
        client.sendall(
            head(access) + PNG + b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        received = b"".join(iter(lambda: client.recv(65_536), b""))

    assert received.count(b"HTTP/1.1 200 ") == 2


def test_a_chunked_body_is_received(server: Process, people: People) -> None:
    start = head(people("ann").access).replace(b"Content-Length: 102400", b"Transfer-Encoding: chunked")
    with connect(server) as client:
        client.sendall(start + b"19000\r\n" + PNG + b"\r\n0\r\n\r\n")
        assert b'"size":102400' in answer(client)
    with connect(server) as client:
        client.sendall(start + b"19000\r\n" + PNG + b"\r\nno size\r\n")
        received = answer(client)
        assert received.startswith(b"HTTP/1.1 400")
        assert client.recv(100) == b"" or b"keep-alive" not in received


@pytest.mark.parametrize(("disabled", "status"), [(False, 200), (True, 401)], ids=["active", "disabled"])
def test_the_caller_is_checked_again_when_the_file_is_complete(
    server: Process, people: People, committed_app: Flask, disabled: bool, status: int
) -> None:
    access = people("ann").access
    with connect(server) as client:
        client.sendall(head(access) + PNG[:-1])
        time.sleep(0.5)  # for the server to check the headers. If it's slower, the test proves less
        with committed_app.app_context():
            db.session.execute(update(User).values(disabled=disabled))
            db.session.commit()
        client.sendall(PNG[-1:])

        assert answer(client).startswith(b"HTTP/1.1 %d" % status)


def test_slow_uploads_leave_threads_and_connections_for_others(server: Process, people: People) -> None:
    access = people("ann").access
    headers = {"Authorization": f"Bearer {access}", "Content-Type": "image/png"}

    def is_full() -> bool:
        return plain_http.post(f"{server.url}/pictures", content=PNG, headers=headers).status_code == 503

    def connections_in_use() -> int:
        return int(plain_http.get(f"{server.url}/pictures/state").json()["in_use"])

    with ExitStack() as stack:
        for _ in range(SLOTS + 2):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
            client.sendall(head(access) + PNG[:-1])
        wait_until(is_full, 20)
        assert plain_http.get(f"{server.url}/account", headers=headers).status_code == 200
        wait_until(lambda: connections_in_use() == 0, 20)  # the last clients may just be authenticated
    wait_until(lambda: not is_full(), 20)  # the lost clients' uploads have ended


@needs_proc
@pytest.mark.parametrize("server", ["waitress"], indirect=True)
def test_a_large_upload_needs_little_memory_and_leaves_no_file(server: Process) -> None:
    headers = {"Content-Type": "application/octet-stream"}
    url = f"{server.url}/pictures/large"
    plain_http.post(url, content=PNG, headers=headers)
    before = peak_kilobytes(server)

    with connect(server) as client:
        client.sendall(head(length=100_000_000, path="/pictures/large"))
        for _ in range(100):
            client.sendall(bytes(1_000_000))
        assert b'"size":100000000' in answer(client)
    assert peak_kilobytes(server) - before < 20_000  # KiB

    with connect(server) as client:
        client.sendall(head(length=100_000_000, path="/pictures/large") + bytes(1_000_000))
    wait_until(lambda: temporary_files(server) == [], 20)
    assert httpx.codes.is_success(plain_http.post(url, content=PNG, headers=headers).status_code)
