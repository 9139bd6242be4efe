"""Rate limits: attempts are counted in the database, so that all processes share them.

An attempt is reserved before the work, so that simultaneous requests can't pass together. Afterwards it is
confirmed, or cancelled if it shouldn't count.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from uuid import UUID

from flask import Flask, request
from sqlalchemy.exc import SQLAlchemyError

from kit.data.attempts import CONFIRMED, PENDING, AttemptRepository, Count, Entries, Keys
from kit.data.database import db, release
from kit.errors import TooManyAttempts
from kit.security.events import KitEvent, log
from kit.security.keyed_hash import keyed_hashes
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


def limit_keys(*parts: str) -> Keys:
    """Return the keys under which a limit counts, one for each signing key. They reveal none of the parts."""
    hashes = keyed_hashes(current(Settings).signing_keys, "rate limit", *parts)
    return tuple(UUID(bytes=each[:16]) for each in hashes)


class Attempt:
    """An attempt that is reserved under several keys: as a failure, and as a success."""

    def __init__(self, failure: Entries, success: Entries, cleared: Keys) -> None:
        self._failure = failure
        self._success = success
        self._cleared = cleared
        self.has_succeeded = False

    def succeed(self, *, forget_failures: bool = True) -> None:
        """Count it as a success, and forget earlier failures under the keys `cleared`. Commit afterwards.

        Pass `forget_failures=False` if this is only a step of a login.
        """
        self.has_succeeded = True
        cleared = self._cleared if forget_failures else ()
        AttemptRepository(db.session).settle(self._success, self._failure, cleared)

    def fail(self) -> None:
        """Count it as a failure, and commit."""
        attempts = AttemptRepository(db.session)
        attempts.settle(self._failure, self._success)
        attempts.prune()
        db.session.commit()

    def cancel(self) -> None:
        """Don't count it, and commit."""
        AttemptRepository(db.session).settle(cancelled={**self._failure, **self._success})
        db.session.commit()


Limits = Mapping[Keys, RateLimit | None]


@contextmanager
def attempt(
    limits: Limits,
    failures: tuple[type[Exception], ...],
    *,
    counts_success: bool = False,
    success_limits: Limits | None = None,
    cleared: Keys = (),
    on_failure: Callable[[], None] | None = None,
) -> Iterator[Attempt]:
    """Reserve an attempt for the block. It counts if the block raises one of the errors `failures`.
    `on_failure` runs in the transaction that counts the failure.

    With `counts_success`, it also counts if the block succeeds. Otherwise a successful block must call
    `succeed` and then commit, and counts under `success_limits`. Raises TooManyAttempts.
    """
    reserved = reserve(limits, CONFIRMED if counts_success else PENDING, success_limits or {}, cleared)
    try:
        yield reserved
        if not (counts_success or reserved.has_succeeded):
            raise RuntimeError("The block must call attempt.succeed(), and then commit.")
    except failures:
        db.session.rollback()
        if on_failure:
            on_failure()
        reserved.fail()
        raise
    except Exception:
        db.session.rollback()
        with suppress(SQLAlchemyError):  # the original error matters more; if this fails, the attempt counts
            reserved.cancel()
        raise


def reserve(limits: Limits, state: str, success_limits: Limits | None = None, cleared: Keys = ()) -> Attempt:
    """Reserve an attempt under each key that has a limit, and commit. Raises TooManyAttempts."""
    every = {**limits, **(success_limits or {})}
    counts = [Count(keys, *limit) for keys, limit in every.items() if limit]
    try:
        entries = AttemptRepository(db.session).reserve(counts, state) if counts else {}
        db.session.commit()
    except TooManyAttempts:
        db.session.rollback()
        log(KitEvent.RATE_LIMITED)
        raise
    finally:
        release()
    ids = {keys[0] for keys in limits}
    failure = {id: entry for id, entry in entries.items() if id in ids}
    success = {id: entry for id, entry in entries.items() if id not in ids}
    return Attempt(failure, success, cleared)


def _limit_requests() -> None:
    if not request.path.startswith(HEALTH_CHECKS):
        reserve({limit_keys("request", client_network()): current(Settings).rate_limit}, CONFIRMED)
