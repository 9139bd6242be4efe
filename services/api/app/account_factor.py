"""The second factor of accounts. Without the feature, no account has one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from flask import Flask, current_app

from app.model.models import User
from kit.errors import DomainError


class AccountFactor:
    """Requires no second factor. With the feature, RequiredFactor (app/second_factor) replaces it."""

    def challenge(self, user: User) -> DomainError | None:
        """Return the error that asks for a code after the right password, if the account has a factor.

        `user` is locked. The error's challenge is stored in the current transaction.
        """
        return None

    @contextmanager
    def checked_code(self, user: User, code: str | None) -> Iterator[Callable[[User], dict[str, Any]]]:
        """Yield a function that uses up the code. Call it with the locked account, before the commit. It
        returns the details for the audit trail.

        It does nothing if the account has no factor. Raises InvalidCode and TooManyAttempts.
        """
        yield lambda _: {}

    def must_be_fresh(self, user: User) -> bool:
        """Return whether the account needs a token of a recent login to change its password."""
        return False

    def must_enrol(self, user: User) -> bool:
        """Return whether the account can't be used until it has a second factor."""
        return False


def init_app(app: Flask, account_factor: AccountFactor) -> None:
    app.extensions["account_factor"] = account_factor


def account_factor() -> AccountFactor:
    """Return what the current app requires as a second factor."""
    return cast("AccountFactor", current_app.extensions["account_factor"])
