"""Rate limits for logins and registrations. The settings say how many attempts they allow."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from app.config import current
from app.events import Event
from app.exceptions import InvalidCredentials, UsernameTaken, WrongCurrentPassword
from app.model.user_repository import key_of
from kit.data.attempts import key
from kit.security.events import record
from kit.web.rate_limits import Attempt, attempt, client_network

FAILURES = (InvalidCredentials, WrongCurrentPassword)


@contextmanager
def login(username: str, user_id: UUID | None, *, is_known_client: bool) -> Iterator[Attempt]:
    """Count a login that fails: the block raises one of FAILURES. Raises TooManyAttempts.

    Otherwise the block must call `succeed` and then commit. The limit per account doesn't apply to a client
    that has logged in to it before. If it did, anyone could lock its owner out.
    """
    settings, name, client = current(), key_of(username), client_network()
    pair = key("login pair", name, client)
    limits = {
        pair: settings.login_limit_pair,
        key("login client", client): settings.login_limit_client,
        key("login account", name): None if is_known_client else settings.login_limit_account,
    }
    try:
        with attempt(limits, FAILURES, cleared=pair) as reserved:
            yield reserved
    except FAILURES:
        record(Event.LOGIN_FAILED, user_id)
        raise


@contextmanager
def registration() -> Iterator[None]:
    """Count a registration that succeeds or whose username is taken. Raises TooManyAttempts."""
    limits = {key("register", client_network()): current().register_limit}
    with attempt(limits, (UsernameTaken,), counts_success=True):
        yield
