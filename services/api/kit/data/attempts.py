"""The attempts that count against rate limits, exact under concurrency."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
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

Keys = tuple[UUID, ...]
Entries = Mapping[UUID, str]


class Count(NamedTuple):
    """A limit: at most this many attempts in this many seconds.

    Attempts are added under the first key. Those under the other keys count too: they were added before the
    signing key changed, or by a process that still has the old one.
    """

    keys: Keys
    attempts: int
    seconds: int


class clock(FunctionElement[int]):  # noqa: N801
    """The database's current time in milliseconds since 1970: the same clock for all processes."""

    type = BigInteger()
    inherit_cache = True


@compiles(clock, "postgresql")
def _clock_postgresql(*_: object, **__: object) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"


# part: sqlite
@compiles(clock, "sqlite")
def _clock_sqlite(*_: object, **__: object) -> str:
    return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


# end of part
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
        """Add an attempt under the first key of each count and return its entry by key.

        Raises TooManyAttempts if a limit is reached. Roll back then, so that nothing is counted. The rows are
        written in the order of their keys, so concurrent calls wait for each other and don't deadlock.
        """
        ordered = sorted(counts)
        under_older_keys = self._recent_under_older_keys(ordered)
        tail = state + token_hex(NONCE_LENGTH // 2)
        rows = [
            {
                "id": count.keys[0],
                "tail": tail,
                "attempts": count.attempts - older,
                "milliseconds": count.seconds * 1000,
                "lasting": count.seconds * 1000,  # a bind parameter can't have a column's name
            }
            for count, older in zip(ordered, under_older_keys, strict=True)
            if older < count.attempts
        ]
        counted = dict(self.session.execute(_upsert(self.dialect), rows).all()) if rows else {}
        if refused := [count for count in ordered if count.keys[0] not in counted]:
            raise TooManyAttempts(max(self._seconds_until_room(count) for count in refused))
        return counted

    def settle(
        self, confirmed: Entries | None = None, cancelled: Entries | None = None, cleared: Keys = ()
    ) -> None:
        """Mark attempts as confirmed, and remove others. Remove all attempts under the keys `cleared`."""
        rewritten: dict[UUID, Any] = {
            id: func.replace(Attempts.entries, entry, entry.replace(PENDING, CONFIRMED))
            for id, entry in (confirmed or {}).items()
        }
        rewritten |= {
            id: func.replace(Attempts.entries, entry, "") for id, entry in (cancelled or {}).items()
        }
        rewritten |= dict.fromkeys(cleared, "")
        if rewritten:
            self._rewrite(rewritten)

    def _rewrite(self, rewritten: dict[UUID, Any]) -> None:
        """Update rows, locked in the same order as in `reserve`."""
        ordered = (
            select(Attempts.id).where(Attempts.id.in_(rewritten)).order_by(Attempts.id).with_for_update()
        )
        by_id = case(*((Attempts.id == id, entries) for id, entries in rewritten.items()))
        self.change(update(Attempts).where(Attempts.id.in_(ordered)).values(entries=by_id))

    def prune(self, limit: int = 100) -> int:
        """Delete some expired rows and return how many."""
        return self.delete_unlocked(select(Attempts.id).where(Attempts.expires_at < clock()).limit(limit))

    def _recent_under_older_keys(self, counts: Sequence[Count]) -> list[int]:
        """Return how many recent attempts each count has under its older keys."""
        if not any(count.keys[1:] for count in counts):
            return [0] * len(counts)
        entries, now = self._entries([key for count in counts for key in count.keys[1:]])
        return [
            sum(
                now - count.seconds * 1000 < int(each[:TIME_LENGTH]) <= now
                for key in count.keys[1:]
                for each in entries.get(key, ())
            )
            for count in counts
        ]

    def _seconds_until_room(self, count: Count) -> int:
        """Return when the limit allows another attempt: soon if a pending one may still be cancelled."""
        by_key, now = self._entries(count.keys)
        newest = sorted((each for entries in by_key.values() for each in entries), reverse=True)
        entries = newest[: count.attempts]
        if len(entries) < count.attempts or any(
            each[TIME_LENGTH] == PENDING and now - int(each[:TIME_LENGTH]) < PENDING_MILLISECONDS
            for each in entries
        ):
            return 1
        return max(1, -(-(int(entries[-1][:TIME_LENGTH]) + count.seconds * 1000 - now) // 1000))

    def _entries(self, keys: Sequence[UUID]) -> tuple[dict[UUID, list[str]], int]:
        """Return the entries under some keys, and the database's current time."""
        rows = self.session.execute(
            select(Attempts.id, Attempts.entries, clock()).where(Attempts.id.in_(keys))
        ).all()
        entries = {
            id: [text[at : at + ENTRY_LENGTH] for at in range(0, len(text), ENTRY_LENGTH)]
            for id, text, _ in rows
        }
        return entries, rows[0][2] if rows else 0


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
