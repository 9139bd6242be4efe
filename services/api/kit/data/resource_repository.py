"""The base class for repositories of resources: rows that clients list, read, add, change and delete."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any, Self, cast
from uuid import UUID

from sqlalchemy import Select, Table, func, select
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import Session as DatabaseSession
from sqlalchemy.orm import scoped_session

from kit.clock import now
from kit.data.keyset import Page, filtered, nulls_of, ordered, read
from kit.data.page_statements import OWNER, Shape, build, kept_statements, parametrized, rows_of
from kit.data.relations import begin_links, links_of, loaders, replace_links
from kit.data.repository import Model, Repository
from kit.data.soft_deletion import deletion_time, refuse_deleted, restore, soft_delete
from kit.data.violations import domain_error
from kit.errors import NotFound

MOST_COUNTED = 100_000  # so that a total costs little, however many rows match


class ResourceRepository(Repository[Model]):
    """A collection of rows. With an owner, it contains only the owner's rows."""

    def __init__(self, session: DatabaseSession | scoped_session[Any], owner_id: UUID | None = None) -> None:
        super().__init__(session)
        self.owner_id = owner_id
        self.values: Mapping[str, object] = {}

    def filter_by(self, **values: object) -> Self:
        """Return a collection of only the rows with these values, such as the books of an author."""
        subset = copy(self)
        subset.values = {**self.values, **values}
        return subset

    def rows(self) -> Select[Model]:
        return rows_of(self.model, self.values, self.owner_id)

    def get(self, id: UUID) -> Model | None:
        return self.session.scalar(self._row(id))

    def lock(self, id: UUID) -> Model | None:
        """Lock a row until the transaction ends, and return its current state."""
        locked = self._row(id).with_for_update(key_share=True)
        return self.session.scalar(locked.execution_options(populate_existing=True))

    def find(self, id: UUID, related: Iterable[str] = ()) -> Model:
        """Return the row, with the rows of these relationships loaded. Raises NotFound."""
        row = self._row(id).options(*loaders(self.model, related))
        return _found(self.session.scalar(row))

    def require(self, id: UUID) -> None:
        """Raise NotFound if there is no such row."""
        if self.session.scalar(self._row(id).with_only_columns(self.model.id)) is None:
            raise NotFound

    def find_locked(self, id: UUID) -> Model:
        """Lock the row until the transaction ends, and return its current state. Raises NotFound."""
        return _found(self.lock(id))

    def page(
        self,
        sort: str,
        conditions: Mapping[str, Any],
        limit: int,
        after: list[Any] | None,
        related: Iterable[str] = (),
    ) -> Page[Model]:
        """Return the page of matching rows that follows the sort values `after`. Raises InvalidCursor.

        The rows of the relationships in `related` are loaded too.
        """
        within, fixed = parametrized("within", self.values)
        filters, values = parametrized("where", conditions)
        has_owner = self.owner_id is not None
        values |= fixed | ({OWNER: self.owner_id} if has_owner else {})
        shape = Shape(self.model, within, has_owner, filters, sort, nulls_of(after), tuple(related))
        has_own_rows = type(self).rows is not ResourceRepository.rows
        is_kept = shape.can_be_kept and not has_own_rows
        statements = kept_statements(shape) if is_kept else build(shape, self.rows())
        return read(self.session, statements, sort, limit, after, values)

    def count(self, conditions: Mapping[str, Any]) -> int:
        """Return how many rows match, or more than MOST_COUNTED if there are more."""
        rows = filtered(self.rows(), self.model, conditions).with_only_columns(self.model.id)
        some = rows.limit(MOST_COUNTED + 1).subquery()
        return self.session.scalar(select(func.count()).select_from(some)) or 0

    def every(self, sort: str, conditions: Mapping[str, Any]) -> Select[Model]:
        """Return the query of all matching rows, sorted, for an export."""
        return ordered(filtered(self.rows(), self.model, conditions), self.model, sort)

    def add(self, row: Model, **links: Sequence[UUID]) -> Model:
        """Add a row, with links such as `tag_ids=[...]`.

        Raises AlreadyExists, UnknownReference and ValueRefused.
        """
        new = cast("Any", row)
        refuse_deleted(self.session, self._table, vars(row))
        new.created_at = new.updated_at = now()
        self.session.add(row)
        self._flush()
        begin_links(row)
        self._replace_links(row, links)
        return row

    def update(self, row: Model, fields: Mapping[str, Any]) -> list[str]:
        """Set fields that a schema has validated. Return the names of those that have changed.

        Raises the same errors as `add`.
        """
        links = {name: fields[name] for name in links_of(self.model) if name in fields}
        refuse_deleted(
            self.session,
            self._table,
            {
                name: value
                for name, value in fields.items()
                if name not in links and getattr(row, name) != value
            },
        )
        changed = self._replace_links(row, links)
        for name, value in fields.items():
            if name not in links and getattr(row, name) != value:
                setattr(row, name, value)
                changed.append(name)
        if changed or self.session.is_modified(row):
            cast("Any", row).updated_at = now()
        self._flush()
        return changed

    def delete(self, row: Model) -> bool:
        """Delete a row, softly if its model is a SoftDeletion. Return whether it still existed.

        Raises StillReferenced.
        """
        with self._domain_errors():
            if deletion_time(self._table) is None:
                return super().delete(row)
            return soft_delete(self.session, self._table, [row.id]) == 1

    def restore(self, id: UUID) -> bool:
        """Restore a softly deleted row. Return whether there was one.

        Raises AlreadyExists if another row has one of its unique values, and UnknownReference if it refers to
        a deleted row.
        """
        with self._domain_errors():
            return restore(self.session, self._table, [id]).rows == 1

    @property
    def _table(self) -> Table:
        return cast("Table", self.model.__table__)

    def _replace_links(self, row: Model, links: Mapping[str, Sequence[UUID]]) -> list[str]:
        with self._domain_errors():
            return replace_links(self.session, row, links)

    def _row(self, id: UUID) -> Select[Model]:
        return self.rows().where(self.model.id == id)

    def _flush(self) -> None:
        with self._domain_errors():
            self.session.flush()

    @contextmanager
    def _domain_errors(self) -> Iterator[None]:
        try:
            yield
        except (IntegrityError, DataError) as error:  # checking first and writing later would be a race
            raise domain_error(error, self.model.metadata) or error from error


def _found(row: Model | None) -> Model:
    if row is None:
        raise NotFound
    return row
