"""Clients that request and don't read, or that keep a connection without using it."""

import re
import runpy
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from flask import Flask
from sqlalchemy import URL

from app import create_app
from kit.serving import servers
from kit.serving import waitress_server as server
from tests.support import plain_http
from tests.support.paths import API
from tests.support.resource_usage import needs_proc, resident_kilobytes, temporary_files
from tests.support.servers import HEAD, Live, Process, allow_many_files, send_raw
from tests.support.settings import NEVER_OPENED, SECRET_KEY, settings_for
from tests.support.streaming_app import stream_without_database
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.any_database, pytest.mark.long]
REQUEST = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n"
LARGEST = REQUEST % b"/docs/swagger-ui-bundle.js"
STREAMING = ("flask", "--app", "tests.support.streaming_app", "serve")
RECEIVE_BUFFER = 4096
DISCONNECTED = "its client doesn't read the response"


@contextmanager
def clients(port: int | str, number: int, request: bytes) -> Iterator[list[socket.socket]]:
    """Open connections, and send a request on each without reading the response."""
    allow_many_files()
    with ExitStack() as stack:
        opened = []
        for _ in range(number):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)  # before it connects
            client.settimeout(60)
            client.connect(("127.0.0.1", int(port)))
            client.sendall(request)
            opened.append(client)
        yield opened


def assert_served(process: Process) -> None:
    """Make requests. Before the server had its limits, they would time out."""
    for _ in range(50):
        assert plain_http.get(f"{process.url}/health/live", timeout=20).status_code == 200


def is_reset(client: socket.socket) -> bool:
    client.settimeout(0.5)
    try:
        while client.recv(65_536):
            pass
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True
    return False


@pytest.mark.parametrize("path", [b"/docs/swagger-ui.css", b"/openapi.json", b"/problems"])
def test_pipelined_requests_of_clients_that_do_not_read_delay_nobody(
    start: Callable[..., Process], path: bytes
) -> None:
    process = start()

    with clients(process.port, 8, REQUEST % path * 178):
        assert_served(process)


@needs_proc
def test_clients_that_do_not_read_the_largest_response_cost_little(start: Callable[..., Process]) -> None:
    process = start()
    plain_http.get(f"{process.url}/docs/swagger-ui-bundle.js")  # loads the file
    before = resident_kilobytes(process)

    with clients(process.port, 300, LARGEST):
        assert_served(process)
        grown, files = resident_kilobytes(process) - before, temporary_files(process)

    assert grown < 80_000  # KiB, where all responses have 500,000
    assert files == []


@pytest.fixture
def running(committed_app: Flask) -> Iterator[server.Server]:
    with serve(committed_app) as running:
        yield running


@contextmanager
def serve(app: Flask) -> Iterator[server.Server]:
    """Run a server in a thread."""
    app.extensions["stopping"].clear()
    settings = app.extensions["settings"].model_copy(update={"port": 0})
    running = server.create_server(app, settings, servers.listen(settings.host, settings.port))
    thread = threading.Thread(target=running.run)
    thread.start()
    yield running
    running.stop()
    thread.join(timeout=60)
    app.extensions["stopping"].clear()
    assert not thread.is_alive()


def connection_when(running: server.Server, condition: Callable[[server.Channel], object]) -> server.Channel:
    """Return the server's side of the only connection, once the condition is true and no thread is busy."""
    wait_until(lambda: [bool(condition(each)) for each in running.active_channels.values()] == [True], 20)
    wait_until(lambda: running.task_dispatcher.active_count == 0, 20)
    [channel] = running.active_channels.values()
    assert isinstance(channel, server.Channel)
    return channel


def test_the_client_that_has_not_read_for_longest_is_disconnected_first(
    running: server.Server, caplog: pytest.LogCaptureFixture
) -> None:
    running.max_unsent_bytes = 4_000_000  # two responses

    with clients(running.effective_port, 1, LARGEST) as [oldest]:
        connection_when(running, lambda channel: channel.total_outbufs_len)
        with clients(running.effective_port, 2, LARGEST) as newer:
            wait_until(lambda: caplog.text.count(DISCONNECTED), 20)  # to read would be progress

            assert [is_reset(client) for client in (oldest, *newer)] == [True, False, False]

    assert caplog.text.count(DISCONNECTED) == 1


def test_a_client_that_reads_gets_all_of_a_response_beside_clients_that_do_not(
    running: server.Server,
) -> None:
    running.max_unsent_bytes = 2_000_000  # one response
    url = f"http://127.0.0.1:{running.effective_port}/docs/swagger-ui-bundle.js"

    with clients(running.effective_port, 1, LARGEST) as [stalled]:
        connection_when(running, lambda channel: channel.total_outbufs_len)
        response = plain_http.get(url, headers={"Accept-Encoding": ""})

        assert is_reset(stalled)
    assert len(response.content) == int(response.headers["Content-Length"]) > 1_500_000


def test_streams_to_clients_that_do_not_read_leave_threads_for_others(start: Callable[..., Process]) -> None:
    process = start(STREAMING)  # with four threads, three of which may wait

    with clients(process.port, 12, REQUEST % b"/numbers/600000"):
        assert_served(process)
        wait_until(lambda: process.output.read_text().count(DISCONNECTED) == 9, 60)


def test_a_client_that_reads_a_stream_slowly_gets_all_of_it(start: Callable[..., Process]) -> None:
    process = start(STREAMING)

    with clients(process.port, 1, REQUEST % b"/numbers/100000") as [client]:
        size = 0
        while part := client.recv(65_536):
            size += len(part)

    assert size > 3_000_000  # more than a stream may have unsent


def test_pipelined_requests_are_answered_in_order(live: Live) -> None:
    paths = [b"/health/live", b"/docs/swagger-ui.css", b"/", b"/nowhere"] * 40

    answers = send_raw(live[0], b"".join(REQUEST % path for path in paths))

    statuses = re.findall(rb"HTTP/1\.1 (\d+) ", answers)
    assert statuses == [b"200", b"200", b"200", b"404"] * 40


def is_open_after(running: server.Server, seconds: float) -> bool:
    """Return whether the server would still have its only connection after this time."""
    running.maintenance(time.time() + seconds)
    return len(running.active_channels) == 1


def test_an_idle_connection_is_kept_for_more_than_ninety_seconds(running: server.Server) -> None:
    with plain_http.Client(base_url=f"http://127.0.0.1:{running.effective_port}") as client:
        client.get("/health/live")
        connection_when(running, lambda channel: not (channel.requests or channel.total_outbufs_len))

        assert is_open_after(running, 95)
        assert not is_open_after(running, 110)


@pytest.mark.parametrize("sent", [b"GET / HTT", HEAD % 60_000 + b" " * 9], ids=["half a head", "half a body"])
def test_a_request_that_arrives_byte_by_byte_is_given_up(running: server.Server, sent: bytes) -> None:
    with socket.create_connection(("127.0.0.1", int(running.effective_port))) as client:
        client.sendall(sent)
        connection = connection_when(running, lambda channel: channel.request)

        assert is_open_after(running, 55)
        connection.last_activity = time.time() + 60  # as if the client had sent another byte then
        assert not is_open_after(running, 65)


def test_a_body_that_arrives_steadily_may_take_longer(running: server.Server) -> None:
    with socket.create_connection(("127.0.0.1", int(running.effective_port))) as client:
        client.sendall(HEAD % 60_000 + b" " * 50_000)
        connection_when(
            running, lambda channel: channel.request and channel.request.body_bytes_received == 50_000
        )

        assert is_open_after(running, 105)
        assert not is_open_after(running, 115)


def test_a_refused_client_may_send_the_rest_for_half_a_minute(running: server.Server) -> None:
    with socket.create_connection(("127.0.0.1", int(running.effective_port)), timeout=20) as client:
        client.sendall(HEAD % 1_000_000)
        connection = connection_when(running, lambda channel: channel.lingers)

        assert is_open_after(running, 4)
        connection.last_activity = time.time() + 27  # as if the client had sent another part then
        assert is_open_after(running, 28)
        assert not is_open_after(running, 31)
        assert client.recv(12) == b"HTTP/1.1 413"


def test_a_refused_client_that_sends_nothing_more_is_disconnected(running: server.Server) -> None:
    with socket.create_connection(("127.0.0.1", int(running.effective_port))) as client:
        client.sendall(HEAD % 1_000_000)
        connection_when(running, lambda channel: channel.lingers)

        assert not is_open_after(running, 6)


def test_a_client_that_stops_reading_is_disconnected(running: server.Server) -> None:
    with clients(running.effective_port, 1, LARGEST) as [client]:
        connection_when(running, lambda channel: channel.total_outbufs_len)

        assert is_open_after(running, 55)
        assert not is_open_after(running, 65)
        assert is_reset(client)


def test_a_client_that_reads_a_stream_byte_by_byte_is_disconnected(database_url: URL) -> None:
    app = create_app(settings_for(database_url))
    app.add_url_rule("/<int:last>", view_func=stream_without_database)

    with serve(app) as running, clients(running.effective_port, 1, REQUEST % b"/9000000") as [client]:
        wait_until(lambda: [each.waits for each in running.active_channels.values()] == [True], 20)
        [connection] = running.active_channels.values()

        connection.last_activity = time.time() + 60  # as if the client had read another byte then
        assert is_open_after(running, 55)
        assert not is_open_after(running, 65)
        assert is_reset(client)


def test_the_kernel_takes_little_of_a_response_that_is_not_read(running: server.Server) -> None:
    with clients(running.effective_port, 1, LARGEST):
        connection = connection_when(running, lambda channel: channel.total_outbufs_len)

        assert connection.total_outbufs_len > 1_400_000


def test_requests_that_wait_for_a_slow_client_are_not_parsed(running: server.Server) -> None:
    with clients(running.effective_port, 1, REQUEST % b"/docs/swagger-ui.css" * 150):
        connection = connection_when(running, lambda channel: channel.total_outbufs_len)

        assert len(connection.requests) <= 1
        assert len(connection.unread) > 5_000


def test_gunicorn_keeps_an_idle_connection_for_more_than_ninety_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", NEVER_OPENED)
    monkeypatch.setenv("SECRET_KEY", SECRET_KEY)

    configuration = runpy.run_path(str(API / "gunicorn.conf.py"))

    assert configuration["keepalive"] > 90
