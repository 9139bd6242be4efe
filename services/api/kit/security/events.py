"""Security events: a row of the audit trail in the current transaction, and a line after its commit."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, cast
from uuid import UUID

from flask import Flask, current_app
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy.orm import Session, SessionTransaction

from kit.data.audit import AuditRepository
from kit.data.database import RequestSession, db

logger = logging.getLogger("app.security")
PENDING = "security_events"


class EventCounter(Protocol):
    def count_event(self, event: str) -> None: ...


class KitEvent(StrEnum):
    RATE_LIMITED = "rate_limited"


class Via(StrEnum):
    """How the actor was authenticated."""

    SESSION = "session"
    KEY = "key"
    ANONYMOUS = "anonymous"
    COMMAND = "command"
    JOB = "job"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who causes an event, and from where."""

    via: Via
    actor_id: UUID | None = None
    session_id: UUID | None = None
    token_id: UUID | None = None
    key_id: UUID | None = None
    ip: str | None = None
    user_agent: str | None = None
    request_id: str | None = None


def init_app(app: Flask, events: Iterable[str], actor: Callable[[], Actor] | None = None) -> None:
    """Register the app's events, so that metrics count each from zero.

    `actor` returns who is acting. Without it, there is no audit trail, and events are only logged.
    """
    app.extensions["security_events"] = (*events, *KitEvent)
    app.extensions["security_actor"] = actor


def all_events(app: Flask) -> tuple[str, ...]:
    return cast("tuple[str, ...]", app.extensions["security_events"])


class RecordedEvent(NamedTuple):
    event: str
    user_id: UUID | None
    details: dict[str, Any]


def record(
    event: str, user_id: UUID | None = None, *, session_id: UUID | None = None, **details: object
) -> None:
    """Record an event in the current transaction: call it before the commit.

    The row of the audit trail is added at once. The commit logs and counts the event. `session_id` is the
    session that a login has begun; by default, it is the caller's.

    Never pass a secret, or a username: after a failed login it may be a password.
    """
    about: dict[str, Any] = {}
    session = db.session()
    if not session.in_transaction():
        session.begin()
    if find_actor := current_app.extensions["security_actor"]:
        about = asdict(find_actor())
        about["session_id"] = session_id or about["session_id"]
        AuditRepository(db.session).insert({"event": str(event), "user_id": user_id, **about}, details)
    logged = {name: about.get(name) for name in ("actor_id", "via", "session_id", "key_id")}
    pending: list[RecordedEvent] = session.info.setdefault(PENDING, [])
    pending.append(RecordedEvent(event, user_id, {**logged, **details}))


def changed(before: Mapping[str, object], after: Mapping[str, object]) -> dict[str, Any]:
    """Return the details of a change: the old and the new value of each field that changed."""
    return {name: [old, after[name]] for name, old in before.items() if old != after[name]}


def log(event: str, user_id: UUID | None = None, **details: object) -> None:
    """Log and count an event at once, without a transaction and without a row."""
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
