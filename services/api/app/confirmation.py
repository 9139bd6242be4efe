"""Confirms a change of an account with its current password."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from app import limits
from app.authentication import SessionCaller, check_again, passwords
from app.database import db
from app.exceptions import WrongCurrentPassword
from app.model.models import User
from app.model.session_repository import SessionRepository
from app.model.user_repository import UserRepository
from kit.errors import Overloaded, TokenRevoked, TooManyAttempts
from kit.security.hashers import PasswordHash
from kit.web.rate_limits import Attempt, client_network

CONFIRMATION_ERRORS = (WrongCurrentPassword, TooManyAttempts, Overloaded)


class Confirmed(NamedTuple):
    """A locked account whose owner has given the current password."""

    user: User
    new_hash: PasswordHash | None
    attempt: Attempt


@contextmanager
def confirmed(
    caller: SessionCaller, current_password: str, new_password: str | None = None
) -> Iterator[Confirmed]:
    """Verify the current password, hash the new one, and lock the account for the block.

    A wrong password counts like a failed login. The block must call `attempt.succeed()` and then commit.
    Raises CONFIRMATION_ERRORS, and TokenRevoked if the account was deleted meanwhile.
    """
    users, sessions = UserRepository(db.session), SessionRepository(db.session)
    is_known = sessions.is_known_client(caller.user.id, client_network())
    with limits.login(caller.user.username, caller.user.id, is_known_client=is_known) as attempt:
        if not passwords().verify(current_password, caller.user.password_hash):
            raise WrongCurrentPassword
        new_hash = passwords().hash(new_password) if new_password is not None else None
        user = users.lock_unchanged(caller.user)
        if user is None:  # the password was changed, or the account deleted, since it was verified
            raise WrongCurrentPassword if users.get(caller.user.id) else TokenRevoked
        check_again(caller)
        yield Confirmed(user, new_hash, attempt)
