"""Measure the queue of jobs on the database of the environment. It prints the rows of a Markdown table.

It runs in the API's image too, so it imports only the app. It deletes all jobs, so use a throwaway database.
"""

from collections.abc import Callable, Iterable
from itertools import chain
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from statistics import median
from time import monotonic, perf_counter, sleep
from typing import Any
from uuid import UUID, uuid4

from flask import Flask
from sqlalchemy import delete, func, insert, select, update

from app import create_app
from app.database import db
from app.model.models import User
from kit.data.attempts import clock
from kit.jobs import jobs
from kit.jobs.jobs import enqueue, job
from kit.jobs.queue import Queue, QueuedJob
from kit.jobs.worker import Worker

MANY = 100_000
ROWS = [UUID(int=number) for number in range(1000)]
SECONDS = 5
TIMES = 200


@job()
def touch(id: UUID) -> None:
    """Do what a small job does: one UPDATE."""
    db.session.execute(update(User).where(User.id == id).values(password_hash="-"))


class Deadline:
    """What stops a worker, after some seconds."""

    def __init__(self, seconds: float) -> None:
        self.end = monotonic() + seconds

    def is_set(self) -> bool:
        return monotonic() > self.end

    def wait(self, timeout: float) -> bool:
        sleep(timeout)
        return self.is_set()


def new_app() -> Flask:
    app = create_app()
    jobs.init_app(app, [touch])
    return app


def main() -> None:
    with new_app().app_context():
        name = db.engine.dialect.name
        db.session.execute(delete(User).where(User.id.in_(ROWS)))
        users: list[dict[str, Any]] = [
            {"id": id, "username": str(id), "username_key": str(id), "password_hash": "-"} for id in ROWS
        ]
        db.session.execute(insert(User), users)
        for what, measured in chain(costs(), rates()):
            print(f"| {name} | {what} | {measured} |", flush=True)
        db.session.execute(delete(QueuedJob))
        db.session.execute(delete(User).where(User.id.in_(ROWS)))
        db.session.commit()


def costs() -> Iterable[tuple[str, str]]:
    fill(0)
    yield "enqueue, in a transaction that is open anyway", microseconds(lambda: enqueue(touch, ROWS[0]))
    fill(0)
    yield "a poll of an empty queue", microseconds(claim)
    fill(MANY)
    yield f"claim of one of {MANY:,} due jobs", microseconds(claim)
    fill(MANY, priority=-1, delay_ms=3_600_000)
    yield f"a poll when {MANY:,} urgent jobs are delayed", microseconds(claim)
    fill(MANY, failed=True)
    yield f"a poll when {MANY:,} jobs have failed", microseconds(claim)
    fill(MANY, name="removed")
    yield f"a poll when {MANY:,} jobs are due that this release doesn't know", microseconds(claim, 5)


def rates() -> Iterable[tuple[str, str]]:
    context = get_context("spawn")
    for number in (1, 2, 4):
        fill(MANY)
        barrier = context.Barrier(number)
        workers = [context.Process(target=work, args=(barrier,)) for _ in range(number)]
        for each in workers:
            each.start()
        for each in workers:
            each.join()
        left = db.session.scalar(select(func.count()).select_from(QueuedJob)) or 0
        db.session.commit()
        yield f"{number} worker{'s' * (number > 1)}", f"{(MANY - left) / SECONDS:,.0f} jobs per second"


def work(barrier: Barrier) -> None:
    app = new_app()
    barrier.wait()
    Worker(app, Deadline(SECONDS)).run()


def claim() -> None:
    Queue(db.session).claim(["touch"])
    db.session.commit()


def fill(
    number: int, *, name: str = "touch", priority: int = 0, delay_ms: int = 0, failed: bool = False
) -> None:
    """Replace the jobs in the queue."""
    db.session.execute(delete(QueuedJob))
    now = db.session.scalar(select(clock())) or 0
    for start in range(0, number, 10_000):
        rows: list[dict[str, Any]] = [
            {
                "id": uuid4(),
                "name": name,
                "arguments": touch.dump({"id": ROWS[each % len(ROWS)]}),
                "priority": priority,
                "milliseconds": 60_000,
                "run_at": now + delay_ms - number + each,
                "attempts": 0,
                "created_at": now,
                "failed_at": now if failed else None,
            }
            for each in range(start, start + 10_000)
        ]
        db.session.execute(insert(QueuedJob), rows)
    db.session.commit()


def microseconds(call: Callable[[], object], times: int = TIMES) -> str:
    """Return the median time of a call. The calls before it fill the caches."""
    for _ in range(3):
        call()
    took = []
    for _ in range(times):
        began = perf_counter()
        call()
        took.append(perf_counter() - began)
    db.session.commit()
    return f"{median(took) * 1e6:,.0f} µs"


if __name__ == "__main__":
    main()
