"""The api is stopped, killed and restarted under load."""

import subprocess
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from proof.drills.load import under_load
from proof.drills.stack import Stack
from tests.support.waiting import wait_until

Measured = Callable[[str], None]
CONNECTION_FAILURES = ("refused", "fresh connection broke", "kept connection broke")


@pytest.mark.parametrize(
    ("signals", "init"),
    [
        pytest.param(["TERM"], "true", marks=pytest.mark.quick),
        (["INT"], "true"),
        (["TERM", "TERM"], "true"),
        (["TERM"], "false"),
        (["INT"], "false"),
        pytest.param(["TERM", "TERM"], "false", marks=pytest.mark.quick),
    ],
    ids=lambda value: (
        "-".join(value) if isinstance(value, list) else {"true": "init", "false": "process-1"}[value]
    ),
)
def test_a_stop_answers_what_was_accepted(
    server_stack: Stack, measured: Measured, signals: list[str], init: str
) -> None:
    stack = server_stack
    stack.up(API_INIT=init)
    may_break = ("refused", "fresh connection broke")
    with under_load(stack, addresses=[stack.address()], tolerated=may_break, restarts=True, lives=8) as load:
        begun = time.monotonic()
        kill = ["docker", "kill", stack.container("api"), "--signal"]
        for process in [subprocess.Popen([*kill, name], stdout=subprocess.DEVNULL) for name in signals]:
            process.wait()  # the second fails if the container has already stopped
        code = stack.docker("wait", "api")
        seconds = time.monotonic() - begun
    log = stack.docker("logs", "api")
    unanswered = load.applied_unacknowledged(stack)
    stack.docker("start", "api")
    wait_until(stack.is_ready, 30)

    broken = [answer for answer in load.answers if answer.code == "fresh connection broke"]
    measured(f"exit {code} after {seconds:.1f} s; {load.counts()}")
    assert code == "0", log[-2000:]
    assert seconds < 10
    assert load.since(begun)
    assert unanswered == set()
    assert len(broken) <= 1  # the kernel accepted it while the listener closed


def test_a_killed_api_has_what_it_acknowledged_and_is_back_at_once(stack: Stack, measured: Measured) -> None:
    times = []
    with under_load(stack, tolerated=CONNECTION_FAILURES, restarts=True, lives=8) as load:
        for _ in range(3):
            stack.docker("kill", "api")
            time.sleep(0.3)
            stack.docker("start", "api")
            times.append(wait_until(stack.is_ready, 20))
            time.sleep(1.5)
        returned = time.monotonic()
        time.sleep(1)

    assert [answer for answer in load.since(returned) if answer.succeeded]
    measured(f"ready after {', '.join(f'{seconds:.1f}' for seconds in times)} s; {load.counts()}")
    assert min(times) < 5


def test_the_container_restarts_after_the_kernel_kills_its_processes(
    stack: Stack, measured: Measured
) -> None:
    """Kill the processes from inside, as the OOM killer does, so that Docker's restart policy applies."""
    with under_load(stack, tolerated=CONNECTION_FAILURES, restarts=True) as load:
        starts = stack.starts()
        with suppress(RuntimeError):  # the container stops during this command
            stack.docker("exec", "api", "sh", "-c", "kill -KILL -1")
        seconds = wait_until(lambda: stack.starts() != starts and stack.is_ready(), 20)
        returned = time.monotonic()
        time.sleep(2)

    measured(f"ready after {seconds:.1f} s; {load.counts()}")
    assert [answer for answer in load.since(returned) if answer.succeeded]
