"""The database stops responding: paused, disconnected, or behind a network that drops every packet."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from proof.drills.load import PATIENCE, longest, median_seconds, under_load
from proof.drills.stack import Stack, run

Measured = Callable[[str], None]
FIRST_LIMIT = 2.5  # seconds: DATABASE_TIMEOUT_MS, plus half a second that the client waits


@contextmanager
def frozen(stack: Stack) -> Iterator[None]:
    stack.docker("pause", "db")
    try:
        yield
    finally:
        stack.docker("unpause", "db")


@contextmanager
def unplugged(stack: Stack) -> Iterator[None]:
    """Disconnect the api from the database's network, so that it cannot resolve the name."""
    network = f"{stack.project}_database"
    run("docker", "network", "disconnect", network, stack.container("api"))
    try:
        yield
    finally:
        run("docker", "network", "connect", network, stack.container("api"))


@contextmanager
def black_hole(stack: Stack) -> Iterator[None]:
    """Drop the packets to the database, without refusing connections."""
    stack.tool("db", "iptables", "-A", "INPUT", "!", "-i", "lo", "-p", "tcp", "--dport", "5432", "-j", "DROP")
    try:
        yield
    finally:
        stack.tool("db", "iptables", "-F")


@contextmanager
def unplugged_without_dns(stack: Stack) -> Iterator[None]:
    """Drop the packets to the DNS server too."""
    stack.tool("api", "iptables", "-A", "OUTPUT", "-d", "127.0.0.11", "-j", "DROP")
    try:
        with unplugged(stack):
            yield
    finally:
        stack.tool("api", "iptables", "-F")


@pytest.mark.parametrize(
    "fault", [pytest.param(frozen, marks=pytest.mark.quick), unplugged, black_hole, unplugged_without_dns]
)
def test_a_silent_database_delays_nobody_for_long(
    stack: Stack, measured: Measured, fault: Callable[[Stack], AbstractContextManager[None]]
) -> None:
    with under_load(stack, lives=8, readers=4) as load:
        silencing = time.monotonic()
        with fault(stack):
            silent = time.monotonic()
            time.sleep(8)
            assert (stack.get("/health/live"), stack.get("/health/ready")) == (200, 503)
            ending = time.monotonic()
        returned = time.monotonic()
        time.sleep(4)

    known = load.since(silent + FIRST_LIMIT + 0.5, until=ending)
    reads = load.since(silent + FIRST_LIMIT + 0.5, "read", until=ending)
    independent = load.since(silent + FIRST_LIMIT + 0.5, "live", "problem", until=returned)
    at_once = sum(answer.seconds < 0.25 for answer in reads) / len(reads)
    measured(f"{load.counts()}; longest {longest(load.since(silencing)):.2f} s")
    measured(
        f"then {at_once:.0%} of {len(reads)} reads answered at once; "
        f"live and problems: median {median_seconds(independent):.3f} s"
    )
    measured(
        f"longest {longest(independent):.2f} s; "
        f"last failure {load.recovery(returned):.2f} s after the fault ended"
    )
    assert {answer.code for answer in known} <= {"database_unavailable", "overloaded"}
    assert longest(load.since(silencing)) < 5 * PATIENCE
    assert median_seconds(reads) < 0.5 * PATIENCE
    assert median_seconds(independent) < 0.25 * PATIENCE
    assert longest(independent) < 1 * PATIENCE
    assert load.recovery(returned) < 2.5 * PATIENCE
