"""The api gets too little memory or CPU time."""

import time
from collections.abc import Callable

from proof.drills.load import longest, median_seconds, under_load
from proof.drills.stack import Stack
from tests.support.waiting import wait_until

Measured = Callable[[str], None]
CONNECTION_FAILURES = ("refused", "fresh connection broke", "kept connection broke")


def starve(stack: Stack) -> int:
    """Limit the api's memory to the amount in use. Return it in MB."""
    for megabytes in range(112, 60, -4):
        try:
            stack.docker(f"update --memory {megabytes}m --memory-swap {megabytes}m", "api")
        except RuntimeError:  # it uses more, and an older kernel cannot reclaim it
            return megabytes + 4
    return 64


def test_short_of_memory_the_api_sheds_or_starts_again_and_has_lost_nothing(
    stack: Stack, measured: Measured
) -> None:
    with under_load(stack, lives=12, tolerated=CONNECTION_FAILURES, restarts=True) as load:
        limit = starve(stack)
        time.sleep(8)
        stack.docker("update --memory 512m --memory-swap 1g", "api")
        restored = time.monotonic()
        seconds = wait_until(stack.is_ready, 30)
        time.sleep(2)

    restarts = stack.inspect("api", "{{.RestartCount}}")
    measured(
        f"{limit} MB; {load.counts()}; {restarts} restarts; ready {seconds:.1f} s after the limit was raised"
    )
    assert seconds < 15  # Docker waits longer after each failure
    assert [answer for answer in load.since(restored + seconds) if answer.succeeded]


def test_without_much_of_a_processor_the_api_is_slow_and_right(stack: Stack, measured: Measured) -> None:
    with under_load(stack) as load:
        stack.docker("update --cpus 0.2", "api")
        begun = time.monotonic()
        time.sleep(8)
        ended = time.monotonic()
        stack.docker("update --cpus 1", "api")
        restored = time.monotonic()
        time.sleep(4)

    reads = load.since(begun, "read", until=ended)
    measured(
        f"{load.counts()}; "
        f"starved reads: median {median_seconds(reads):.2f} s, longest {longest(reads):.2f} s"
    )
    assert wait_until(stack.is_ready, 10) < 5
    assert load.recovery(restored + 2) == 0
