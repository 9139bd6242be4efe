"""`flask work` in separate processes that are killed or stopped."""

import signal
import time
from functools import partial
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from app.database import db, release
from app.model.models import User
from kit.jobs.jobs import enqueue
from kit.jobs.queue import Queue, QueuedJob
from tests.kit.jobs.conftest import Workers
from tests.support.jobs_app import count, nap
from tests.support.waiting import wait_until

USERS = 5


def add_users() -> list[UUID]:
    ids = [uuid4() for _ in range(USERS)]
    for id in ids:
        db.session.add(User(id=id, username=str(id), username_key=str(id), password_hash="-"))
    db.session.commit()
    return ids


def marks() -> int:
    found = db.session.scalar(select(func.sum(func.length(User.password_hash) - 1)))
    release()
    return int(found or 0)


def has_marks(more_than: int) -> bool:
    return marks() > more_than


def depth() -> float:
    found = Queue(db.session).depth().waiting
    release()
    return found


@pytest.mark.long
def test_killed_workers_lose_no_job_and_repeat_no_effect(workers: Workers) -> None:
    for id in add_users() * 20:
        enqueue(count, id)
    db.session.commit()

    for _ in range(2):
        workers.start()
    for killed in range(12):
        wait_until(partial(has_marks, 6 * killed), 60)
        workers.stop(workers.running[0], signal.SIGKILL)
        workers.start()

    wait_until(lambda: depth() == 0, 60)
    assert marks() == USERS * 20


def test_a_stopped_worker_finishes_its_job_and_exits_with_0(workers: Workers) -> None:
    for id in add_users() * 20:
        enqueue(count, id)
    db.session.commit()
    process = workers.start()
    wait_until(lambda: marks() > 0, 60)

    assert workers.stop(process, signal.SIGTERM) == 0
    assert 0 < marks() == USERS * 20 - depth()
    assert "Traceback" not in workers.output.read_text()


def running() -> QueuedJob | None:
    found = db.session.scalars(select(QueuedJob).where(QueuedJob.lease.is_not(None))).first()
    release()
    return found


@pytest.mark.long
def test_a_job_that_does_not_end_is_released_for_another_worker(workers: Workers) -> None:
    enqueue(nap)
    db.session.commit()
    process = workers.start()
    wait_until(running, 60)

    begun = time.monotonic()
    assert workers.stop(process, signal.SIGTERM, signal.SIGTERM) == 0

    assert time.monotonic() - begun < 30
    [left] = db.session.scalars(select(QueuedJob)).all()
    assert (left.lease, left.attempts) == (None, 0)
    assert "interrupted by the shutdown" in workers.output.read_text()


def test_with_jobs_in_the_server_the_worker_only_waits(workers: Workers) -> None:
    enqueue(nap)
    db.session.commit()
    process = workers.start(WORKER="thread")
    wait_until(lambda: workers.output.exists() and "only waits" in workers.output.read_text(), 60)
    time.sleep(1.5)  # longer than between two looks at the queue

    assert running() is None
    assert workers.stop(process, signal.SIGTERM) == 0
