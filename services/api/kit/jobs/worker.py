"""Runs queued jobs, one after the other."""

import logging
import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import uniform
from time import monotonic, perf_counter, time
from typing import Any, NoReturn, Protocol

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from kit.data.database import db, reason_of
from kit.jobs.jobs import Job, Runner, all_jobs, run_here, runner_of
from kit.jobs.queue import Calendar, Claimed, Queue
from kit.jobs.schedules import Schedule
from kit.jobs.tracebacks import traceback_of

logger = logging.getLogger("app.jobs")
POLL_SECONDS = 1.0
SCHEDULE_SECONDS = 5.0  # between looks at the schedules
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 10, 3600
ALIVE_SECONDS = 30  # a worker that has been silent for longer is unhealthy


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

    def __init__(self, app: Flask, stopping: Stop, heartbeat: Path | None = None) -> None:
        self.app = app
        self.stopping = stopping
        self.heartbeat = heartbeat
        self.jobs = all_jobs(app)
        self.runner = runner_of(app)
        self.looked_at_schedules = -SCHEDULE_SECONDS

    def run(self) -> None:
        while not self.stopping.is_set():
            self._beat()
            try:
                has_worked = self.run_next()
            except SQLAlchemyError as error:
                logger.warning("no job can be read: %s", reason_of(error))
                has_worked = False
            except WorkerStopped:  # while the database didn't answer
                break
            if not has_worked:
                self.stopping.wait(POLL_SECONDS * uniform(0.8, 1.2))  # noqa: S311 # nosec B311

    def run_next(self) -> bool:
        """Run the next job that is due. Return whether there was one."""
        with self.app.app_context():
            if monotonic() - self.looked_at_schedules >= SCHEDULE_SECONDS:
                self.looked_at_schedules = monotonic()
                queue_scheduled_jobs(self.jobs)
            claimed = Queue(db.session).claim(self.jobs)
            db.session.commit()
            if claimed is None:
                return False
            self._beat(self.jobs[claimed.name].seconds)
            perform(self.jobs[claimed.name], claimed, self.runner)
            return True

    def _beat(self, seconds: float = 0) -> None:
        """Write until when the health check should consider this worker alive."""
        if self.heartbeat:
            self.heartbeat.write_text(str(time() + seconds + ALIVE_SECONDS), encoding="ascii")


def queue_scheduled_jobs(jobs: dict[str, Job[Any]]) -> None:
    """Queue each scheduled job that is due, once, whichever worker does it. Missed times are made up once."""
    calendar, queue = Calendar(db.session), Queue(db.session)
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
                queue.put(name, "{}", priority=jobs[name].priority, milliseconds=jobs[name].seconds * 1000)
        # The second condition: a clock that was wrong has been set back by more than a period.
        elif known.schedule != definition or known.due_at > _next_ms(schedule, due_ms):
            calendar.move(known, definition, due_ms)
        db.session.commit()


def _next_ms(schedule: Schedule, after_ms: int) -> int:
    return int(schedule.next_after(datetime.fromtimestamp(after_ms / 1000, UTC)).timestamp() * 1000)


def perform(job: Job[Any], claimed: Claimed, runner: Runner = run_here) -> None:
    """Run a claimed job, and end or release it in one transaction with its own changes."""
    queue, started = Queue(db.session), perf_counter()
    fields = {"job": job.name, "job_id": claimed.id, "attempt": claimed.attempts}

    def log(level: int, what: str) -> None:
        fields["duration_ms"] = round((perf_counter() - started) * 1000, 1)
        logger.log(level, "%s %s", job.name, what, extra={"fields": fields})

    try:
        if claimed.attempts > job.attempts:
            raise RuntimeError(
                "The last attempt was interrupted: the worker was killed, or ran out of memory."
            )
        with time_limit(job.seconds):
            runner(job, claimed)
        is_ours = queue.finish(claimed)
        if is_ours:
            db.session.commit()
            log(logging.INFO, "done")
    except WorkerStopped:
        db.session().invalidate()  # the signal may have interrupted a statement
        is_ours = queue.release(claimed)
        db.session.commit()
        log(logging.INFO, "interrupted by the shutdown")
    except (Exception, JobTimedOut, SystemExit) as error:
        end_transaction = db.session().invalidate if isinstance(error, JobTimedOut) else db.session.rollback
        end_transaction()
        trace, reason = traceback_of(error), type(error).__name__
        if claimed.attempts >= job.attempts:
            is_ours = queue.give_up(claimed, trace)
            log(logging.ERROR, f"failed for good: {reason}. See `flask job show {claimed.id}`.")
        else:
            is_ours = queue.retry_later(claimed, int(retry_seconds(claimed.attempts) * 1000), trace)
            log(logging.WARNING, f"failed, and will be tried again: {reason}")
        db.session.commit()
    if not is_ours:
        db.session.rollback()
        log(
            logging.WARNING,
            "lost its lease, so its changes were rolled back: it took too long or was deleted",
        )


def retry_seconds(attempts: int) -> float:
    """Return how long to wait before the next attempt. Random, to spread jobs that failed together."""
    longest = min(FIRST_RETRY_SECONDS * 2.0 ** (attempts - 1), LONGEST_RETRY_SECONDS)
    return uniform(longest / 2, longest)  # noqa: S311 # nosec B311


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Interrupt the block after so many seconds. Only the main thread can be interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def time_out(*_: object) -> NoReturn:
        raise JobTimedOut(f"The job took longer than {seconds} s.")

    previous = signal.signal(signal.SIGALRM, time_out)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
