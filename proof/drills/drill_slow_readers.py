"""Clients that request and never read, at the container's own address: Docker's proxy would read for them."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection

import pytest

from proof.drills.stack import Address, Stack

Measured = Callable[[str], None]
REQUEST = b"GET %b HTTP/1.1\r\nHost: api\r\n\r\n"
ATTACKS = {
    "slow readers": (300, REQUEST % b"/docs/swagger-ui-bundle.js"),
    "slow readers of the document": (300, REQUEST % b"/openapi.json"),
    "pipelining": (8, REQUEST % b"/docs/swagger-ui.css" * 178),
    "pipelining of the document": (8, REQUEST % b"/openapi.json" * 178),
}


@contextmanager
def clients(address: Address, number: int, request: bytes) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(number):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(20)
            client.connect(address)
            client.sendall(request)
        yield


def seconds_to_answer(address: Address) -> float:
    begun = time.monotonic()
    connection = HTTPConnection(*address, timeout=10)
    connection.request("GET", "/health/live")
    assert connection.getresponse().status == 200
    connection.close()
    return time.monotonic() - begun


@pytest.mark.parametrize("server_stack", ["waitress"], indirect=True)  # gunicorn needs a proxy that reads
@pytest.mark.parametrize("attack", ATTACKS)
def test_clients_that_do_not_read_leave_the_container_alive(
    stack: Stack, measured: Measured, attack: str
) -> None:
    number, request = ATTACKS[attack]
    address, starts = stack.address(), stack.starts()

    with clients(address, number, request):
        times = sorted(seconds_to_answer(address) for _ in range(200))
        memory = stack.docker("stats --no-stream --format {{.MemUsage}}", "api")
        files = stack.docker("exec", "api", "sh", "-c", "ls -l /proc/*/fd | grep -c deleted || true")

    measured(f"{attack}: median {times[100]:.3f} s, longest {times[-1]:.3f} s, {memory}")
    assert stack.starts() == starts
    assert float(memory.partition("MiB")[0]) < 400  # of 512
    assert int(files) == 0
    assert stack.is_ready()
