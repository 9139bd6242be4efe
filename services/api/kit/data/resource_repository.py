"""The base class for repositories of resources: rows that clients list, read, add, change and delete."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from typing import Any, Self, cast
from uuid import UUID

from sqlalchemy import Select, Table, select
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import Session as DatabaseSession
from sqlalchemy.orm import scoped_session

from kit.clock import now
from kit.data.keyset import Page, column_of, filtered, read_page
from kit.data.repository import Model, Repository
from kit.data.soft_deletion import deletion_time, refuse_deleted, restore, soft_delete
from kit.data.violations import domain_error
from kit.errors import NotFound


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
        rows = filtered(select(self.model), self.model, self.values)
        if (deleted_at := deletion_time(self._table)) is not None:
            rows = rows.where(deleted_at.is_(None))
        return rows.where(column_of(self.model, "owner_id") == self.owner_id) if self.owner_id else rows

    def get(self, id: UUID) -> Model | None:
        return self.session.scalar(self._row(id))

    def lock(self, id: UUID) -> Model | None:
        """Lock a row until the transaction ends, and return its current state."""
        locked = self._row(id).with_for_update(key_share=True)
        return self.session.scalar(locked.execution_options(populate_existing=True))

    def find(self, id: UUID) -> Model:
        """Return the row. Raises NotFound."""
        return _found(self.get(id))

    def find_locked(self, id: UUID) -> Model:
        """Lock the row until the transaction ends, and return its current state. Raises NotFound."""
        return _found(self.lock(id))

    def page(
        self, sort: str, conditions: Mapping[str, Any], limit: int, after: list[Any] | None
    ) -> Page[Model]:
        """Return the page of matching rows that follows the sort values `after`. Raises InvalidCursor."""
        query = filtered(self.rows(), self.model, conditions)
        return read_page(self.session, query, self.model, sort, limit, after)

    def add(self, row: Model) -> Model:
        """Add a row. Raises AlreadyExists, UnknownReference and ValueRefused."""
        new = cast("Any", row)
        refuse_deleted(self.session, self._table, vars(row))
        new.created_at = new.updated_at = now()
        self.session.add(row)
        self._flush()
        return row

    def update(self, row: Model, fields: Mapping[str, Any]) -> None:
        """Set fields that a schema has validated. Raises the same errors as `add`."""
        changed = {name: value for name, value in fields.items() if getattr(row, name) != value}
        refuse_deleted(self.session, self._table, changed)
        for name, value in changed.items():
            setattr(row, name, value)
        if self.session.is_modified(row):
            cast("Any", row).updated_at = now()
        self._flush()

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
            return restore(self.session, self._table, [id]) == 1

    @property
    def _table(self) -> Table:
        return cast("Table", self.model.__table__)

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
