"""The gunicorn worker: how it handles signals and sends responses."""

import runpy
import signal
import socket
from contextlib import suppress
from threading import Event
from types import SimpleNamespace

import pytest
from flask import Flask
from gunicorn.config import Config
from gunicorn.http import wsgi

from kit.serving import lifecycle
from kit.serving.gunicorn_worker import Response, Worker
from tests.support.paths import API
from tests.support.settings import NEVER_OPENED, SECRET_KEY


def test_a_signal_during_a_signal_handler_does_not_block() -> None:
    class Interrupted(Event):
        times = 0

        def set(self) -> None:
            self.times += 1
            assert self.times == 1, "the lock is held, by who was interrupted: this would wait for ever"
            worker.handle_exit(signal.SIGTERM, None)
            super().set()

    app = Flask("stopping")
    app.extensions["stopping"] = Interrupted()
    worker = Worker.__new__(Worker)
    worker.alive, worker.app = True, SimpleNamespace(wsgi=lambda: app)
    worker.method_queue = SimpleNamespace(defer=lambda _: None)

    worker.handle_exit(signal.SIGTERM, None)

    assert lifecycle.stopping(app).is_set()
    assert not worker.alive


def sent(method: str, headers: list[tuple[str, str]], parts: list[bytes]) -> list[bytes]:
    """Return what a response sends, each system call apart, as the part that follows its head."""
    ours, client = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)  # keeps them apart
    with client:
        with ours:
            request = SimpleNamespace(version=(1, 1), method=method, should_close=lambda: False)
            response = Response(request, ours, Config())
            response.start_response("200 OK", headers)
            for part in parts:
                response.write(part)
            response.close()
        client.setblocking(False)
        first, *others = read_all(client)
    head, _, rest = first.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert head.endswith("".join(f"\r\n{name}: {value}" for name, value in headers).encode())
    return [rest, *others]


def read_all(client: socket.socket) -> list[bytes]:
    packets = []
    with suppress(BlockingIOError):
        while True:
            packets.append(client.recv(65_536))
    return packets


LENGTH = [("Content-Length", "4")]


@pytest.mark.parametrize(
    ("method", "headers", "parts", "expected"),
    [
        pytest.param("GET", LENGTH, [b"body"], [b"body"], id="a complete body"),
        pytest.param("GET", LENGTH, [b"bo", b"dy"], [b"", b"bo", b"dy"], id="a body in parts"),
        pytest.param("GET", LENGTH, [b"body", b"more"], [b"body"], id="more than announced"),
        pytest.param("GET", LENGTH, [b"a body"], [b"", b"a bo"], id="a part that is too long"),
        pytest.param("HEAD", LENGTH, [b""], [b""], id="HEAD"),
        pytest.param("GET", [("Content-Length", "0")], [b""], [b""], id="an empty body"),
        pytest.param(
            "GET",
            [("Content-Type", "text/plain")],
            [b"body"],
            [b"", b"4\r\nbody\r\n", b"0\r\n\r\n"],
            id="chunks",
        ),
    ],
)
def test_a_complete_response_is_sent_in_one_piece(
    method: str, headers: list[tuple[str, str]], parts: list[bytes], expected: list[bytes]
) -> None:
    assert sent(method, headers, parts) == expected


def test_the_configuration_uses_this_response(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", NEVER_OPENED)
    monkeypatch.setenv("SECRET_KEY", SECRET_KEY)
    monkeypatch.setattr(wsgi, "Response", wsgi.Response)  # restores it after the test

    runpy.run_path(str(API / "gunicorn.conf.py"))

    assert wsgi.Response is Response
