"""What is counted against a limit: the recent attempts under each key, exact however many come at once."""

from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from secrets import token_hex
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Index,
    String,
    Text,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    select,
    update,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.functions import FunctionElement

from kit.data.base import Base
from kit.data.repository import INSERT, Repository
from kit.errors import TooManyAttempts

TIME_LENGTH = 13  # digits of a time: milliseconds since 1970
PENDING, CONFIRMED = "?", "!"  # behind it: whether it counts for good
NONCE_LENGTH = 6  # and behind that, what tells it from another one of the same millisecond
ENTRY_LENGTH = TIME_LENGTH + 1 + NONCE_LENGTH  # characters of one attempt
PENDING_MILLISECONDS = 10_000  # milliseconds; what is undecided longer was cut off


class Count(NamedTuple):
    """One thing to count: under which key, how many attempts are let through, in how many seconds."""

    key: UUID
    attempts: int
    seconds: int


class clock(FunctionElement[int]):  # noqa: N801
    """The database's clock in milliseconds since 1970: one for all processes, and of now, not of the
    transaction's begin."""

    type = BigInteger()
    inherit_cache = True


@compiles(clock, "postgresql")
def _clock_postgresql(*_: object, **__: object) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"


@compiles(clock, "sqlite")
def _clock_sqlite(*_: object, **__: object) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


def key(*parts: str) -> UUID:
    """Return the key of what is counted: of one length, and telling no name or address."""
    return UUID(bytes=sha256("\n".join(parts).encode("utf-8", "surrogatepass")).digest()[:16])


class Attempts(Base):
    """What was counted under one key, the `id`."""

    __tablename__ = "attempts"
    __table_args__ = (Index(None, "expires_at"),)

    # The newest attempts, newest first, each a time and a mark of fixed length: the one kind of list that
    # PostgreSQL and SQLite cut and search with the same functions.
    entries: Mapped[str] = mapped_column(Text)
    attempts: Mapped[int]  # the limit: so many
    milliseconds: Mapped[int]  # in such a time
    expires_at: Mapped[int] = mapped_column(BigInteger)  # by the database's clock, in milliseconds since 1970


class AttemptRepository(Repository[Attempts]):
    model = Attempts

    def reserve(self, counts: Iterable[Count], state: str = PENDING) -> dict[UUID, str]:
        """Count one attempt under each key, and return under each key the entry that it made.

        Raises TooManyAttempts if a limit is reached; roll back then, so that nothing is counted. One upsert
        of rows in the order of their keys: two at once wait for each other and do not deadlock.
        """
        ordered = sorted(counts)
        tail = state + token_hex(NONCE_LENGTH // 2)
        rows = [
            {
                "id": count.key,
                "tail": tail,
                "attempts": count.attempts,
                "milliseconds": count.seconds * 1000,
                "lasting": count.seconds * 1000,  # a column's own name may not stand in an expression
            }
            for count in ordered
        ]
        counted = dict(self.session.execute(_upsert(self.dialect), rows).all())
        if refused := [count for count in ordered if count.key not in counted]:
            raise TooManyAttempts(max(self._seconds_until_room(count) for count in refused))
        return counted

    def cancel(self, entries: dict[UUID, str], cleared: UUID | None = None) -> None:
        """Uncount an attempt; under the cleared key, all of them."""
        self._rewrite(
            {
                id: "" if id == cleared else func.replace(Attempts.entries, entry, "")
                for id, entry in entries.items()
            }
        )

    def confirm(self, entries: dict[UUID, str]) -> None:
        """Let an attempt count for good."""
        self._rewrite(
            {
                id: func.replace(Attempts.entries, entry, entry.replace(PENDING, CONFIRMED))
                for id, entry in entries.items()
            }
        )

    def _rewrite(self, rewritten: dict[UUID, Any]) -> None:
        """Change rows, locked in the order in which `reserve` locks them."""
        ordered = (
            select(Attempts.id).where(Attempts.id.in_(rewritten)).order_by(Attempts.id).with_for_update()
        )
        by_id = case(*((Attempts.id == id, entries) for id, entries in rewritten.items()))
        self.change(update(Attempts).where(Attempts.id.in_(ordered)).values(entries=by_id))

    def prune(self, limit: int = 100) -> int:
        """Delete some rows that count nothing any more; return how many."""
        doomed = select(Attempts.id).where(Attempts.expires_at < clock()).limit(limit)
        return self.change(delete(Attempts).where(Attempts.id.in_(doomed.with_for_update(skip_locked=True))))

    def _seconds_until_room(self, count: Count) -> int:
        """Return when the attempt that fills the limit leaves the window, or one may be taken back."""
        row = select(Attempts.entries, clock()).where(Attempts.id == count.key)
        text, now = self.session.execute(row).one()
        entries = [
            text[at : at + ENTRY_LENGTH] for at in range(0, count.attempts * ENTRY_LENGTH, ENTRY_LENGTH)
        ]
        if any(
            each[TIME_LENGTH] == PENDING and now - int(each[:TIME_LENGTH]) < PENDING_MILLISECONDS
            for each in entries
        ):
            return 1
        return max(1, -(-(int(entries[-1][:TIME_LENGTH]) + count.seconds * 1000 - now) // 1000))


@cache
def _upsert(dialect: str) -> Any:
    """Return the statement of `reserve`, built once: each time it would be 7 of a count's 10 ms."""
    insert = INSERT[dialect](Attempts.__table__).values(
        entries=cast(clock(), String) + bindparam("tail", type_=String),
        expires_at=clock() + bindparam("lasting", type_=BigInteger),
    )
    given = insert.excluded
    # The time is told anew: who waits for a row comes after whoever had it.
    entry = cast(clock(), String) + func.substr(given.entries, TIME_LENGTH + 1)
    return insert.on_conflict_do_update(
        index_elements=[Attempts.id],
        set_={
            "entries": func.substr(entry + Attempts.entries, 1, given.attempts * ENTRY_LENGTH),
            "attempts": given.attempts,
            "milliseconds": given.milliseconds,
            "expires_at": clock() + given.milliseconds,
        },
        where=~_is_recent(_time_of_last(given.attempts), given.milliseconds),
    ).returning(Attempts.id, func.substr(Attempts.entries, 1, ENTRY_LENGTH))


def _time_of_last(attempts: int | ColumnElement[int]) -> ColumnElement[str]:
    """Return the time of the attempt, counted from the newest, that fills the limit, or nothing."""
    return func.substr(Attempts.entries, (attempts - 1) * ENTRY_LENGTH + 1, TIME_LENGTH)


def _is_recent(time: ColumnElement[str], milliseconds: ColumnElement[int]) -> ColumnElement[bool]:
    """Whether the time is in the window. One in the future is not: when a clock is set back, limits heal."""
    return and_(time > cast(clock() - milliseconds, String), time <= cast(clock(), String))
