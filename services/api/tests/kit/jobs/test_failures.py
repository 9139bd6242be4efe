"""Jobs that fail, hang or can't be read, and the tracebacks that are stored for them."""

import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from unittest.mock import patch
from uuid import UUID

import psycopg2
import pytest
from flask import Flask
from pydantic import BaseModel
from sqlalchemy import func, insert, select, text, update

from app.database import db, release
from app.model.models import User
from kit.data.postgresql import UnlimitedConnection
from kit.jobs.jobs import Job, enqueue, job
from kit.jobs.queue import Queue, QueuedJob
from tests.support.jobs import run_next

SECRET = "correct horse battery staple"
UNKNOWN = "6f5c5a0e-2f0f-4a0e-9d0b-0d1f3f2f9a11"


class Message(BaseModel):
    to: int


@job(attempts=1)
def add_twice() -> None:
    for _ in range(2):
        db.session.execute(insert(User).values(username=SECRET, username_key=SECRET, password_hash="-"))


@job(attempts=1)
def parse() -> None:
    Message.model_validate({"to": SECRET})


@job(attempts=1)
def receive_garbage() -> None:
    raise RuntimeError("first line \0 \udcff\nsecond line: " + SECRET)


@job(attempts=1)
def leave() -> None:
    sys.exit("no more")


@job(attempts=1, seconds=1)
def hang_in_the_database() -> None:
    db.session.execute(update(User).values(password_hash="hung"))
    if db.engine.dialect.name == "postgresql":
        db.session.execute(text("SELECT pg_sleep(20)"))
    try:
        time.sleep(20)
    except Exception:
        time.sleep(20)


@job(attempts=1, seconds=1)
def swallow_the_interruption() -> None:
    with suppress(BaseException):
        time.sleep(20)
    time.sleep(20)


@job()
def queue_another() -> None:
    enqueue(leave)


@job(attempts=2)
def queue_another_and_fail() -> None:
    enqueue(leave)
    raise RuntimeError


ALL: dict[str, Job[Any]] = {
    each.name: each
    for each in (
        *(add_twice, parse, receive_garbage, leave),
        *(hang_in_the_database, swallow_the_interruption, queue_another, queue_another_and_fail),
    )
}


@pytest.fixture
def jobs_app(committed_app: Flask) -> Iterator[Flask]:
    with patch.dict(committed_app.extensions, jobs=ALL), committed_app.app_context():
        yield committed_app


def stored() -> QueuedJob:
    found = db.session.scalars(select(QueuedJob)).one()
    release()
    return found


def failed(job: Job[[]]) -> QueuedJob:
    enqueue(job)
    db.session.commit()
    run_next()
    assert stored().failed_at
    return stored()


@pytest.mark.parametrize("job", [add_twice, parse, receive_garbage])
def test_a_traceback_has_no_values(jobs_app: Flask, job: Job[[]], caplog: pytest.LogCaptureFixture) -> None:
    error = str(failed(job).error)

    assert job.name in error
    assert SECRET not in error
    assert SECRET not in caplog.text


def test_a_traceback_names_the_cause(jobs_app: Flask) -> None:
    assert "UniqueViolation" in (error := str(failed(add_twice).error)) or "UNIQUE" in error
    assert r"first line \x00 \udcff" in str(stored_error(receive_garbage))


def stored_error(job: Job[[]]) -> str | None:
    Queue(db.session).discard(None, failed_only=True)
    db.session.commit()
    return failed(job).error


def test_a_job_that_exits_fails_like_any_other(jobs_app: Flask) -> None:
    assert "SystemExit: no more" in str(failed(leave).error)


def test_a_statement_that_hangs_is_cancelled_and_leaves_no_lock(jobs_app: Flask) -> None:
    db.session.add(User(username="ann", username_key="ann", password_hash="-"))
    db.session.commit()

    started = time.monotonic()
    error = failed(hang_in_the_database).error

    assert "took longer than 1 s" in str(error)
    db.session.execute(update(User).values(password_hash=User.password_hash + "!"))
    db.session.commit()
    assert time.monotonic() - started < 15
    assert db.session.scalar(select(User.password_hash)) == "-!"
    release()


def test_a_job_that_swallows_its_interruption_is_interrupted_again(jobs_app: Flask) -> None:
    started = time.monotonic()

    assert "took longer than 1 s" in str(failed(swallow_the_interruption).error)
    assert time.monotonic() - started < 15


def test_a_job_of_another_job_is_queued_with_its_changes(jobs_app: Flask) -> None:
    enqueue(queue_another)
    db.session.commit()
    run_next()

    assert stored().name == "leave"


def test_a_job_of_a_failed_job_is_not_queued(jobs_app: Flask) -> None:
    enqueue(queue_another_and_fail)
    db.session.commit()
    run_next()

    assert stored().name == "queue_another_and_fail"


def test_a_job_that_kills_its_workers_is_given_up(jobs_app: Flask) -> None:
    enqueue(queue_another_and_fail)
    db.session.commit()
    for _ in range(2):
        assert Queue(db.session).claim(ALL)
        db.session.execute(update(QueuedJob).values(run_at=0))
        db.session.commit()
    run_next()

    assert "was interrupted" in str(stored().error)
    assert stored().failed_at


def test_a_lease_outlasts_the_time_limit(jobs_app: Flask) -> None:
    enqueue(hang_in_the_database)
    before = stored_after_claim()

    assert before.run_at - before.created_at > 5_000


def stored_after_claim() -> QueuedJob:
    Queue(db.session).claim(ALL)
    db.session.commit()
    return stored()


def test_jobs_of_another_release_wait(jobs_app: Flask) -> None:
    enqueue(leave)
    db.session.commit()

    assert Queue(db.session).claim(["unknown"]) is None


def test_stored_arguments_that_no_longer_fit_fail(jobs_app: Flask) -> None:
    Queue(db.session).put("leave", '{"old": "' + SECRET + '"}', priority=0, milliseconds=1000)
    db.session.commit()
    run_next()

    assert "old: Extra inputs" in str(stored().error)
    assert SECRET not in str(stored().error)


@pytest.fixture
def three_failed(jobs_app: Flask) -> list[UUID]:
    queue = Queue(db.session)
    ids = [queue.put(name, "{}", priority=0, milliseconds=1) for name in ("leave", "leave", "parse")]
    db.session.execute(update(QueuedJob).values(failed_at=1))
    queue.put("leave", "{}", priority=0, milliseconds=1)
    db.session.commit()
    return ids


@pytest.mark.parametrize(
    ("arguments", "failed_left", "left"),
    [
        ("retry --all-failed", 0, 4),
        ("retry --all-failed --name leave", 1, 4),
        ("delete --all-failed", 0, 1),
        ("delete --name leave", 1, 1),
        ("delete --all-failed --name leave", 1, 2),
        ("delete", 3, 4),
        ("retry --name leave", 3, 4),
        (f"retry {UNKNOWN}", 3, 4),
        (f"delete --all-failed {UNKNOWN}", 3, 4),
    ],
)
def test_operators_retry_and_delete_many(
    jobs_app: Flask, three_failed: list[UUID], arguments: str, failed_left: int, left: int
) -> None:
    jobs_app.test_cli_runner().invoke(args=["job", *arguments.split()])

    assert Queue(db.session).depth().failed == failed_left
    assert db.session.scalar(select(func.count()).select_from(QueuedJob)) == left
    release()


def test_a_refused_connection_keeps_its_reason() -> None:
    with pytest.raises(psycopg2.OperationalError, match="refused"):
        psycopg2.connect(host="127.0.0.1", port=1, user="ann", connection_factory=UnlimitedConnection)
