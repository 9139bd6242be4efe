"""The health check of the worker's container."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread

import pytest

from app import create_app
from kit.jobs.heartbeat import ALIVE_SECONDS, Heartbeat
from kit.jobs.worker import Worker
from tests.kit.jobs.conftest import Workers
from tests.support.paths import API
from tests.support.settings import NEVER_OPENED, settings_for
from tests.support.waiting import wait_until

SCRIPT = API / "kit" / "jobs" / "healthcheck.py"
Check = Callable[[], str]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """Run the health check as in the container, with a separate folder as /tmp. Return its output."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    def check() -> str:
        done = subprocess.run(
            [sys.executable, "-I", SCRIPT], capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode == 0) is (done.stderr == "")
        assert "Traceback" not in done.stderr
        return done.stderr

    return check


@pytest.fixture
def heartbeats() -> Iterator[Callable[[], Heartbeat]]:
    with ExitStack() as stack:
        yield lambda: stack.enter_context(Heartbeat())


def test_it_fails_until_a_worker_has_begun(check: Check, heartbeats: Callable[[], Heartbeat]) -> None:
    heartbeat = heartbeats()
    heartbeat.beat()
    assert "No worker is running" in check()

    heartbeat.begin()
    assert check() == ""


def test_it_fails_if_one_of_several_workers_is_silent(
    check: Check, heartbeats: Callable[[], Heartbeat]
) -> None:
    one, other = heartbeats(), heartbeats()
    for each in (one, other):
        each.begin()
    assert check() == ""

    other.beat(-2 * ALIVE_SECONDS)

    assert "doesn't answer" in check()
    other.beat()
    assert check() == ""


def test_a_killed_worker_is_not_alive(check: Check, workers: Workers) -> None:
    process = workers.start()
    wait_until(lambda: check() == "", 60)

    workers.stop(process, signal.SIGKILL)

    assert "No worker is running" in check()


def test_a_worker_is_healthy_once_it_has_reached_the_database_even_if_that_is_lost(
    check: Check, heartbeats: Callable[[], Heartbeat]
) -> None:
    heartbeat, stopping = heartbeats(), Event()
    worker = Thread(target=Worker(create_app(settings_for(NEVER_OPENED)), stopping, heartbeat).run)
    worker.start()
    assert "hasn't read the queue" in check()

    heartbeat.begin()  # as after the first claim

    assert check() == ""
    assert worker.is_alive()
    stopping.set()
    worker.join(60)
