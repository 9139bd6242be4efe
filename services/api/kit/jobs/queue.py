"""The queue: a table of jobs that wait, run or have failed. A finished job has no row."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, Index, String, Text, delete, func, insert, select, update
from sqlalchemy.orm import Mapped, mapped_column

from kit.data.attempts import clock
from kit.data.base import Base
from kit.data.repository import Repository

MAX_ERROR_LENGTH = 10_000


class QueuedJob(Base):
    """A job. Times are in milliseconds since 1970 by the database's clock, which all workers share."""

    __tablename__ = "kit_jobs"
    __table_args__ = (Index(None, "failed_at", "priority", "run_at"),)

    name: Mapped[str] = mapped_column(String(100))
    arguments: Mapped[str] = mapped_column(Text)  # a JSON object
    priority: Mapped[int]  # lower numbers run first
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
    waiting: int
    failed: int
    oldest_seconds: float  # how long the job that is due for longest has been waiting


class Queue(Repository[QueuedJob]):
    model = QueuedJob

    def put(self, name: str, arguments: str, *, priority: int, milliseconds: int, delay_ms: int = 0) -> None:
        """Queue a job. It runs after the caller's transaction is committed."""
        values = {
            "id": uuid4(),
            "name": name,
            "arguments": arguments,
            "priority": priority,
            "milliseconds": milliseconds,
            "run_at": clock() + delay_ms,
            "attempts": 0,
            "created_at": clock(),
        }
        self.session.execute(insert(QueuedJob).values(values))

    def claim(self, names: Collection[str]) -> Claimed | None:
        """Lease the next job that is due. Commit before running it. Skips jobs of a newer release."""
        lease = uuid4()
        due = (
            select(QueuedJob.id)
            .where(QueuedJob.failed_at.is_(None), QueuedJob.run_at <= clock(), QueuedJob.name.in_(names))
            .order_by(QueuedJob.priority, QueuedJob.run_at)
            .limit(1)
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
        claim = (
            update(QueuedJob)
            .where(QueuedJob.id == due)
            .values(lease=lease, attempts=QueuedJob.attempts + 1, run_at=clock() + QueuedJob.milliseconds)
            .returning(QueuedJob.id, QueuedJob.name, QueuedJob.arguments, QueuedJob.attempts)
        )
        row = self.session.execute(claim.execution_options(synchronize_session=False)).first()
        return Claimed(*row, lease) if row else None

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

    def retry_failed(self, id: UUID) -> bool:
        """Run a failed job again, from its first attempt."""
        again = update(QueuedJob).where(QueuedJob.id == id, QueuedJob.failed_at.is_not(None))
        return self.change(again.values(failed_at=None, attempts=0, run_at=clock())) == 1

    def discard(self, id: UUID) -> bool:
        return self.change(delete(QueuedJob).where(QueuedJob.id == id)) == 1

    def newest(self, limit: int, *, failed_only: bool = False) -> Sequence[QueuedJob]:
        """Return the newest jobs, or only those that have failed for good."""
        chosen = [QueuedJob.failed_at.is_not(None)] if failed_only else []
        query = select(QueuedJob).where(*chosen).order_by(QueuedJob.created_at.desc()).limit(limit)
        return self.session.scalars(query).all()

    def depth(self) -> Depth:
        is_due = QueuedJob.failed_at.is_(None) & (QueuedJob.run_at <= clock())
        waiting, failed, oldest = self.session.execute(
            select(
                func.count().filter(QueuedJob.failed_at.is_(None)),
                func.count().filter(QueuedJob.failed_at.is_not(None)),
                clock() - func.min(QueuedJob.run_at).filter(is_due),
            ).select_from(QueuedJob)
        ).one()
        return Depth(waiting, failed, (oldest or 0) / 1000)


class Calendar(Repository[ScheduledJob]):
    """When each scheduled job is due."""

    model = ScheduledJob

    def now_ms(self) -> int:
        return int(self.session.scalar(select(clock())) or 0)

    def entries(self) -> dict[str, tuple[str, int]]:
        rows = self.session.execute(select(ScheduledJob.name, ScheduledJob.schedule, ScheduledJob.due_at))
        return {name: (schedule, due_at) for name, schedule, due_at in rows}

    def set_due(self, name: str, schedule: str, due_at: int) -> None:
        """Enter a schedule that is new or that the code has changed."""
        entry = self.insertion().values(id=uuid4(), name=name, schedule=schedule, due_at=due_at)
        changed = {"schedule": schedule, "due_at": due_at}
        self.session.execute(
            entry.on_conflict_do_update(
                index_elements=["name"], set_=changed, where=ScheduledJob.schedule != schedule
            )
        )

    def take(self, name: str, due_at: int, next_at: int) -> bool:
        """Move a due entry to its next time. Only one of several workers succeeds."""
        entry = update(ScheduledJob).where(ScheduledJob.name == name, ScheduledJob.due_at == due_at)
        return self.change(entry.values(due_at=next_at)) == 1


def _held(job: Claimed) -> tuple[Any, ...]:
    return QueuedJob.id == job.id, QueuedJob.lease == job.lease
