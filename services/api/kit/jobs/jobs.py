"""Declares jobs and puts them into the queue.

@job(attempts=3)
def send_report(user_id: UUID) -> None: ...

enqueue(send_report, user_id=user.id)
db.session.commit()
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from inspect import signature
from typing import Any, Generic, ParamSpec, cast

from flask import Flask, current_app
from pydantic import ConfigDict, validate_call
from pydantic_core import from_json, to_json

from kit.data.database import db
from kit.jobs.queue import Queue
from kit.jobs.schedules import Schedule

P = ParamSpec("P")


@dataclass(frozen=True)
class Job(Generic[P]):
    """A function that a worker runs. Its arguments are stored as JSON and validated by their annotations."""

    function: Callable[P, object]
    name: str
    schedule: Schedule | None
    attempts: int
    seconds: int  # how long one attempt may take
    priority: int  # lower numbers run first
    delay: timedelta = timedelta()

    def later(self, delay: timedelta) -> "Job[P]":
        """Return the same job, to be queued with a delay: enqueue(send_report.later(hours), ...)."""
        return replace(self, delay=delay)

    def run(self, arguments: str) -> None:
        """Call the function with stored arguments. Raises ValidationError if they don't fit it."""
        function: Callable[..., object] = self.function
        validate_call(config=ConfigDict(hide_input_in_errors=True))(function)(**from_json(arguments))


def job(
    *,
    schedule: Schedule | None = None,
    attempts: int = 5,
    seconds: int = 60,
    priority: int = 0,
    name: str = "",
) -> Callable[[Callable[P, object]], Job[P]]:
    """Declare a function as a job. List it in the JOBS of the app.

    The function's own database work is committed together with the end of the job, so it takes effect
    exactly once. Work outside of the database may happen again: if a worker is killed, another one repeats
    the job. Before slow work outside, call `release()`, so that no transaction stays open.

    Args:
        schedule: run it at these times, without arguments.
        attempts: give up after so many. Between two, it waits: 10 s, 20 s, 40 s, ... to an hour at most.
        seconds: how long one attempt may take. Then it is interrupted, and another worker may run it.
    """

    def decorate(function: Callable[P, object]) -> Job[P]:
        return Job(function, name or function.__name__, schedule, attempts, seconds, priority)

    return decorate


def init_app(app: Flask, jobs: Iterable[Job[Any]]) -> None:
    by_name = {each.name: each for each in jobs}
    app.extensions["jobs"] = by_name


def all_jobs(app: Flask) -> dict[str, Job[Any]]:
    """Return the jobs of an app by name."""
    return cast("dict[str, Job[Any]]", app.extensions["jobs"])


def enqueue(job: Job[P], *args: P.args, **kwargs: P.kwargs) -> None:
    """Queue a job in the current transaction: it runs after the commit, and never if that is rolled back.

    Don't pass secrets: arguments are stored, and `flask job show` prints them. Raises TypeError if the
    arguments don't fit the function.
    """
    if job.name not in all_jobs(current_app):
        raise LookupError(f"The job {job.name} isn't in JOBS, so no worker would run it.")
    bound = signature(job.function).bind(*args, **kwargs)
    Queue(db.session).put(
        job.name,
        to_json(bound.arguments).decode(),
        priority=job.priority,
        milliseconds=job.seconds * 1000,
        delay_ms=int(job.delay.total_seconds() * 1000),
    )
