"""Rate limits: attempts are counted in the database, so that all processes share them.

An attempt is reserved before the work, so that simultaneous requests can't pass together. Afterwards it is
confirmed, or cancelled if it shouldn't count.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from uuid import UUID

from flask import Flask, request
from sqlalchemy.exc import SQLAlchemyError

from kit.data.attempts import CONFIRMED, PENDING, AttemptRepository, Count, key
from kit.data.database import db, release
from kit.errors import TooManyAttempts
from kit.security.events import KitEvent, record
from kit.setting_types import RateLimit
from kit.settings import Settings, current
from kit.web.paths import HEALTH_CHECKS
from kit.web.proxies import network_of


def init_app(app: Flask, settings: Settings) -> None:
    if settings.rate_limit:
        app.before_request(_limit_requests)


def is_limited(app: Flask, path: str) -> bool:
    """Return whether RATE_LIMIT applies to a path."""
    return bool(app.extensions["settings"].rate_limit) and not path.startswith(HEALTH_CHECKS)


def client_network() -> str:
    """Return what limits identify a client by: its IPv4 address, or its IPv6 /64."""
    return network_of(request.remote_addr)


class Attempt:
    """An attempt that is reserved under several keys."""

    def __init__(self, entries: dict[UUID, str], cleared: UUID | None = None) -> None:
        self._entries = entries
        self._cleared = cleared
        self.has_succeeded = False

    def succeed(self) -> None:
        """Don't count it, and forget earlier attempts under the key `cleared`. Commit afterwards."""
        self.has_succeeded = True
        if self._entries:
            AttemptRepository(db.session).cancel(self._entries, self._cleared)

    def confirm(self) -> None:
        """Count it for good, and commit."""
        attempts = AttemptRepository(db.session)
        if self._entries:
            attempts.confirm(self._entries)
        attempts.prune()
        db.session.commit()

    def cancel(self) -> None:
        """Don't count it, and commit."""
        if self._entries:
            AttemptRepository(db.session).cancel(self._entries)
            db.session.commit()


@contextmanager
def attempt(
    limits: Mapping[UUID, RateLimit | None],
    counted: tuple[type[Exception], ...],
    *,
    counts_success: bool = False,
    cleared: UUID | None = None,
) -> Iterator[Attempt]:
    """Reserve an attempt for the block. It counts if the block raises one of the `counted` errors.

    Unless `counts_success`, a successful block must call `succeed` and then commit. Raises TooManyAttempts.
    """
    reserved = reserve(limits, CONFIRMED if counts_success else PENDING, cleared)
    try:
        yield reserved
        if not (counts_success or reserved.has_succeeded):
            raise RuntimeError("The block must call attempt.succeed(), and then commit.")
    except counted:
        db.session.rollback()
        reserved.confirm()
        raise
    except Exception:
        db.session.rollback()
        with suppress(SQLAlchemyError):  # the original error matters more; if this fails, the attempt counts
            reserved.cancel()
        raise


def reserve(
    limits: Mapping[UUID, RateLimit | None], state: str = PENDING, cleared: UUID | None = None
) -> Attempt:
    """Reserve an attempt under each key that has a limit, and commit. Raises TooManyAttempts."""
    counts = [Count(key, *limit) for key, limit in limits.items() if limit]
    try:
        entries = AttemptRepository(db.session).reserve(counts, state) if counts else {}
        db.session.commit()
    except TooManyAttempts:
        db.session.rollback()
        record(KitEvent.RATE_LIMITED)
        raise
    finally:
        release()
    return Attempt(entries, cleared)


def _limit_requests() -> None:
    if not request.path.startswith(HEALTH_CHECKS):
        reserve({key("request", client_network()): current(Settings).rate_limit}, CONFIRMED)
