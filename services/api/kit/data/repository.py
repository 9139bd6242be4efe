"""Base classes of repositories: a collection of rows of one model."""

from datetime import timedelta
from typing import Any, Generic, TypeVar, cast
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    Delete,
    Select,
    Update,
    any_,
    delete,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import (
    postgresql,
    sqlite,  # part: sqlite
)
from sqlalchemy.orm import Session as DatabaseSession
from sqlalchemy.orm import scoped_session

from kit.clock import now
from kit.data.base import Base
from kit.data.keyset import column_of

INSERT: dict[str, Any] = {
    "postgresql": postgresql.insert,
    "sqlite": sqlite.insert,  # part: sqlite
}
KEPT_EXPIRED = timedelta(minutes=1)  # longer than the clocks of two servers may differ

# Arguments of `get` that lock a row and read its current state.
LOCKED: dict[str, Any] = {"with_for_update": {"key_share": True}, "populate_existing": True}
AnySession = DatabaseSession | scoped_session[Any]
Model = TypeVar("Model", bound=Base)


class Repository(Generic[Model]):
    """A collection of rows. It never commits; the view or command does that last."""

    model: type[Model]

    def __init__(self, session: AnySession) -> None:
        self.session = session

    @property
    def connection(self) -> Connection:
        """Return the connection of the session's transaction, for statements without objects of the session.

        A statement that is built once takes half as long here as with `session.execute`, which copies it.
        """
        return self.session.connection()

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
        return self.session.get(self.model, id, **LOCKED)

    def insertion(self) -> Any:
        """Return an INSERT that supports `on_conflict`, in the dialect of the database."""
        return INSERT[self.dialect](self.model)

    def delete_unlocked(self, ids: Select[UUID]) -> int:
        """Delete the rows with the selected ids, except locked ones. Return how many."""
        return delete_unlocked(self.session, self.model, ids)

    def change(self, statement: Update | Delete) -> int:
        """Execute an UPDATE or DELETE and return how many rows it affected."""
        result = self.session.execute(statement.execution_options(synchronize_session=False))
        return cast("CursorResult[Any]", result).rowcount


class ExpiringRepository(Repository[Model]):
    """A collection of a user's rows that expire. Using it deletes some of the expired ones."""

    def prune(self, user_id: UUID, limit: int = 100) -> int:
        """Delete some of a user's expired rows and return how many."""
        expired = column_of(self.model, "expires_at") < now() - KEPT_EXPIRED
        own = column_of(self.model, "user_id") == user_id
        return self.delete_unlocked(select(self.model.id).where(own, expired).limit(limit))


def delete_unlocked(session: AnySession, model: type[Any], ids: Select[UUID]) -> int:
    """Delete the rows with the selected ids and return how many. Skips locked rows."""
    statement = deletion_of_unlocked(model, ids, session.get_bind().dialect.name)
    result = session.execute(statement.execution_options(synchronize_session=False))
    return cast("CursorResult[Any]", result).rowcount


def deletion_of_unlocked(model: type[Any], ids: Select[UUID], dialect: str) -> Delete:
    """Return a DELETE of the rows with the selected ids, in the dialect of a database.

    It skips locked rows, because two callers that wait for each other's rows would deadlock.
    """
    ids = ids.with_for_update(skip_locked=True)
    if dialect != "postgresql":
        return delete(model).where(is_any_of(model.id, ids, dialect))
    place: ColumnElement[Any] = literal_column(f"{model.__tablename__}.ctid")  # finds a row without an index
    return delete(model).where(is_any_of(place, ids.with_only_columns(place), dialect))


def is_any_of(column: Any, values: Select[Any], dialect: str) -> ColumnElement[bool]:
    """Return the condition that a column has one of the selected values, in the dialect of a database.

    With IN, PostgreSQL would read the whole table for thousands of values, and plan longer for a few.
    """
    if dialect != "postgresql":
        return cast("ColumnElement[bool]", column.in_(values))
    return cast("ColumnElement[bool]", column == any_(func.array(values.scalar_subquery())))
