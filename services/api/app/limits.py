"""Rate limits for logins and registrations. The settings say how many attempts they allow."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from app.config import current
from app.database import db
from app.events import Event
from app.exceptions import InvalidCode, InvalidCredentials, UsernameTaken, WrongCurrentPassword
from app.model.user_repository import login_key
from kit.data.attempts import CONFIRMED, AttemptRepository, Count, Keys
from kit.email_address import email_key
from kit.errors import TooManyAttempts
from kit.security.events import record
from kit.setting_types import RateLimit
from kit.web.rate_limits import Attempt, attempt, client_network, limit_keys

FAILURES = (InvalidCredentials, WrongCurrentPassword)
CODE_LIMIT = RateLimit(10, 3600)


@contextmanager
def login(username: str, user_id: UUID | None, *, is_known_client: bool) -> Iterator[Attempt]:
    """Count a login that fails: the block raises one of FAILURES. Raises TooManyAttempts.

    Otherwise the block must call `succeed` and then commit. The limit per account doesn't apply to a client
    that the account knows. If it did, anyone could lock its owner out. One unknown client can use up a fifth
    of it, so it takes at least five to lock the owner out of a new address.
    """
    settings, client = current(), client_network()
    # All spellings of an unknown name share a limit, as those of an account do. Otherwise, the limit would
    # show which names exist.
    account = ("user", str(user_id)) if user_id else ("name", login_key(username))
    per_account = None if is_known_client else settings.login_limit_account
    pair = _pair_keys(*account)
    limits = {
        pair: settings.login_limit_pair,
        limit_keys("login client", client): settings.login_limit_client,
        limit_keys("login account", *account): per_account,
        limit_keys("login account share", *account, client): per_account and _fifth_of(per_account),
    }
    success_limits = {limit_keys("login success", client): settings.login_limit_success}
    with attempt(
        limits,
        FAILURES,
        success_limits=success_limits,
        cleared=pair if settings.login_limit_pair else (),
        on_failure=lambda: record(Event.LOGIN_FAILED, user_id),
    ) as reserved:
        yield reserved


@contextmanager
def code(user_id: UUID) -> Iterator[Attempt]:
    """Count a wrong code of a second factor. Raises TooManyAttempts, even if the code is right.

    The limit applies to all clients together. Otherwise, a person who knows the password could guess from
    many addresses. No success forgets wrong codes: the owner's logins would give that person new attempts.

    The block must call `succeed` and then commit. A completed login forgets the client's failed logins.
    """
    limits = {limit_keys("second factor", str(user_id)): CODE_LIMIT}
    pair = _pair_keys("user", str(user_id)) if current().login_limit_pair else ()
    with attempt(
        limits,
        (InvalidCode,),
        cleared=pair,
        on_failure=lambda: record(Event.SECOND_FACTOR_FAILED, user_id),
    ) as reserved:
        yield reserved


@contextmanager
def registration() -> Iterator[None]:
    """Count a registration that succeeds or whose username is taken. Raises TooManyAttempts."""
    limits = {limit_keys("register", client_network()): current().register_limit}
    with attempt(limits, (UsernameTaken,), counts_success=True):
        yield


@contextmanager
def message_request() -> Iterator[None]:
    """Count a request for a message that succeeds. Raises TooManyAttempts."""
    limits = {limit_keys("message request", client_network()): current().mail_limit_client}
    with attempt(limits, (), counts_success=True):
        yield


def count_message(purpose: str, address: str) -> bool:
    """Count a message to an address. False means that it has had enough of them.

    Each purpose has its own limit. With a common one, anyone could prevent the password reset of an account,
    by registering others with its address.
    """
    limit = current().mail_limit
    if limit is None:
        return True
    try:
        keys = limit_keys("message", purpose, email_key(address))
        AttemptRepository(db.session).reserve([Count(keys, *limit)], CONFIRMED)
    except TooManyAttempts:
        return False
    return True


def forget_failed_logins(user_id: UUID) -> None:
    """Forget the failed logins of this client to an account."""
    AttemptRepository(db.session).settle(cleared=_pair_keys("user", str(user_id)))


def _pair_keys(*account: str) -> Keys:
    return limit_keys("login pair", *account, client_network())


def _fifth_of(limit: RateLimit) -> RateLimit:
    attempts, seconds = limit
    return RateLimit(max(1, attempts // 5), seconds)
