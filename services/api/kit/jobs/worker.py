"""Runs queued jobs, one after the other."""

import logging
import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from random import uniform
from time import monotonic, perf_counter
from typing import Any, NoReturn, Protocol

from flask import Flask, current_app
from sqlalchemy.exc import SQLAlchemyError

from kit.data.database import db, reason_of
from kit.data.deadline import database_deadline
from kit.jobs.heartbeat import Heartbeat
from kit.jobs.jobs import Job, Runner, all_jobs, put, run_here, runner_of
from kit.jobs.queue import Calendar, Claimed, Queue
from kit.jobs.schedules import Schedule
from kit.jobs.tracebacks import traceback_of

logger = logging.getLogger("app.jobs")
POLL_SECONDS = 1.0
SCHEDULE_SECONDS = 5.0  # between looks at the schedules
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 10, 3600
AGAIN_SECONDS = 1.0  # after an interruption that the job has swallowed
PAUSE_SECONDS = 5.0  # after an error of the database
DATABASE_SECONDS = 5.0  # that reading the queue, or ending a job, may take


class JobTimedOut(BaseException):
    """The job took longer than its time limit. `except Exception` in a job doesn't catch it."""


class WorkerStopped(BaseException):
    """The worker must stop now. The job will run again."""


class Stop(Protocol):
    def is_set(self) -> bool: ...

    def wait(self, timeout: float) -> bool: ...


class SignalledStop:
    """Like threading.Event, but a signal handler may set it while the main thread waits for it."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        self._is_set = False

    def set(self) -> None:
        self._is_set = True
        os.write(self._writer, b"!")

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, timeout: float) -> bool:
        select.select([self._reader], [], [], timeout)
        return self._is_set


class Worker:
    """Runs the jobs of one app, one at a time, until `stopping` is set."""

    def __init__(self, app: Flask, stopping: Stop, heartbeat: Heartbeat | None = None) -> None:
        self.app = app
        self.stopping = stopping
        self.heartbeat = heartbeat
        self.jobs = all_jobs(app)
        self.runner = runner_of(app)
        self.looked_at_schedules = -SCHEDULE_SECONDS
        self.running: Claimed | None = None

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                pause = 0.0 if self.run_next() else POLL_SECONDS
                if self.heartbeat:
                    self.heartbeat.begin()
            except SQLAlchemyError as error:
                logger.warning("the queue can't be read: %s", reason_of(error))
                pause = PAUSE_SECONDS
            except WorkerStopped:  # while the database didn't answer
                break
            except Exception:
                logger.exception("the worker failed, and continues")
                pause = PAUSE_SECONDS
            self._beat()
            if pause:
                self.stopping.wait(pause * uniform(0.8, 1.2))  # noqa: S311 # nosec B311

    def run_next(self) -> bool:
        """Run the next job that is due. Return whether there was one."""
        with self.app.app_context():
            with database_deadline(DATABASE_SECONDS):
                if monotonic() - self.looked_at_schedules >= SCHEDULE_SECONDS:
                    self.looked_at_schedules = monotonic()
                    queue_scheduled_jobs(self.jobs)
                claimed = Queue(db.session).claim(self.jobs)
                db.session.commit()
            if claimed is None:
                return False
            job, self.running = self.jobs[claimed.name], claimed
            self._beat(job.seconds)
            try:
                perform(job, claimed, self.stopping, self.runner)
            finally:
                self.running = None
            return True

    def _beat(self, seconds: float = 0) -> None:
        if self.heartbeat:
            self.heartbeat.beat(seconds)

    def release_running(self) -> None:
        """Let another worker run the job of this one, which must stop. Called by another thread."""
        if claimed := self.running:
            with self.app.app_context(), database_deadline(DATABASE_SECONDS):
                try:
                    Queue(db.session).release(claimed)
                    db.session.commit()
                except SQLAlchemyError:  # then it runs again when the lease has expired
                    db.session.rollback()
            logger.info("%s interrupted by the shutdown", claimed.name, extra={"fields": fields_of(claimed)})


def fields_of(claimed: Claimed) -> dict[str, Any]:
    return {"job": claimed.name, "job_id": claimed.id, "attempt": claimed.attempts}


def queue_scheduled_jobs(jobs: dict[str, Job[Any]]) -> None:
    """Queue each scheduled job that is due, once, whichever worker does it. Missed times are made up once."""
    calendar = Calendar(db.session)
    scheduled = {name: job.schedule for name, job in jobs.items() if job.schedule}
    if not scheduled:
        return
    entries, now_ms = calendar.entries(), calendar.now_ms()
    for name, schedule in scheduled.items():
        definition, due_ms = repr(schedule), _next_ms(schedule, now_ms)
        known = entries.get(name)
        if known is None:
            calendar.enter(name, definition, due_ms)
        elif known.due_at <= now_ms:
            if calendar.move(known, definition, due_ms):
                put(jobs[name], "{}")
        # The second condition: a clock that was wrong has been set back by more than a period.
        elif known.schedule != definition or known.due_at > _next_ms(schedule, due_ms):
            calendar.move(known, definition, due_ms)
        db.session.commit()


def _next_ms(schedule: Schedule, after_ms: int) -> int:
    return int(schedule.next_after(datetime.fromtimestamp(after_ms / 1000, UTC)).timestamp() * 1000)


def perform(job: Job[Any], claimed: Claimed, stopping: Stop, runner: Runner = run_here) -> None:
    """Run a claimed job, and end or release it in one transaction with its own changes."""
    queue, started, fields = Queue(db.session), perf_counter(), fields_of(claimed)

    def log(level: int, outcome: str, what: str) -> None:
        fields["duration_ms"] = round((perf_counter() - started) * 1000, 1)
        logger.log(level, "%s %s", job.name, what, extra={"fields": fields})
        count_attempt(job.name, outcome)

    try:
        if claimed.attempts > job.attempts:
            raise RuntimeError(
                "The last attempt was interrupted: the worker was killed, or ran out of memory."
            )
        with time_limit(job.seconds, stopping):
            runner(job, claimed)
        with database_deadline(DATABASE_SECONDS):
            is_ours = queue.finish(claimed)
            if is_ours:
                db.session.commit()
                log(logging.INFO, "done", "done")
    except WorkerStopped:
        with database_deadline(DATABASE_SECONDS):
            db.session().invalidate()  # the signal may have interrupted a statement
            is_ours = queue.release(claimed)
            db.session.commit()
        log(logging.INFO, "interrupted", "interrupted by the shutdown")
    except (Exception, JobTimedOut, SystemExit) as error:
        end_transaction = db.session().invalidate if isinstance(error, JobTimedOut) else db.session.rollback
        trace, reason = traceback_of(error), type(error).__name__
        with database_deadline(DATABASE_SECONDS):
            end_transaction()
            if claimed.attempts >= job.attempts or isinstance(error, job.final_errors):
                is_ours = queue.give_up(claimed, trace)
                log(logging.ERROR, "failed", f"failed for good: {reason}. See `flask job show {claimed.id}`.")
            else:
                is_ours = queue.retry_later(claimed, int(retry_seconds(claimed.attempts) * 1000), trace)
                log(logging.WARNING, "retried", f"failed, and will be tried again: {reason}")
            db.session.commit()
    if not is_ours:
        db.session.rollback()
        log(
            logging.WARNING,
            "lost",
            "lost its lease, because it took too long or was deleted. Its changes were rolled back.",
        )


def count_attempt(job: str, outcome: str) -> None:
    """Count an attempt, if the app has metrics (kit/jobs/metrics.py)."""
    if attempts := current_app.extensions.get("job_attempts"):
        attempts.labels(job, outcome).inc()


def retry_seconds(attempts: int) -> float:
    """Return how long to wait before the next attempt. Random, to spread jobs that failed together."""
    longest = min(FIRST_RETRY_SECONDS * 2.0 ** (attempts - 1), LONGEST_RETRY_SECONDS)
    return uniform(longest / 2, longest)  # noqa: S311 # nosec B311


@contextmanager
def time_limit(seconds: float, stopping: Stop) -> Iterator[None]:
    """Interrupt the block after so many seconds. In another thread than the main one, only statements end."""
    with database_deadline(seconds):
        if threading.current_thread() is threading.main_thread():
            with _alarm(seconds, stopping):
                yield
        else:
            yield


@contextmanager
def _alarm(seconds: float, stopping: Stop) -> Iterator[None]:
    def time_out(*_: object) -> NoReturn:
        raise JobTimedOut(f"The job took longer than {seconds} s.")

    previous = signal.signal(signal.SIGALRM, time_out)
    # Again each second: Python drops an exception in a destructor, and a bare `except:` catches it.
    signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_SECONDS)
    try:
        if stopping.is_set():  # after the claim, so this alarm has replaced that of the stop
            raise WorkerStopped
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
