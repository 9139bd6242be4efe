"""The queue: a table of jobs that wait, run or have failed. A finished job has no row."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from functools import cache
from typing import Any, NamedTuple, Self
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    Index,
    Row,
    Select,
    String,
    Text,
    Uuid,
    bindparam,
    delete,
    func,
    insert,
    literal_column,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from kit.data.attempts import clock
from kit.data.base import Base
from kit.data.repository import Repository

MAX_ERROR_LENGTH = 10_000
PRIORITIES = (-1, 0, 1)  # lower numbers run first
GRACE_MS = 5_000  # between the time limit of a job and the end of its lease, to record the failure
WAITS = text("failed_at IS NULL")


class QueuedJob(Base):
    """A job. Times are in milliseconds since 1970 by the database's clock, which all workers share."""

    __tablename__ = "kit_jobs"
    # A claim reads one entry, however many jobs are due, delayed or failed.
    __table_args__ = (Index(None, "priority", "run_at", postgresql_where=WAITS, sqlite_where=WAITS),)

    name: Mapped[str] = mapped_column(String(100))
    arguments: Mapped[str] = mapped_column(Text)  # a JSON object
    priority: Mapped[int]
    milliseconds: Mapped[int]  # how long one attempt may take
    run_at: Mapped[int] = mapped_column(BigInteger)  # not before; while it runs, when its lease expires
    attempts: Mapped[int]  # begun so far
    lease: Mapped[UUID | None]  # of the worker that runs it
    created_at: Mapped[int] = mapped_column(BigInteger)
    failed_at: Mapped[int | None] = mapped_column(BigInteger)  # after its last attempt
    error: Mapped[str | None] = mapped_column(Text)  # the traceback of its latest attempt


class ScheduledJob(Base):
    """When a scheduled job is due next."""

    __tablename__ = "kit_scheduled_jobs"
    __table_args__ = (Index(None, "name", unique=True),)

    name: Mapped[str] = mapped_column(String(100))
    schedule: Mapped[str] = mapped_column(String(255))
    due_at: Mapped[int] = mapped_column(BigInteger)


class Claimed(NamedTuple):
    """A job that a worker may run until its lease expires."""

    id: UUID
    name: str
    arguments: str
    attempts: int
    lease: UUID


class Depth(NamedTuple):
    waiting: float  # due, delayed or running
    failed: float
    oldest_seconds: float  # how long the job that is due for longest has been waiting

    @classmethod
    def of(cls, row: Row[int, int, int]) -> Self:
        waiting, total, oldest_ms = row
        return cls(waiting, total - waiting, (oldest_ms or 0) / 1000)


class Queue(Repository[QueuedJob]):
    model = QueuedJob

    def put(self, name: str, arguments: str, *, priority: int, milliseconds: int, delay_ms: int = 0) -> UUID:
        """Queue a job and return its id. It runs after the caller's transaction is committed."""
        id = uuid4()
        values = {
            "id": id,
            "name": name,
            "arguments": arguments,
            "priority": priority,
            "milliseconds": milliseconds,
            "run_at": clock() + delay_ms,
            "attempts": 0,
            "created_at": clock(),
        }
        self.session.execute(insert(QueuedJob).values(values))
        return id

    def claim(self, names: Collection[str]) -> Claimed | None:
        """Lease the next job that is due. Commit before running it. Skips jobs of a newer release."""
        lease = uuid4()
        row = self.session.execute(_claim(), {"new_lease": lease, "names": list(names)}).first()
        return Claimed(row.id, row.name, row.arguments, row.attempts, lease) if row else None

    def finish(self, job: Claimed) -> bool:
        """Remove a job that is done. False means that its lease has expired and another worker has it."""
        return self.change(delete(QueuedJob).where(*_held(job))) == 1

    def retry_later(self, job: Claimed, delay_ms: int, error: str) -> bool:
        return self._end_attempt(job, run_at=clock() + delay_ms, error=error[-MAX_ERROR_LENGTH:])

    def give_up(self, job: Claimed, error: str) -> bool:
        """Keep a job whose last attempt has failed, for `flask job retry`."""
        return self._end_attempt(job, failed_at=clock(), error=error[-MAX_ERROR_LENGTH:])

    def release(self, job: Claimed) -> bool:
        """Let another worker run an interrupted job at once. The attempt doesn't count."""
        return self._end_attempt(job, run_at=clock(), attempts=QueuedJob.attempts - 1)

    def _end_attempt(self, job: Claimed, **values: Any) -> bool:
        return self.change(update(QueuedJob).where(*_held(job)).values(lease=None, **values)) == 1

    def retry_failed(self, id: UUID | None, name: str | None = None) -> int:
        """Run a failed job again from its first attempt, or all failed ones. Return how many."""
        again = update(QueuedJob).where(*_chosen(id, name, failed_only=True))
        return self.change(again.values(failed_at=None, attempts=0, run_at=clock()))

    def discard(self, id: UUID | None, name: str | None = None, *, failed_only: bool = False) -> int:
        """Delete a job, or all that match. Return how many."""
        return self.change(delete(QueuedJob).where(*_chosen(id, name, failed_only=failed_only)))

    def prune_failed(self, kept: timedelta) -> int:
        """Delete failed jobs that are older than they are kept. Their arguments may have personal data."""
        oldest = clock() - int(kept.total_seconds() * 1000)
        return self.change(delete(QueuedJob).where(QueuedJob.failed_at < oldest))

    def newest(self, limit: int, *, failed_only: bool = False) -> Sequence[QueuedJob]:
        """Return the newest jobs, or only those that have failed for good."""
        query = (
            select(QueuedJob)
            .where(*_chosen(None, None, failed_only=failed_only))
            .order_by(QueuedJob.created_at.desc())
            .limit(limit)
        )
        return self.session.scalars(query).all()

    def depth(self) -> Depth:
        return Depth.of(self.session.execute(depth_query()).one())


def depth_query() -> Select[int, int, int]:
    """Count waiting and all jobs. Reads indexes, not rows: those with arguments and tracebacks are long."""
    table = QueuedJob.__table__
    number, waits = select(func.count()).select_from(table), WAITS
    waiting = number.where(waits).scalar_subquery()
    now = select(clock()).scalar_subquery()  # read once, so that the index finds the due jobs
    oldest = (
        select(func.min(table.c.run_at))
        .where(waits, table.c.priority == literal_column(str(priority)), table.c.run_at <= now)
        .scalar_subquery()
        for priority in PRIORITIES
    )
    due = union_all(*(select(each.label("run_at")) for each in oldest)).subquery()
    oldest_ms = select(clock() - func.min(due.c.run_at)).scalar_subquery()
    return select(waiting, number.scalar_subquery(), oldest_ms)


class Calendar(Repository[ScheduledJob]):
    """When each scheduled job is due."""

    model = ScheduledJob

    def now_ms(self) -> int:
        return int(self.session.scalar(select(clock())) or 0)

    def entries(self) -> dict[str, ScheduledJob]:
        return {each.name: each for each in self.session.scalars(select(ScheduledJob))}

    def enter(self, name: str, schedule: str, due_at: int) -> None:
        """Enter a schedule, unless another worker has."""
        entry = self.insertion().values(id=uuid4(), name=name, schedule=schedule, due_at=due_at)
        self.session.execute(entry.on_conflict_do_nothing(index_elements=["name"]))

    def move(self, known: ScheduledJob, schedule: str, due_at: int) -> bool:
        """Enter the next time of a schedule. Only one of several workers succeeds."""
        entry = update(ScheduledJob).where(
            ScheduledJob.id == known.id,
            ScheduledJob.due_at == known.due_at,
            ScheduledJob.schedule == known.schedule,
        )
        return self.change(entry.values(schedule=schedule, due_at=due_at)) == 1


@cache
def _claim() -> Any:
    """Return the statement of `claim`.

    COALESCE reads the priorities one after the other, until one has a job that is due. A single query over
    all of them would read each delayed job of a higher priority first.
    """
    jobs = QueuedJob.__table__.c
    now = select(clock()).scalar_subquery()  # read once, so that the index finds the due jobs
    due = (
        select(jobs.id)
        .where(
            WAITS,
            jobs.priority == literal_column(str(priority)),
            jobs.run_at <= now,
            jobs.name.in_(bindparam("names", expanding=True)),
        )
        .order_by(jobs.run_at)
        .limit(literal_column("1"))
        .with_for_update(skip_locked=True)
        .scalar_subquery()
        for priority in PRIORITIES
    )
    return (
        update(QueuedJob.__table__)  # type: ignore[arg-type]
        .where(jobs.id == func.coalesce(*due))
        .values(
            lease=bindparam("new_lease", type_=Uuid()),
            attempts=jobs.attempts + 1,
            run_at=clock() + jobs.milliseconds + GRACE_MS,
        )
        .returning(jobs.id, jobs.name, jobs.arguments, jobs.attempts)
    )


def _chosen(id: UUID | None, name: str | None, *, failed_only: bool) -> list[Any]:
    chosen = [QueuedJob.id == id] if id else []
    chosen += [QueuedJob.name == name] if name else []
    return [*chosen, QueuedJob.failed_at.is_not(None)] if failed_only else chosen


def _held(job: Claimed) -> tuple[Any, ...]:
    return QueuedJob.id == job.id, QueuedJob.lease == job.lease
