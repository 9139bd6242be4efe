"""The audit trail: who did what to which account, when and from where.

kit/security/events.py adds the rows. On PostgreSQL, the API's role may only read them and add new ones. It
deletes old rows and blanks addresses with two functions that belong to the owner of the table. The migration
that creates the table creates them too.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

from pydantic_core import to_json
from sqlalchemy import (
    ColumnElement,
    Index,
    Integer,
    Select,
    String,
    Table,
    Text,
    Uuid,
    and_,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from kit.clock import now
from kit.data.base import Base
from kit.data.keyset import Page, SortValues, filtered, read_page
from kit.data.repository import Repository

MINIMUM_DAYS = 30  # the function on PostgreSQL never deletes younger rows
NEWEST_FIRST = "-at"
ROWS = 500  # at once in memory, for an export


def is_by_another(table: Table) -> ColumnElement[bool]:
    """Return the condition that another user acted, such as an admin."""
    return and_(table.c.actor_id.is_not(None), table.c.actor_id != table.c.user_id)


# The account that a row is about may not see who acted on it, and from where.
OF_ACTOR = {"hidden_if": is_by_another}


class AuditRow(Base):
    """A security event. Rows outlive the accounts that they name, so there is no foreign key."""

    __tablename__ = "kit_audit"
    __table_args__ = (
        Index(None, "at", "id"),
        Index(None, "event", "at", "id"),
        Index(None, "user_id", "at", "id"),
        Index(None, "actor_id", "at", "id"),
        {
            "info": {
                "api_may": "SELECT, INSERT",
                "api_may_call": ("kit_audit_prune(integer, integer)", "kit_audit_forget(uuid, integer)"),
            }
        },
    )

    at: Mapped[datetime]
    event: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[UUID | None] = mapped_column(info={"owner": True})  # whom it is about
    actor_id: Mapped[UUID | None] = mapped_column(info=OF_ACTOR)  # who did it; NULL without a login
    via: Mapped[str] = mapped_column(String(16))
    session_id: Mapped[UUID | None] = mapped_column(info=OF_ACTOR)
    token_id: Mapped[UUID | None] = mapped_column(info=OF_ACTOR)
    key_id: Mapped[UUID | None] = mapped_column(info=OF_ACTOR)
    ip: Mapped[str | None] = mapped_column(String(45), info=OF_ACTOR)
    user_agent: Mapped[str | None] = mapped_column(String(255), info=OF_ACTOR)
    request_id: Mapped[str | None] = mapped_column(String(128), info=OF_ACTOR)
    details: Mapped[str | None] = mapped_column(Text)  # JSON

    @property
    def details_by_name(self) -> dict[str, Any]:
        return _details(self.details)


class AuditRepository(Repository[AuditRow]):
    model = AuditRow

    def insert(self, fields: Mapping[str, object], details: Mapping[str, object]) -> None:
        """Add a row at once, in the current transaction."""
        text = json.dumps(details, default=str) if details else None
        row = {"id": uuid4(), "at": now(), **fields, "details": text}
        self.session.execute(insert(_table()), row)

    def page(self, filters: Mapping[str, object], limit: int, after: SortValues | None) -> Page[AuditRow]:
        """Return a page of rows, the newest first. Raises InvalidCursor."""
        query = filtered(select(AuditRow), AuditRow, filters)
        return read_page(cast("Any", self.session), query, AuditRow, NEWEST_FIRST, limit, after)

    def export(self, since: datetime | None, until: datetime | None) -> Iterator[bytes]:
        """Yield each row as JSON, the oldest first. Only some are in memory at once."""
        query = select(_table()).order_by(AuditRow.at, AuditRow.id)
        if since:
            query = query.where(AuditRow.at >= since)
        if until:
            query = query.where(AuditRow.at < until)
        result = self.session.execute(query, execution_options={"yield_per": ROWS})
        for row in result.mappings():
            yield to_json({**row, "details": _details(row["details"])})

    def prune(self, days: int, limit: int) -> int:
        """Delete some rows that are older than `days`, and return how many."""
        # part: sqlite
        if self.dialect == "sqlite":
            old = AuditRow.at < now() - timedelta(days=max(days, MINIMUM_DAYS))
            ids = select(AuditRow.id).where(old).order_by(AuditRow.at).limit(limit)
            return self.change(delete(AuditRow).where(AuditRow.id.in_(ids)))
        # end of part
        return self._call(func.kit_audit_prune(_integer(days), _integer(limit)))

    def forget(self, user_id: UUID, limit: int) -> int:
        """Blank the client in some of the rows caused by a deleted account, and return how many.

        Call it in the transaction that deletes the account.
        """
        # part: sqlite
        if self.dialect == "sqlite":
            ids = _with_client(user_id).limit(limit)
            return self.change(update(AuditRow).where(AuditRow.id.in_(ids)).values(ip=None, user_agent=None))
        # end of part
        return self._call(func.kit_audit_forget(literal(user_id, Uuid()), _integer(limit)))

    def _call(self, function: Any) -> int:
        return cast("int", self.session.scalar(select(function)))


def _details(text: str | None) -> dict[str, Any]:
    return dict(json.loads(text)) if text else {}


def _table() -> Table:
    return cast("Table", AuditRow.__table__)


def _integer(value: int) -> ColumnElement[int]:
    return literal(value, Integer())


def _with_client(user_id: UUID) -> Select[UUID]:
    """Select the rows with an address that is the account's own. That of an admin stays."""
    is_own = or_(AuditRow.actor_id == user_id, and_(AuditRow.user_id == user_id, AuditRow.actor_id.is_(None)))
    return select(AuditRow.id).where(is_own, or_(AuditRow.ip.is_not(None), AuditRow.user_agent.is_not(None)))
