"""Security events: recorded in the transaction of what they report, and logged after its commit."""

import logging
from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple, Protocol, cast
from uuid import UUID

from flask import Flask, current_app
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.orm import Session, SessionTransaction

from kit.data.database import RequestSession, db

logger = logging.getLogger("app.security")
PENDING = "security_events"


class EventCounter(Protocol):
    def count_event(self, event: str) -> None: ...


class KitEvent(StrEnum):
    RATE_LIMITED = "rate_limited"


def init_app(app: Flask, events: Iterable[str]) -> None:
    """Register the app's events, so that metrics count each from zero."""
    app.extensions["security_events"] = (*events, *KitEvent)


def all_events(app: Flask) -> tuple[str, ...]:
    return cast("tuple[str, ...]", app.extensions["security_events"])


class RecordedEvent(NamedTuple):
    event: str
    user_id: UUID | None
    details: dict[str, str]


def record(event: str, user_id: UUID | None = None, **details: str) -> None:
    """Record an event in the current transaction: call it before the commit, which logs and counts it.

    Never pass a username: after a failed login it may be a password.
    """
    session = db.session()
    if not session.in_transaction():
        session.begin()
    pending: list[RecordedEvent] = session.info.setdefault(PENDING, [])
    pending.append(RecordedEvent(event, user_id, details))


def log(event: str, user_id: UUID | None = None, **details: str) -> None:
    """Log and count an event at once, without a transaction."""
    fields = {"event": str(event), "user_id": user_id, **details}
    logger.info(str(event), extra={"fields": fields})
    counter: EventCounter | None = current_app.extensions.get("metrics")
    if counter:
        counter.count_event(event)


@sqlalchemy_event.listens_for(RequestSession, "after_commit")
def _log_recorded(session: Session) -> None:
    for recorded in session.info.pop(PENDING, ()):
        log(recorded.event, recorded.user_id, **recorded.details)


@sqlalchemy_event.listens_for(RequestSession, "after_transaction_end")
def _forget_rolled_back(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session.info.pop(PENDING, None)
