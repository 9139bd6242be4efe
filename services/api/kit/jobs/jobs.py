"""Declares jobs and puts them into the queue.

@job(attempts=3)
def send_report(user_id: UUID) -> None: ...

enqueue(send_report, user_id=user.id)
db.session.commit()
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from inspect import Parameter, signature
from typing import Any, Generic, Literal, NamedTuple, NotRequired, ParamSpec, cast, get_type_hints
from uuid import UUID

from flask import Flask, current_app, g
from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError
from typing_extensions import TypedDict

from kit.data.database import db
from kit.jobs.queue import Claimed, Queue
from kit.jobs.schedules import Schedule

P = ParamSpec("P")
MAX_ARGUMENT_BYTES = 65_536
NAMED = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


@dataclass(frozen=True)
class Job(Generic[P]):
    """A function that a worker runs. Its arguments are stored as JSON."""

    function: Callable[P, object]
    name: str
    schedule: Schedule | None
    attempts: int
    seconds: int  # how long one attempt may take
    priority: int
    arguments: TypeAdapter[dict[str, Any]]
    final_errors: tuple[type[Exception], ...] = ()
    delay: timedelta = timedelta()

    def later(self, delay: timedelta) -> "Job[P]":
        """Return the same job, to be queued with a delay: enqueue(send_report.later(hours), ...)."""
        return replace(self, delay=delay)

    def dump(self, arguments: dict[str, Any]) -> str:
        """Return arguments as JSON. Raises TypeError if they don't fit the function or would change."""
        try:
            valid = self.arguments.validate_python(arguments, strict=True)
            text = self.arguments.dump_json(valid)
            is_same = self.arguments.validate_json(text) == valid
        except ValidationError as error:
            raise TypeError(f"{self.name}: {reasons(error)}") from None
        except PydanticSerializationError:
            is_same = False
        if not is_same:
            raise TypeError(f"{self.name}: an argument can't be stored as JSON and read again unchanged.")
        if len(text) > MAX_ARGUMENT_BYTES:
            raise ValueError(f"{self.name}: the arguments are too large. Store them, and pass their id.")
        return text.decode()

    def run(self, arguments: str, running: "CurrentJob") -> None:
        """Call the function with stored arguments. Raises ValidationError if they don't fit it."""
        g.current_job = running
        function: Callable[..., object] = self.function
        function(**self.arguments.validate_json(arguments))


class CurrentJob(NamedTuple):
    """The job that is running."""

    id: UUID  # the same for each attempt
    attempt: int  # 1, 2, ...


def current_job() -> CurrentJob:
    """Return the job that is running. Raises AttributeError outside of jobs."""
    return cast("CurrentJob", g.current_job)


Runner = Callable[[Job[Any], Claimed], None]


def job(
    *,
    schedule: Schedule | None = None,
    attempts: int = 5,
    seconds: int = 60,
    priority: Literal[-1, 0, 1] = 0,
    name: str = "",
    final_errors: tuple[type[Exception], ...] = (),
) -> Callable[[Callable[P, object]], Job[P]]:
    """Declare a function as a job. List it in the JOBS of the app.

    The function's own database work is committed together with the end of the job, so it takes effect
    exactly once. Work outside of the database may happen again: if a worker is killed, another one repeats
    the job. Before slow work outside, call `release()`, so that no transaction stays open.

    Args:
        schedule: run it at these times, without arguments.
        attempts: give up after so many. Between two, it waits: 10 s, 20 s, 40 s, ... to an hour at most.
        seconds: how long one attempt may take. Then it is interrupted.
        priority: -1 runs before 0, and 0 before 1.
        final_errors: after one of these, no further attempt is made.
    """
    if attempts < 1 or seconds < 1 or priority not in {-1, 0, 1}:
        raise ValueError("A job needs at least one attempt, at least a second, and a priority of -1, 0 or 1.")

    def decorate(function: Callable[P, object]) -> Job[P]:
        own_name = name or function.__name__
        if len(own_name) > 100:
            raise ValueError(f"The name of the job {own_name} is too long.")
        if schedule:
            signature(function).bind()  # raises TypeError if it needs arguments
            schedule.next_after(datetime.now(UTC))  # raises ValueError if it never comes
        arguments = _arguments_of(function)
        return Job(function, own_name, schedule, attempts, seconds, priority, arguments, final_errors)

    return decorate


def _arguments_of(function: Callable[..., object]) -> TypeAdapter[dict[str, Any]]:
    """Return what validates and serializes the arguments of a function, by its annotations."""
    hints, fields = get_type_hints(function, include_extras=True), {}
    for parameter in signature(function).parameters.values():
        if parameter.kind not in NAMED:
            raise TypeError(
                f"{function.__name__}: a job has only named arguments, so *{parameter.name} can't work."
            )
        annotation = hints.get(parameter.name, Any)
        fields[parameter.name] = (
            annotation if parameter.default is Parameter.empty else NotRequired[annotation]
        )
    arguments = cast("Any", TypedDict)("Arguments", fields)
    arguments.__pydantic_config__ = ConfigDict(extra="forbid", hide_input_in_errors=True)
    return TypeAdapter(arguments)


def reasons(error: ValidationError) -> str:
    """Return the reasons of the errors, without the rejected values."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in found)


def run_here(job: Job[Any], claimed: Claimed) -> None:
    """Run a claimed job in the worker itself."""
    job.run(claimed.arguments, CurrentJob(claimed.id, claimed.attempts))


def init_app(app: Flask, jobs: Iterable[Job[Any]], runner: Runner = run_here) -> None:
    """Register the jobs of an app. `runner` may hand them over to another engine (docs/2-build/jobs.md)."""
    app.extensions["jobs"] = {}
    app.extensions["job_runner"] = runner
    add(app, jobs)


def add(app: Flask, jobs: Iterable[Job[Any]]) -> None:
    """Register more jobs, those of an optional feature."""
    for each in jobs:
        if all_jobs(app).setdefault(each.name, each) is not each:
            raise ValueError(f"Two jobs have the name {each.name}.")


def all_jobs(app: Flask) -> dict[str, Job[Any]]:
    """Return the jobs of an app by name."""
    return cast("dict[str, Job[Any]]", app.extensions["jobs"])


def runner_of(app: Flask) -> Runner:
    return cast("Runner", app.extensions["job_runner"])


def enqueue(job: Job[P], *args: P.args, **kwargs: P.kwargs) -> UUID:
    """Queue a job in the current transaction, and return its id.

    It runs after the commit, and never if the transaction is rolled back. Don't pass secrets: arguments are
    stored, and `flask job show` prints them. Raises TypeError if the arguments don't fit the function.
    """
    if job.name not in all_jobs(current_app):
        raise LookupError(f"The job {job.name} isn't in JOBS, so no worker would run it.")
    bound = signature(job.function).bind(*args, **kwargs)
    return put(job, job.dump(bound.arguments))


def put(job: Job[Any], arguments: str) -> UUID:
    """Queue a job with arguments that are JSON already, and return its id."""
    return Queue(db.session).put(
        job.name,
        arguments,
        priority=job.priority,
        milliseconds=job.seconds * 1000,
        delay_ms=int(job.delay.total_seconds() * 1000),
    )
