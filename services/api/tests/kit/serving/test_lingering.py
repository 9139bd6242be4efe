"""Connections of gunicorn that are closed while their clients may still be sending."""

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from selectors import DefaultSelector

import pytest

from kit.serving.lingering import Lingering
from tests.support.servers import BY, HEAD, Process

CLOSE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


@pytest.fixture
def connections() -> Iterator[Lingering]:
    with DefaultSelector() as selector:
        yield Lingering(selector, lambda: None)


@pytest.fixture
def client(connections: Lingering) -> Iterator[socket.socket]:
    """A client that has received its response."""
    ours, client = socket.socketpair()
    with ours, client:
        ours.sendall(b"refused")
        connections.begin(ours)
        yield client


def handle_events(connections: Lingering) -> None:
    """Do what gunicorn's loop does with the events of its selector."""
    for key, _ in connections.selector.select(0):
        key.data(key.fileobj)


def is_open(connections: Lingering) -> bool:
    assert len(connections.times) == len(connections.selector.get_map())
    return bool(connections.times)


def test_the_client_receives_the_response_and_its_end(client: socket.socket) -> None:
    assert [client.recv(100), client.recv(100)] == [b"refused", b""]


def test_what_the_client_sends_is_discarded_until_it_closes(
    connections: Lingering, client: socket.socket
) -> None:
    for _ in range(10):
        client.sendall(bytes(100_000))
        handle_events(connections)
        handle_events(connections)
    assert is_open(connections)

    client.close()
    handle_events(connections)

    assert not is_open(connections)


def test_an_idle_client_is_disconnected_after_five_seconds(
    connections: Lingering, client: socket.socket
) -> None:
    connections.end_overdue(time.monotonic() + 4)
    assert is_open(connections)

    connections.end_overdue(time.monotonic() + 6)
    assert not is_open(connections)


def test_a_client_may_send_for_thirty_seconds(connections: Lingering, client: socket.socket) -> None:
    [(connection, (began, last_data))] = connections.times.items()

    connections.times[connection] = (began - 29, last_data)
    connections.end_overdue(time.monotonic())
    assert is_open(connections)

    connections.times[connection] = (began - 31, last_data)
    connections.end_overdue(time.monotonic())
    assert not is_open(connections)


def test_a_client_that_sends_is_not_idle(connections: Lingering, client: socket.socket) -> None:
    [(connection, (began, last_data))] = connections.times.items()
    connections.times[connection] = (began - 6, last_data - 6)

    client.sendall(b"more")
    handle_events(connections)
    connections.end_overdue(time.monotonic())

    assert is_open(connections)


def test_a_client_that_has_reset_the_connection_is_forgotten(connections: Lingering) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
        connections.begin(ours)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()  # with a reset

        handle_events(connections)

    assert not is_open(connections)


def test_an_event_of_a_connection_that_has_ended_meanwhile_is_ignored(
    connections: Lingering, client: socket.socket
) -> None:
    client.sendall(b"more")
    [(event, _)] = connections.selector.select(0)

    connections.end_overdue(time.monotonic() + 60)
    event.data(event.fileobj)

    assert not is_open(connections)


def test_a_stopping_process_waits_for_two_seconds(connections: Lingering, client: socket.socket) -> None:
    connections.end_overdue(time.monotonic() + 1, is_stopping=True)
    assert is_open(connections)

    connections.end_overdue(time.monotonic() + 3, is_stopping=True)
    assert not is_open(connections)


def test_a_connection_that_its_client_has_reset_does_not_linger(connections: Lingering) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        ours, _ = server.accept()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.close()  # with a reset
        with ours, pytest.raises(ConnectionResetError):
            ours.recv(1)

        assert not connections.begin(ours)

    assert not is_open(connections)


@pytest.mark.any_database
@pytest.mark.long
@pytest.mark.parametrize("process", BY, indirect=True)
def test_a_refused_client_that_still_sends_gets_the_response_during_a_stop(process: Process) -> None:
    with socket.create_connection(("127.0.0.1", process.port), timeout=20) as client:
        client.sendall(HEAD % 3_000_000 + bytes(100_000))
        os.kill(process.id, signal.SIGTERM)
        for _ in range(10):
            client.sendall(bytes(100_000))
            time.sleep(0.1)  # so that the process has begun to stop

        assert client.recv(65_536).startswith(b"HTTP/1.1 413")
    assert process.wait() == 0


@pytest.mark.any_database
@pytest.mark.long
@pytest.mark.parametrize("process", BY, indirect=True)
def test_clients_that_keep_a_closing_connection_open_delay_no_others(process: Process) -> None:
    with ExitStack() as stack:
        for _ in range(40):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", process.port), timeout=20))
            client.sendall(CLOSE)
            assert client.recv(65_536).startswith(b"HTTP/1.1 200")

        # gunicorn alone waits for two seconds for each of them. Each of its two processes has about 20.
        other = stack.enter_context(socket.create_connection(("127.0.0.1", process.port), timeout=10))
        other.sendall(CLOSE)
        assert other.recv(65_536).startswith(b"HTTP/1.1 200")
