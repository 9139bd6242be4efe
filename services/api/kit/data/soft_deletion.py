"""Soft deletion: deleted rows stay in the table, and lists and lookups leave them out.

A deletion sets `deleted_at`. It is refused while a live row refers to the row with RESTRICT. With CASCADE,
referring rows are deleted too if their table has soft deletion. No data is lost: other referring rows don't
change until the row is purged.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Column, ColumnElement, ForeignKey, MetaData, Table, delete, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column, with_loader_criteria
from sqlalchemy.orm.interfaces import ORMOption

from kit.clock import now
from kit.errors import StillReferenced, UnknownReference

BATCH = 1000  # rows in one statement
_LIVE = text("deleted_at IS NULL")
# Arguments of an index that contains only live rows: Index(None, "isbn", unique=True, **ONLY_LIVE).
ONLY_LIVE: dict[str, Any] = {"postgresql_where": _LIVE, "sqlite_where": _LIVE}


class SoftDeletion:
    """A mixin for models whose deleted rows stay in the table."""

    deleted_at: Mapped[datetime | None] = mapped_column(info={"soft_deletion": True})


@cache
def deletion_time(table: Table) -> Column[datetime] | None:
    """Return the column of SoftDeletion, or None if rows of this table are really deleted."""
    return next((column for column in table.columns if column.info.get("soft_deletion")), None)


def live_relations() -> list[ORMOption]:
    """Return the options of a query whose relationships leave out deleted rows."""
    if not SoftDeletion.__subclasses__():
        return []
    return [
        with_loader_criteria(SoftDeletion, lambda model: model.deleted_at.is_(None), include_aliases=True)
    ]


def soft_delete(session: Any, table: Table, ids: Sequence[UUID]) -> int:
    """Delete these live rows softly, and return how many. Raises StillReferenced."""
    time, deleted = now(), 0
    waiting = deque((table, batch) for batch in _batches(ids))
    given = len(waiting)
    while waiting:
        each, batch = waiting.popleft()
        found = _mark(session, each, batch, time)
        deleted += len(found) if given > 0 else 0
        given -= 1
        for key in references_to(each):
            waiting.extend((_table_of(key), more) for more in _batches(_referring(session, key, found)))
    return deleted


def _mark(session: Any, table: Table, ids: Sequence[UUID], time: datetime) -> Sequence[UUID]:
    """Set the time of the deletion of live rows, and return their ids."""
    live = (table.c.id.in_(ids), _deletion_time(table).is_(None))
    # FOR UPDATE waits for transactions that add references to these rows (see refuse_deleted).
    found: Sequence[UUID] = session.scalars(
        select(table.c.id).where(*live).order_by(table.c.id).with_for_update()
    ).all()
    if found:
        session.execute(update(table).where(table.c.id.in_(found)).values(deleted_at=time))
    return found


def _referring(session: Any, key: ForeignKey, ids: Sequence[UUID]) -> Sequence[UUID]:
    """Return the rows that are deleted with these. Raises StillReferenced."""
    table = _table_of(key)
    deleted_at = deletion_time(table)
    referring = select(key.parent).where(key.parent.in_(ids))
    if deleted_at is not None:
        referring = referring.where(deleted_at.is_(None))
    if ids and _restricts(key) and session.scalar(referring.limit(1)) is not None:
        raise StillReferenced
    if not ids or key.ondelete != "CASCADE" or deleted_at is None:
        return ()
    found: Sequence[UUID] = session.scalars(referring.with_only_columns(table.c.id)).all()
    return found


def _batches(ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    """Split ids, because a statement has a limited number of parameters."""
    return (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))


class Restored(NamedTuple):
    """What `restore` has done. `kept` are rows that stay deleted, although they were deleted with these."""

    rows: int
    kept: list[tuple[str, UUID]]


class _Deleted(NamedTuple):
    """A deleted row, with the values of the foreign keys to tables with soft deletion."""

    time: datetime
    references: dict[ForeignKey, UUID]


_Place = tuple[Table, UUID]


def restore(session: Any, table: Table, ids: Sequence[UUID]) -> Restored:
    """Restore deleted rows, and those that were deleted with them.

    Of the latter, those stay deleted that refer to another deleted row, other than with SET NULL. The caller
    translates the error if a unique value is used again. Raises UnknownReference.
    """
    found = _deleted_together(session, table, ids)
    kept = _without_reference(session, found)
    given = {(table, id) for id in ids} & set(found)
    if refused := given & set(kept):
        raise UnknownReference(kept[refused.pop()])
    restored: dict[Table, list[UUID]] = {}
    for each, id in found.keys() - kept.keys():
        restored.setdefault(each, []).append(id)
    for each, all_ids in restored.items():
        for batch in _batches(sorted(all_ids)):
            session.execute(update(each).where(each.c.id.in_(batch)).values(deleted_at=None))
    return Restored(len(given), sorted((each.name, id) for each, id in kept))


def _deleted_together(session: Any, table: Table, ids: Sequence[UUID]) -> dict[_Place, _Deleted]:
    """Lock and return deleted rows, and those that were deleted with them."""
    found: dict[_Place, _Deleted] = {}
    waiting = deque((table, batch) for batch in _batches(ids))
    while waiting:
        each, batch = waiting.popleft()
        new = [id for id in batch if (each, id) not in found]
        by_time: dict[datetime, list[UUID]] = {}
        for id, deleted in _lock_deleted(session, each, new):
            found[each, id] = deleted
            by_time.setdefault(deleted.time, []).append(id)
        for time, deleted_ids in by_time.items():
            waiting.extend(_deleted_with(session, each, deleted_ids, time))
    return found


def _lock_deleted(session: Any, table: Table, ids: Sequence[UUID]) -> Iterator[tuple[UUID, _Deleted]]:
    time, keys = _deletion_time(table), references_to_soft(table)
    query = select(table.c.id, time, *(key.parent for key in keys))
    query = query.where(table.c.id.in_(ids), time.is_not(None)).order_by(table.c.id)
    for id, deleted_at, *values in session.execute(query.with_for_update()):
        references = {key: value for key, value in zip(keys, values, strict=True) if value is not None}
        yield id, _Deleted(deleted_at, references)


def _deleted_with(
    session: Any, table: Table, ids: Sequence[UUID], time: datetime
) -> Iterator[tuple[Table, Sequence[UUID]]]:
    """Yield the rows that were deleted with these rows, in batches."""
    for key in references_to(table):
        other = deletion_time(_table_of(key))
        if key.ondelete == "CASCADE" and other is not None:
            together = select(other.table.c.id).where(key.parent.in_(ids), other == time)
            for batch in _batches(session.scalars(together).all()):
                yield other.table, batch


def _without_reference(session: Any, found: Mapping[_Place, _Deleted]) -> dict[_Place, str]:
    """Return the rows that refer to a row that stays deleted, and the name of the column."""
    refused: dict[_Place, str] = {}
    referring: dict[_Place, list[tuple[_Place, str]]] = {}
    for place, deleted in found.items():
        for key, value in deleted.references.items():
            if key.ondelete == "CASCADE" or _restricts(key):
                referring.setdefault((key.column.table, value), []).append((place, key.parent.name))
    waiting = deque(place for place in referring if place not in found and not _lock_live(session, *place))
    while waiting:
        for place, name in referring.get(waiting.popleft(), ()):
            if place not in refused:
                refused[place] = name
                waiting.append(place)
    return refused


def _lock_live(session: Any, table: Table, id: UUID) -> bool:
    """Prevent the deletion of a row until the transaction ends. Return whether it is live."""
    query = select(table.c.id).where(table.c.id == id, _deletion_time(table).is_(None))
    return session.scalar(query.with_for_update(read=True, key_share=True)) is not None


def purge(session: Any, metadata: MetaData, before: datetime, limit: int = 1000) -> Iterator[tuple[str, int]]:
    """Really delete rows that were softly deleted before a time. Commit after each step.

    Each step yields the table and how many of its rows are gone. Rows to which others refer with RESTRICT
    stay, and so do rows whose deletion would delete such rows with CASCADE. Referring tables come first.
    """
    for table in reversed(metadata.sorted_tables):
        deleted_at = deletion_time(table)
        if deleted_at is None:
            continue
        unreferenced = (~_refers(key, table) for key in references_to(table) if _restricts(key))
        old = select(table.c.id).where(deleted_at < before, *unreferenced).limit(limit)
        stays: list[UUID] = []
        while ids := session.scalars(old.where(table.c.id.not_in(stays))).all():
            count, refused = _delete_each(session, table, ids)
            stays += refused
            if count:
                yield table.name, count


def _delete_each(session: Any, table: Table, ids: Sequence[UUID]) -> tuple[int, list[UUID]]:
    """Really delete rows. Return how many are gone, and the ids of those to which others refer."""
    try:
        with session.begin_nested():
            return session.execute(delete(table).where(table.c.id.in_(ids))).rowcount, []
    except IntegrityError:
        if len(ids) == 1:
            return 0, [*ids]
    half = len(ids) // 2
    parts = [_delete_each(session, table, part) for part in (ids[:half], ids[half:])]
    return sum(count for count, _ in parts), [id for _, refused in parts for id in refused]


def _restricts(key: ForeignKey) -> bool:
    return key.ondelete in (None, "RESTRICT", "NO ACTION")


def refuse_deleted(session: Any, table: Table, values: Any) -> None:
    """Raise UnknownReference if a value refers to a softly deleted row.

    The lock prevents the deletion of the referenced row until the transaction ends.
    """
    for key in references_to_soft(table):
        value = values.get(key.parent.key)
        other = key.column.table
        if value is not None and not _lock_live(session, other, value):
            raise UnknownReference(key.parent.key)


@cache
def references_to(table: Table) -> list[ForeignKey]:
    """Return the foreign keys of all tables that refer to a table."""
    tables = table.metadata.sorted_tables
    keys = (key for each in tables for key in each.foreign_keys if key.column.table is table)
    return sorted(keys, key=lambda key: (_table_of(key).name, key.parent.name))


@cache
def references_to_soft(table: Table) -> list[ForeignKey]:
    """Return the foreign keys of a table that refer to tables with soft deletion."""
    keys = (key for key in table.foreign_keys if deletion_time(key.column.table) is not None)
    return sorted(keys, key=lambda key: key.parent.name)


def _refers(key: ForeignKey, table: Table) -> ColumnElement[bool]:
    referring = _table_of(key).alias()
    return select(referring.c[key.parent.name]).where(referring.c[key.parent.name] == table.c.id).exists()


def _table_of(key: ForeignKey) -> Table:
    table = key.parent.table
    assert isinstance(table, Table)  # noqa: S101 # nosec B101
    return table


def _deletion_time(table: Any) -> Column[datetime]:
    column = deletion_time(table)
    if column is None:
        raise TypeError(f"Rows of {table.name} are really deleted. Add the mixin SoftDeletion to the model.")
    return column
