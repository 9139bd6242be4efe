"""What every repository has in common: a collection of one kind of row, found by its id."""

from datetime import timedelta
from typing import Any, ClassVar, Generic, TypeVar, cast
from uuid import UUID

from sqlalchemy import ColumnElement, CursorResult, Delete, Update, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session as DatabaseSession
from sqlalchemy.orm import scoped_session

from kit.clock import now
from kit.data.base import Base

INSERT: dict[str, Any] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}
KEPT_EXPIRED = timedelta(minutes=1)

Model = TypeVar("Model", bound=Base)


class Repository(Generic[Model]):
    """A collection of rows. It never commits: that is the caller's last act."""

    model: ClassVar[type[Any]]

    def __init__(self, session: DatabaseSession | scoped_session[Any]) -> None:
        self.session = session

    @property
    def dialect(self) -> str:
        return self.session.get_bind().dialect.name

    def get(self, id: UUID) -> Model | None:
        return cast("Model | None", self.session.get(self.model, id))

    def add(self, row: Model) -> Model:
        """Add the row and send it, so that what the database refuses is known here."""
        self.session.add(row)
        self.session.flush()
        return row

    def delete(self, row: Model) -> bool:
        """Delete the row and what depends on it; return whether it was still there."""
        return self.change(delete(self.model).where(self.model.id == row.id)) == 1

    def lock(self, id: UUID) -> Model | None:
        """Return the row as it is now and keep others from changing it until the transaction ends."""
        return cast(
            "Model | None",
            self.session.get(self.model, id, with_for_update={"key_share": True}, populate_existing=True),
        )

    def insertion(self) -> Any:
        """Begin an INSERT that can say what to do `on_conflict`: each database has its own."""
        return INSERT[self.dialect](self.model)

    def change(self, statement: Update | Delete) -> int:
        """Run an UPDATE or DELETE and return how many rows it changed."""
        result = self.session.execute(statement.execution_options(synchronize_session=False))
        return cast("CursorResult[Any]", result).rowcount


class ExpiringRepository(Repository[Model]):
    """A collection of a user's rows that expire and are swept away as the collection is used."""

    def prune(self, user_id: UUID | None = None, limit: int = 100) -> int:
        """Delete some rows that expired, of one user or of all; return how many. What others have locked is
        left to them: two who wait for each other's rows would deadlock."""
        doomed = select(self.model.id).where(*self._prunable(user_id)).limit(limit)
        doomed = doomed.with_for_update(skip_locked=True)
        return self.change(delete(self.model).where(self.model.id.in_(doomed)))

    def _prunable(self, user_id: UUID | None) -> list[ColumnElement[bool]]:
        """They outlive their expiry by more than the clock's leeway and the grace of a refresh."""
        expired = self.model.expires_at < now() - KEPT_EXPIRED
        return [expired, self.model.user_id == user_id] if user_id else [expired]
