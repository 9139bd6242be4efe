"""How often somebody may try: failed logins, registrations and, if wanted, any request."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

from flask import Flask, request
from sqlalchemy.exc import SQLAlchemyError

from app.config import Limit, Settings, current
from app.database import db, release
from app.exceptions import InvalidCredentials, TooManyAttempts, UsernameTaken, WrongCurrentPassword
from app.forwarded import network_of
from app.model.attempt_repository import DECIDED, UNDECIDED, AttemptRepository, Count, key
from app.model.user_repository import key_of
from app.security_events import Event, tell

UNLIMITED = "/health/"  # what watches the app asks often, and must not be told that it is gone


def init_app(app: Flask, settings: Settings) -> None:
    if settings.rate_limit:
        app.before_request(_limit_requests)


def is_limited(app: Flask, path: str) -> bool:
    """Whether RATE_LIMIT counts the requests of a path."""
    return bool(app.extensions["settings"].rate_limit) and not path.startswith(UNLIMITED)


def client() -> str:
    """Return what limits know a client by: its IPv4 address, or its IPv6 /64."""
    return network_of(request.remote_addr)


@contextmanager
def login(username: str, user_id: UUID | None, *, is_known: bool) -> Iterator[None]:
    """Count a login, and commit the work of the block if it succeeds. Raises TooManyAttempts.

    The attempt is counted before the password is checked, and in the end only if the block raises
    InvalidCredentials or WrongCurrentPassword. From a client that has logged in to the account before, the
    account's own limit doesn't count: else anyone could lock its owner out.
    """
    settings, name = current(), key_of(username)
    pair = key("login pair", name, client())
    limits = {
        pair: settings.login_limit_pair,
        key("login client", client()): settings.login_limit_client,
        key("login account", name): None if is_known else settings.login_limit_account,
    }
    failures = (InvalidCredentials, WrongCurrentPassword)
    try:
        with _counted(limits, failures) as entries:
            yield
            if entries:
                AttemptRepository(db.session).take_back(entries, cleared=pair)
            db.session.commit()
    except failures:
        tell(Event.LOGIN_FAILED, user_id)
        raise


@contextmanager
def registration() -> Iterator[None]:
    """Count a registration that succeeds, or fails because the name is taken. Raises TooManyAttempts."""
    with _counted({key("register", client()): current().register_limit}, (UsernameTaken,), DECIDED):
        yield


@contextmanager
def _counted(
    limits: dict[UUID, Limit | None], counting: tuple[type[Exception], ...], state: str = UNDECIDED
) -> Iterator[dict[UUID, str]]:
    """Reserve before the work, so that many at once cannot pass together; take back what need not count."""
    entries = _reserve(limits, state)
    try:
        yield entries
    except counting:
        db.session.rollback()
        if entries:
            AttemptRepository(db.session).decide(entries)
        AttemptRepository(db.session).prune()
        db.session.commit()
        raise
    except Exception:
        db.session.rollback()
        with suppress(SQLAlchemyError):  # what raised is what matters; unless taken back, it counts
            if entries:
                AttemptRepository(db.session).take_back(entries)
                db.session.commit()
        raise


def _reserve(limits: dict[UUID, Limit | None], state: str) -> dict[UUID, str]:
    counts = [Count(key, *limit) for key, limit in limits.items() if limit]
    try:
        entries = AttemptRepository(db.session).reserve(counts, state) if counts else {}
        db.session.commit()
    except TooManyAttempts:
        db.session.rollback()
        tell(Event.REFUSED)
        raise
    finally:
        release()
    return entries


def _limit_requests() -> None:
    if not request.path.startswith(UNLIMITED):
        _reserve({key("request", client()): current().rate_limit}, DECIDED)
