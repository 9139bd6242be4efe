"""Asks accounts for the code of their second factor."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from app import limits
from app.account_factor import AccountFactor
from app.account_mail import Notice, account_mail
from app.config import current
from app.database import db
from app.events import Event
from app.exceptions import InvalidCode, SecondFactorRequired
from app.model.models import Role, User
from app.model.second_factors import (
    CHALLENGE_LIFETIME,
    ChallengeRepository,
    CodeType,
    SecondFactorRepository,
)
from kit.security.events import record


class RequiredFactor(AccountFactor):
    def __init__(self, required_of: str) -> None:
        self.required_of = required_of  # REQUIRE_SECOND_FACTOR, not looked up in each request

    def challenge(self, user: User) -> SecondFactorRequired | None:
        if user.second_factor_at is None:
            return None
        record(Event.SECOND_FACTOR_REQUESTED, user.id)
        token = ChallengeRepository(db.session).create(user)
        return SecondFactorRequired(token, int(CHALLENGE_LIFETIME.total_seconds()))

    @contextmanager
    def checked_code(self, user: User, code: str | None) -> Iterator[Callable[[User], dict[str, Any]]]:
        if user.second_factor_at is None:
            yield _refuse_new_factor
            return
        with limits.code(user.id) as attempt:

            def check(locked: User) -> dict[str, Any]:
                used = use_code(locked, code or "")
                attempt.succeed(forget_failures=False)
                return {"second_factor": used}

            yield check

    def must_be_fresh(self, user: User) -> bool:
        # The new password's session has a fresh token, which needs a code.
        return user.second_factor_at is not None

    def must_enrol(self, user: User) -> bool:
        if self.required_of == "none" or user.second_factor_at:
            return False
        return self.required_of == "all" or user.role == Role.ADMIN


def factors() -> SecondFactorRepository:
    return SecondFactorRepository(db.session, current().signing_keys)


def use_code(user: User, code: str) -> CodeType:
    """Use up a code of a locked account, and notify its owner of a recovery code. Raises InvalidCode."""
    used = factors().use_code(user, code)
    if used == CodeType.RECOVERY_CODE:
        account_mail().notify(user, Notice.RECOVERY_CODE_USED)
    return used


def _refuse_new_factor(user: User) -> dict[str, Any]:
    """Refuse an account that added a factor after the request began."""
    if user.second_factor_at:
        raise InvalidCode
    return {}
