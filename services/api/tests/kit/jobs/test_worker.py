"""Each job takes effect exactly once, despite failures."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from threading import Event
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import event, select, update

from app.database import db, release
from app.model.models import User
from kit.jobs.jobs import enqueue, job
from kit.jobs.queue import Calendar, Queue, QueuedJob, ScheduledJob
from kit.jobs.schedules import every
from kit.jobs.worker import Worker, queue_scheduled_jobs, retry_seconds


@job()
def add_user(id: UUID, name: str) -> None:
    db.session.add(User(id=id, username=name, username_key=name, password_hash="-"))


@job(attempts=2)
def fail_after_a_change(name: str) -> None:
    db.session.add(User(username=name, username_key=name, password_hash="-"))
    db.session.flush()
    raise RuntimeError("the mail server is unavailable")


@job(seconds=1)
def hang() -> None:
    db.session.add(User(username="hung", username_key="hung", password_hash="-"))
    release()
    time.sleep(30)


@job(schedule=every(timedelta(days=1)))
def clean_up() -> None:
    db.session.add(User(username="clean", username_key="clean", password_hash="-"))


seen_transactions: list[bool] = []


@job()
def look_around() -> None:
    seen_transactions.append(db.session().in_transaction())


@job(final_errors=(LookupError,))
def fail_for_good() -> None:
    raise KeyError("nothing will change this")


JOBS = {
    each.name: each for each in (add_user, fail_after_a_change, hang, clean_up, look_around, fail_for_good)
}


@pytest.fixture
def jobs_app(committed_app: Flask) -> Iterator[Flask]:
    with patch.dict(committed_app.extensions, jobs=JOBS), committed_app.app_context():
        yield committed_app


def users() -> list[str]:
    found = sorted(db.session.scalars(select(User.username)))
    release()
    return found


def waiting() -> QueuedJob:
    found = db.session.scalars(select(QueuedJob)).one()
    release()
    return found


def run_all(app: Flask) -> int:
    """Run the jobs that are due and return how many there were. Leave out the schedules."""
    worker, count = Worker(app, Event()), 0
    worker.looked_at_schedules = time.monotonic()
    while worker.run_next():
        count += 1
    return count


def make_due() -> None:
    db.session.execute(update(QueuedJob).values(run_at=0))
    db.session.commit()


def test_a_job_runs_once_after_the_commit(jobs_app: Flask) -> None:
    enqueue(add_user, uuid4(), name="ann")
    db.session.commit()

    assert run_all(jobs_app) == 1
    assert users() == ["ann"]
    assert run_all(jobs_app) == 0


def test_a_job_of_a_rolled_back_transaction_never_runs(jobs_app: Flask) -> None:
    enqueue(add_user, uuid4(), name="ann")
    db.session.rollback()

    assert run_all(jobs_app) == 0


def test_arguments_must_fit_the_function(jobs_app: Flask) -> None:
    with pytest.raises(TypeError, match="name"):
        enqueue(add_user, uuid4())  # type: ignore[call-arg]


def test_a_job_that_no_worker_knows_is_refused(jobs_app: Flask) -> None:
    with pytest.raises(LookupError, match="unlisted"):
        enqueue(job(name="unlisted")(lambda: None))


def test_a_failed_attempt_leaves_no_changes_and_is_repeated_later(jobs_app: Flask) -> None:
    enqueue(fail_after_a_change, name="half")
    db.session.commit()

    assert run_all(jobs_app) == 1
    assert users() == []
    assert "the mail server is unavailable" in str(waiting().error)
    assert waiting().failed_at is None
    assert run_all(jobs_app) == 0  # not yet


def test_after_its_last_attempt_a_job_is_kept_as_failed(jobs_app: Flask) -> None:
    enqueue(fail_after_a_change, name="half")
    db.session.commit()

    for _ in range(3):
        make_due()
        run_all(jobs_app)

    assert (waiting().attempts, waiting().failed_at is None) == (2, False)


def test_a_failed_job_can_be_retried(jobs_app: Flask) -> None:
    enqueue(fail_after_a_change, name="half")
    db.session.commit()
    for _ in range(2):
        make_due()
        run_all(jobs_app)

    done = jobs_app.test_cli_runner().invoke(args=["job", "retry", str(waiting().id)])

    assert done.exit_code == 0, done.output
    assert run_all(jobs_app) == 1


def test_a_job_that_takes_too_long_is_interrupted(jobs_app: Flask) -> None:
    enqueue(hang)
    db.session.commit()

    started = time.monotonic()
    run_all(jobs_app)

    assert time.monotonic() - started < 25
    assert "took longer than 1 s" in str(waiting().error)
    assert users() == []


def test_a_job_that_was_claimed_during_a_stop_is_left_to_another_worker(jobs_app: Flask) -> None:
    enqueue(add_user, uuid4(), name="ann")
    db.session.commit()
    stopping = Event()
    worker = Worker(jobs_app, stopping)
    worker.looked_at_schedules = time.monotonic()
    stopping.set()

    worker.run_next()

    assert (waiting().lease, waiting().attempts) == (None, 0)
    assert run_all(jobs_app) == 1
    assert users() == ["ann"]


def test_a_worker_whose_lease_has_expired_changes_nothing(jobs_app: Flask) -> None:
    enqueue(add_user, uuid4(), name="ann")
    db.session.commit()
    slow = Queue(db.session).claim(JOBS)
    db.session.commit()
    make_due()
    fast = Queue(db.session).claim(JOBS)
    db.session.commit()
    assert slow is not None
    assert fast is not None

    assert not Queue(db.session).finish(slow)
    assert Queue(db.session).finish(fast)


def test_urgent_jobs_run_first(jobs_app: Flask) -> None:
    enqueue(job(priority=1, name="add_user")(add_user.function), uuid4(), name="later")
    enqueue(job(priority=-1, name="add_user")(add_user.function), uuid4(), name="first")
    db.session.commit()

    claimed = Queue(db.session).claim(JOBS)

    assert claimed is not None
    assert "first" in claimed.arguments


def test_a_delayed_job_waits(jobs_app: Flask) -> None:
    enqueue(add_user.later(timedelta(hours=1)), uuid4(), name="ann")
    db.session.commit()

    assert run_all(jobs_app) == 0
    make_due()
    assert run_all(jobs_app) == 1


def test_four_workers_run_two_hundred_jobs_once_each(jobs_app: Flask) -> None:
    for number in range(200):
        enqueue(add_user, uuid4(), name=f"user{number:03}")
    db.session.commit()

    threads = [threading.Thread(target=run_all, args=(jobs_app,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert users() == [f"user{number:03}" for number in range(200)]
    assert Queue(db.session).depth().waiting == 0


def test_a_scheduled_job_is_queued_once_per_period(jobs_app: Flask) -> None:
    queue_scheduled_jobs(JOBS)  # the first time, it only enters when the job is due
    assert Queue(db.session).depth().waiting == 0
    db.session.execute(update(ScheduledJob).values(due_at=1))
    db.session.commit()

    threads = [threading.Thread(target=tick, args=(jobs_app,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert waiting().name == "clean_up"
    assert run_all(jobs_app) == 1
    assert users() == ["clean"]


def tick(app: Flask) -> None:
    with app.app_context():
        queue_scheduled_jobs(JOBS)


def test_retries_wait_longer_each_time_up_to_an_hour() -> None:
    for attempts, longest in ((1, 10), (2, 20), (5, 160), (30, 3600)):
        assert longest / 2 <= retry_seconds(attempts) <= longest


def set_entry(**values: object) -> None:
    db.session.execute(update(ScheduledJob).values(values))
    db.session.commit()


def entry() -> ScheduledJob:
    found = db.session.scalars(select(ScheduledJob)).one()
    release()
    return found


def queued_after_tick() -> int:
    queue_scheduled_jobs(JOBS)
    found = int(Queue(db.session).depth().waiting)
    release()
    return found


def test_a_clock_that_is_set_back_a_little_repeats_no_period(jobs_app: Flask) -> None:
    queue_scheduled_jobs(JOBS)
    after_next = entry().due_at + 24 * 3600 * 1000  # as if the day had just begun when the clock was set back
    set_entry(due_at=after_next)

    assert queued_after_tick() == 0
    assert entry().due_at == after_next


def test_a_clock_that_was_far_ahead_does_not_silence_a_schedule(jobs_app: Flask) -> None:
    queue_scheduled_jobs(JOBS)
    due_at = entry().due_at
    set_entry(due_at=due_at + 365 * 24 * 3600 * 1000)

    assert queued_after_tick() == 0
    assert entry().due_at == due_at


def test_a_changed_schedule_begins_with_its_next_time(jobs_app: Flask) -> None:
    queue_scheduled_jobs(JOBS)
    due_at = entry().due_at
    set_entry(schedule="another", due_at=due_at + 1)

    assert queued_after_tick() == 0
    assert entry().due_at == due_at


def test_a_time_that_is_due_is_not_lost_when_its_schedule_changes(jobs_app: Flask) -> None:
    queue_scheduled_jobs(JOBS)
    set_entry(schedule="another", due_at=1)

    assert queued_after_tick() == 1
    assert queued_after_tick() == 1


def test_a_job_starts_without_a_transaction(jobs_app: Flask) -> None:
    seen_transactions.clear()
    enqueue(look_around)
    db.session.commit()

    run_all(jobs_app)

    assert seen_transactions == [False]


# part: sqlite
def test_a_claim_reads_only_jobs_that_are_due(jobs_app: Flask) -> None:
    """Of each priority, the index finds the oldest. PostgreSQL chooses plans by its statistics."""
    if db.engine.dialect.name != "sqlite":
        pytest.skip("proof/bench/jobs.py measures PostgreSQL")
    executed: list[Any] = []

    def record(*given: Any) -> None:
        executed.append(given[2:4])

    event.listen(db.engine, "before_cursor_execute", record)
    Queue(db.session).claim(["add_user"])
    event.remove(db.engine, "before_cursor_execute", record)
    statement, parameters = executed[-1]
    plan = db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)

    steps = [row[3] for row in plan]
    assert sum("ix_kit_jobs_priority_run_at (priority=? AND run_at<?)" in step for step in steps) == 3, steps
    release()


# end of part
def test_a_final_error_is_not_tried_again(jobs_app: Flask) -> None:
    enqueue(fail_for_good)
    db.session.commit()

    Worker(jobs_app, Event()).run_next()

    failed = waiting()
    assert failed.failed_at
    assert failed.attempts == 1


def test_only_one_of_two_workers_queues_a_scheduled_job(jobs_app: Flask) -> None:
    queue_scheduled_jobs(JOBS)
    calendar = Calendar(db.session)
    seen_by_both = calendar.entries()["clean_up"]
    release()

    moved = [calendar.move(seen_by_both, seen_by_both.schedule, seen_by_both.due_at + 1) for _ in range(2)]
    db.session.commit()

    assert moved == [True, False]
