"""The database says nothing any more: frozen, unplugged, or behind a network that loses every packet."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from proof.drills.load import PATIENCE, longest, middle, under_load
from proof.drills.stack import Stack, run

Measured = Callable[[str], None]
FIRST_LIMIT = 2.5  # seconds: DATABASE_TIMEOUT_MS, and the half second more that the client waits


@contextmanager
def frozen(stack: Stack) -> Iterator[None]:
    stack.docker("pause", "db")
    try:
        yield
    finally:
        stack.docker("unpause", "db")


@contextmanager
def unplugged(stack: Stack) -> Iterator[None]:
    """Without its network the api cannot even ask where the database is."""
    network = f"{stack.project}_database"
    run("docker", "network", "disconnect", network, stack.container("api"))
    try:
        yield
    finally:
        run("docker", "network", "connect", network, stack.container("api"))


@contextmanager
def black_hole(stack: Stack) -> Iterator[None]:
    """Nothing is refused: what the api sends is lost."""
    stack.tool("db", "iptables", "-A", "INPUT", "!", "-i", "lo", "-p", "tcp", "--dport", "5432", "-j", "DROP")
    try:
        yield
    finally:
        stack.tool("db", "iptables", "-F")


@contextmanager
def alone_in_the_world(stack: Stack) -> Iterator[None]:
    """The name server says nothing either."""
    stack.tool("api", "iptables", "-A", "OUTPUT", "-d", "127.0.0.11", "-j", "DROP")
    try:
        with unplugged(stack):
            yield
    finally:
        stack.tool("api", "iptables", "-F")


@pytest.mark.parametrize(
    "fault", [pytest.param(frozen, marks=pytest.mark.quick), unplugged, black_hole, alone_in_the_world]
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
    beside = load.since(silent + FIRST_LIMIT + 0.5, "live", "problem", until=returned)
    at_once = sum(answer.seconds < 0.25 for answer in reads) / len(reads)
    measured(f"{load.counts()}; longest {longest(load.since(silencing)):.2f} s")
    measured(
        f"then of {len(reads)} reads {at_once:.0%} at once; live and problems: median {middle(beside):.3f} s"
    )
    measured(
        f"longest {longest(beside):.2f} s; last failure {load.recovery(returned):.2f} s after it returned"
    )
    assert {answer.code for answer in known} <= {"database_unavailable", "overloaded"}
    assert longest(load.since(silencing)) < 5 * PATIENCE
    assert middle(reads) < 0.5 * PATIENCE
    assert middle(beside) < 0.25 * PATIENCE
    assert longest(beside) < 1 * PATIENCE
    assert load.recovery(returned) < 2.5 * PATIENCE
