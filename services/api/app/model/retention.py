"""Retention: how long old rows and the addresses in them are kept, and their deletion."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, ScalarSelect, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from app.model.api_keys import ApiKeyRepository
from app.model.links import LinkRepository
from app.model.models import KnownNetwork, Session, Token
from kit.clock import now
from kit.data.attempts import AttemptRepository
from kit.data.audit import AuditRepository
from kit.data.repository import KEPT_EXPIRED, AnySession, delete_unlocked
from kit.data.stored_responses import StoredResponse

LISTED = timedelta(days=1)  # how long revoked and expired tokens are listed
KNOWN = timedelta(days=30)  # how long a client is known after a login
KNOWN_PRECISION = timedelta(hours=1)  # a login from the same network within this time isn't written
# How many of a user's rows one statement deletes within its time limit, and which column sorts them by age.
# Deleting a session takes longer, because it also deletes tokens.
BATCHES: dict[Any, tuple[InstrumentedAttribute[datetime], int]] = {
    Token: (Token.issued_at, 5_000),
    Session: (Session.refreshed_at, 1_000),
    StoredResponse: (StoredResponse.expires_at, 5_000),
}


def prune(session: AnySession, retention: timedelta, limit: int = 100) -> int:
    """Delete some rows of any user that are older than they are kept, and return how many.

    The order prevents deadlocks: only the deletion of sessions can wait for a lock, that of their tokens.
    """
    deleted = 0
    for column, time in _kept_since(retention).items():
        model: Any = column.class_
        old = select(model.id).where(column < time).order_by(column).limit(limit)
        deleted += delete_unlocked(session, model, old)
    return deleted


def prune_all(session: AnySession, retention: timedelta, audit_days: int, limit: int = 1000) -> Iterator[int]:
    """Delete all rows that are older than they are kept. Each step yields how many: commit it."""
    attempts, links, keys = AttemptRepository(session), LinkRepository(session), ApiKeyRepository(session)
    audit = AuditRepository(session)
    while deleted := (
        prune(session, retention, limit)
        + attempts.prune(limit)
        + links.prune(limit)
        + keys.prune(retention, limit)
        + audit.prune(audit_days, limit)
    ):
        yield deleted


def is_due(retention: timedelta) -> ColumnElement[bool]:
    """Return the SQL condition that `prune` has something to delete. It reads an end of each index."""
    return or_(*(_oldest(column) < time for column, time in _kept_since(retention).items()))


@cache
def _oldest(column: InstrumentedAttribute[datetime]) -> ScalarSelect[datetime]:
    return select(func.min(column)).correlate(None).scalar_subquery()


def shorten_history(session: AnySession, user_id: UUID) -> Iterator[None]:
    """Delete a user's oldest rows if there are many. Commit after each step.

    Deleting a user with a million rows would exceed the time limit of a statement. Only data of releases that
    kept everything is that long. Tokens come first, because deleting a session deletes all of its tokens in
    one statement.
    """
    own = {model: select(age).where(model.user_id == user_id) for model, (age, _) in BATCHES.items()}
    beyond = [
        own[model].order_by(age.desc()).offset(size).limit(1).scalar_subquery()
        for model, (age, size) in BATCHES.items()
    ]
    found = session.execute(select(*beyond)).one()
    for (model, (age, size)), query, first in zip(BATCHES.items(), beyond, found, strict=True):
        row_beyond = first
        while row_beyond:
            oldest = own[model].with_only_columns(model.id).order_by(age).limit(size)
            delete_unlocked(session, model, oldest)
            yield
            row_beyond = session.scalar(select(query))


def _kept_since(retention: timedelta) -> dict[InstrumentedAttribute[datetime], datetime]:
    """Return, for each table, the column with a row's age and the oldest time that is kept."""
    time = now()
    return {
        Session.expires_at: time - retention,
        Token.expires_at: time - LISTED,
        KnownNetwork.last_seen_at: time - min(KNOWN, retention) - KNOWN_PRECISION,
        StoredResponse.expires_at: time - KEPT_EXPIRED,
    }
