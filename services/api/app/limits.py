"""Rate limits for logins and registrations. The settings say how many attempts they allow."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from app.config import current
from app.database import db
from app.events import Event
from app.exceptions import InvalidCredentials, UsernameTaken, WrongCurrentPassword
from app.model.user_repository import key_of
from kit.data.attempts import CONFIRMED, key
from kit.security.events import record
from kit.web.rate_limits import attempt, client_network


@contextmanager
def login(username: str, user_id: UUID | None, *, is_known_client: bool) -> Iterator[None]:
    """Count a failed login, or commit the work of the block if it succeeds. Raises TooManyAttempts.

    It fails if the block raises InvalidCredentials or WrongCurrentPassword. The limit per account doesn't
    apply to a client that has logged in to it before. Otherwise anyone could lock its owner out.
    """
    settings, name, client = current(), key_of(username), client_network()
    pair = key("login pair", name, client)
    limits = {
        pair: settings.login_limit_pair,
        key("login client", client): settings.login_limit_client,
        key("login account", name): None if is_known_client else settings.login_limit_account,
    }
    failures = (InvalidCredentials, WrongCurrentPassword)
    try:
        with attempt(limits, counted=failures) as reserved:
            yield
            reserved.cancel(cleared=pair)
            db.session.commit()
    except failures:
        record(Event.LOGIN_FAILED, user_id)
        raise


@contextmanager
def registration() -> Iterator[None]:
    """Count a registration that succeeds or whose username is taken. Raises TooManyAttempts."""
    limits = {key("register", client_network()): current().register_limit}
    with attempt(limits, counted=(UsernameTaken,), state=CONFIRMED):
        yield
