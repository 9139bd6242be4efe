"""Base classes of repositories: a collection of rows of one model."""

from datetime import timedelta
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

from sqlalchemy import ColumnElement, CursorResult, Delete, Update, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session as DatabaseSession
from sqlalchemy.orm import scoped_session

from kit.clock import now
from kit.data.base import Base
from kit.data.keyset import column_of

INSERT: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
KEPT_EXPIRED = timedelta(minutes=1)

Model = TypeVar("Model", bound=Base)


class Repository(Generic[Model]):
    """A collection of rows. It never commits; the view or command does that last."""

    model: type[Model]

    def __init__(self, session: DatabaseSession | scoped_session[Any]) -> None:
        self.session = session

    @property
    def dialect(self) -> str:
        return self.session.get_bind().dialect.name

    def get(self, id: UUID) -> Model | None:
        return self.session.get(self.model, id)

    def add(self, row: Model) -> Model:
        """Add a row and flush it, so that database errors are raised here."""
        self.session.add(row)
        self.session.flush()
        return row

    def delete(self, row: Model) -> bool:
        """Delete a row. Return whether it still existed."""
        return self.change(delete(self.model).where(self.model.id == row.id)) == 1

    def lock(self, id: UUID) -> Model | None:
        """Lock a row until the transaction ends, and return its current state."""
        return self.session.get(self.model, id, with_for_update={"key_share": True}, populate_existing=True)

    def insertion(self) -> Any:
        """Return an INSERT that supports `on_conflict`, in the dialect of the database."""
        return INSERT[self.dialect](self.model)

    def change(self, statement: Update | Delete) -> int:
        """Execute an UPDATE or DELETE and return how many rows it affected."""
        result = self.session.execute(statement.execution_options(synchronize_session=False))
        return cast("CursorResult[Any]", result).rowcount


class ExpiringRepository(Repository[Model]):
    """A collection of a user's rows that expire. Using it deletes some of the expired ones."""

    def prune(self, user_id: UUID | None = None, limit: int = 100) -> int:
        """Delete some expired rows, of one user or of all, and return how many.

        Skips locked rows, because two callers that wait for each other's rows would deadlock.
        """
        doomed = select(self.model.id).where(*self._prunable(user_id)).limit(limit)
        doomed = doomed.with_for_update(skip_locked=True)
        return self.change(delete(self.model).where(self.model.id.in_(doomed)))

    def _prunable(self, user_id: UUID | None) -> list[ColumnElement[bool]]:
        """Return conditions for expired rows, which are kept longer than clock leeway and refresh grace."""
        expired = column_of(self.model, "expires_at") < now() - KEPT_EXPIRED
        return [expired, column_of(self.model, "user_id") == user_id] if user_id else [expired]
