"""The attempts that count against rate limits, exact under concurrency."""

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

# An attempt is stored as text: its time in milliseconds since 1970, its state and a nonce.
TIME_LENGTH = 13
PENDING, CONFIRMED = "?", "!"
NONCE_LENGTH = 6
ENTRY_LENGTH = TIME_LENGTH + 1 + NONCE_LENGTH
PENDING_MILLISECONDS = 10_000  # an attempt that stays pending longer was interrupted


class Count(NamedTuple):
    """A limit under a key: at most this many attempts in this many seconds."""

    key: UUID
    attempts: int
    seconds: int


class clock(FunctionElement[int]):  # noqa: N801
    """The database's current time in milliseconds since 1970: the same clock for all processes."""

    type = BigInteger()
    inherit_cache = True


@compiles(clock, "postgresql")
def _clock_postgresql(*_: object, **__: object) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"


@compiles(clock, "sqlite")
def _clock_sqlite(*_: object, **__: object) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


def key(*parts: str) -> UUID:
    """Return a key for these parts. It has a fixed length and reveals no name or address."""
    return UUID(bytes=sha256("\n".join(parts).encode("utf-8", "surrogatepass")).digest()[:16])


class Attempts(Base):
    """The attempts under one key, which is the `id`."""

    __tablename__ = "attempts"
    __table_args__ = (Index(None, "expires_at"),)

    # The newest attempts first, each of a fixed length. Both databases have the same text functions.
    entries: Mapped[str] = mapped_column(Text)
    attempts: Mapped[int]  # the limit
    milliseconds: Mapped[int]  # the period
    expires_at: Mapped[int] = mapped_column(BigInteger)  # milliseconds since 1970


class AttemptRepository(Repository[Attempts]):
    model = Attempts

    def reserve(self, counts: Iterable[Count], state: str = PENDING) -> dict[UUID, str]:
        """Add an attempt under each key and return its entry by key.

        Raises TooManyAttempts if a limit is reached. Roll back then, so that nothing is counted. The rows are
        written in the order of their keys, so concurrent calls wait for each other and don't deadlock.
        """
        ordered = sorted(counts)
        tail = state + token_hex(NONCE_LENGTH // 2)
        rows = [
            {
                "id": count.key,
                "tail": tail,
                "attempts": count.attempts,
                "milliseconds": count.seconds * 1000,
                "lasting": count.seconds * 1000,  # a bind parameter can't have a column's name
            }
            for count in ordered
        ]
        counted = dict(self.session.execute(_upsert(self.dialect), rows).all())
        if refused := [count for count in ordered if count.key not in counted]:
            raise TooManyAttempts(max(self._seconds_until_room(count) for count in refused))
        return counted

    def cancel(self, entries: dict[UUID, str], cleared: UUID | None = None) -> None:
        """Remove an attempt. Under the key `cleared`, remove all attempts."""
        self._rewrite(
            {
                id: "" if id == cleared else func.replace(Attempts.entries, entry, "")
                for id, entry in entries.items()
            }
        )

    def confirm(self, entries: dict[UUID, str]) -> None:
        """Mark an attempt as confirmed."""
        self._rewrite(
            {
                id: func.replace(Attempts.entries, entry, entry.replace(PENDING, CONFIRMED))
                for id, entry in entries.items()
            }
        )

    def _rewrite(self, rewritten: dict[UUID, Any]) -> None:
        """Update rows, locked in the same order as in `reserve`."""
        ordered = (
            select(Attempts.id).where(Attempts.id.in_(rewritten)).order_by(Attempts.id).with_for_update()
        )
        by_id = case(*((Attempts.id == id, entries) for id, entries in rewritten.items()))
        self.change(update(Attempts).where(Attempts.id.in_(ordered)).values(entries=by_id))

    def prune(self, limit: int = 100) -> int:
        """Delete some expired rows and return how many."""
        doomed = select(Attempts.id).where(Attempts.expires_at < clock()).limit(limit)
        return self.change(delete(Attempts).where(Attempts.id.in_(doomed.with_for_update(skip_locked=True))))

    def _seconds_until_room(self, count: Count) -> int:
        """Return when the limit allows another attempt: soon if a pending one may still be cancelled."""
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
    """Return the statement of `reserve`. It is cached, because building it takes 7 of 10 ms."""
    insert = INSERT[dialect](Attempts.__table__).values(
        entries=cast(clock(), String) + bindparam("tail", type_=String),
        expires_at=clock() + bindparam("lasting", type_=BigInteger),
    )
    given = insert.excluded
    # Read the clock again, because this statement may have waited for the row's lock.
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
    """Return the time of the attempt that reaches the limit, or an empty text."""
    return func.substr(Attempts.entries, (attempts - 1) * ENTRY_LENGTH + 1, TIME_LENGTH)


def _is_recent(time: ColumnElement[str], milliseconds: ColumnElement[int]) -> ColumnElement[bool]:
    """Return whether a time is in the period. If a clock is set back, future times don't count."""
    return and_(time > cast(clock() - milliseconds, String), time <= cast(clock(), String))
