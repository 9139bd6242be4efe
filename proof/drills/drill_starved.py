"""The api gets too little memory, or too little of a processor."""

import time
from collections.abc import Callable

from proof.drills.load import longest, middle, under_load
from proof.drills.stack import Stack
from tests.support.waiting import wait_until

Measured = Callable[[str], None]
NOBODY_THERE = ("refused", "fresh connection broke", "kept connection broke")


def starve(stack: Stack) -> int:
    """Leave the api no more memory than it has in use. Returns how many MB."""
    for megabytes in range(112, 60, -4):
        try:
            stack.docker(f"update --memory {megabytes}m --memory-swap {megabytes}m", "api")
        except RuntimeError:  # it has more in use, and an older kernel takes nothing away
            return megabytes + 4
    return 64


def test_short_of_memory_the_api_sheds_or_starts_again_and_has_lost_nothing(
    stack: Stack, measured: Measured
) -> None:
    with under_load(stack, lives=12, tolerated=NOBODY_THERE, restarts=True) as load:
        limit = starve(stack)
        time.sleep(8)
        stack.docker("update --memory 512m --memory-swap 1g", "api")
        fed = time.monotonic()
        seconds = wait_until(stack.is_ready, 30)
        time.sleep(2)

    restarts = stack.inspect("api", "{{.RestartCount}}")
    measured(
        f"{limit} MB; {load.counts()}; {restarts} restarts; ready {seconds:.1f} s after it has memory again"
    )
    assert seconds < 15  # Docker waits longer after each failure
    assert [answer for answer in load.since(fed + seconds) if answer.succeeded]


def test_without_much_of_a_processor_the_api_is_slow_and_right(stack: Stack, measured: Measured) -> None:
    with under_load(stack) as load:
        stack.docker("update --cpus 0.2", "api")
        begun = time.monotonic()
        time.sleep(8)
        ended = time.monotonic()
        stack.docker("update --cpus 1", "api")
        fed = time.monotonic()
        time.sleep(4)

    reads = load.since(begun, "read", until=ended)
    measured(f"{load.counts()}; starved reads: median {middle(reads):.2f} s, longest {longest(reads):.2f} s")
    assert wait_until(stack.is_ready, 10) < 5
    assert load.recovery(fed + 2) == 0
