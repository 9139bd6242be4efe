"""Two workers, each in its container, are killed and lose their database. Each job takes effect once."""

import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from proof.drills.stack import REPOSITORY, Stack, run
from tests.support.waiting import wait_until

Measured = Callable[[str], None]
WORKERS = ("worker-1", "worker-2")
JOBS_APP = REPOSITORY / "services/api/tests/support/jobs_app.py"
KILLS, USERS, JOBS = 50, 20, 2000
ENQUEUE = f"""
from jobs_app import count, create_app
from app.database import db
from app.model.models import User
from kit.jobs.jobs import enqueue

with create_app().app_context():
    users = [User(username=f"job{{n}}", username_key=f"job{{n}}", password_hash="-") for n in range({USERS})]
    db.session.add_all(users)
    db.session.flush()
    for number in range({JOBS}):
        enqueue(count, users[number % {USERS}].id)
    db.session.commit()
"""


@pytest.fixture
def workers(stack: Stack) -> Iterator[Stack]:
    """Start two workers with the job of tests/support/jobs_app.py."""
    if stack.server != "waitress":
        pytest.skip("a worker has no web server")
    mount = f"{JOBS_APP}:/app/jobs_app.py:ro"
    command = ("api", "flask", "--app", "jobs_app", "work")
    for worker in WORKERS:
        name = stack.container(worker)
        stack.compose("run", "--detach", "--no-deps", "--name", name, "--volume", mount, *command)
    yield stack
    for worker in WORKERS:
        stack.docker("rm --force", worker)
    stack.sql("DELETE FROM kit_jobs")
    stack.sql("DELETE FROM users WHERE username LIKE 'job%'")


def marks(stack: Stack) -> list[int]:
    """Return how many marks each user has: one for each job that took effect."""
    query = "SELECT length(password_hash) - 1 FROM users WHERE username LIKE 'job%'"
    return [int(line) for line in stack.sql(query)]


def has_marks(stack: Stack, more_than: int) -> bool:
    return sum(marks(stack)) > more_than


def left(stack: Stack) -> int:
    return int(stack.sql("SELECT count(*) FROM kit_jobs WHERE name = 'count'")[0])


def test_killed_workers_and_a_restarted_database_lose_and_repeat_no_effect(
    workers: Stack, measured: Measured
) -> None:
    run("docker", "exec", workers.container("worker-1"), "python", "-c", ENQUEUE)
    begun = time.monotonic()
    interrupted = 0

    for kill in range(KILLS):
        worker = WORKERS[kill % 2]
        before = sum(marks(workers))
        wait_until(partial(has_marks, workers, before + 2), 60)
        workers.docker("kill", worker)
        interrupted += bool(int(workers.sql("SELECT count(*) FROM kit_jobs WHERE lease IS NOT NULL")[0]))
        workers.docker("start", worker)
        if kill == KILLS // 2:
            workers.docker("restart --time 0", "db")
            wait_until(workers.takes_connections, 30)
    unfinished = left(workers)
    wait_until(lambda: left(workers) == 0, 180)

    measured(f"{KILLS} kills in {time.monotonic() - begun:.0f} s, {interrupted} with a job in hand")
    assert unfinished > 0
    assert marks(workers) == [JOBS // USERS] * USERS
    assert "Traceback" not in "".join(workers.docker("logs", worker) for worker in WORKERS)
