"""Security events: one line each in the log, and a counter. Record an event once it is committed."""

import logging
from collections.abc import Iterable
from enum import StrEnum
from typing import Protocol, cast
from uuid import UUID

from flask import Flask, current_app

logger = logging.getLogger("app.security")


class EventCounter(Protocol):
    def count_event(self, event: str) -> None: ...


class KitEvent(StrEnum):
    RATE_LIMITED = "rate_limited"


def init_app(app: Flask, events: Iterable[str]) -> None:
    """Register the app's events, so that metrics count each from zero."""
    app.extensions["security_events"] = (*events, *KitEvent)


def all_events(app: Flask) -> tuple[str, ...]:
    return cast("tuple[str, ...]", app.extensions["security_events"])


def record(event: str, user_id: UUID | None = None, **details: str) -> None:
    """Log and count an event. Never pass a username: after a failed login it may be a password."""
    fields = {"event": str(event), "user_id": user_id, **details}
    logger.info(str(event), extra={"fields": fields})
    counter: EventCounter | None = current_app.extensions.get("metrics")
    if counter:
        counter.count_event(event)
