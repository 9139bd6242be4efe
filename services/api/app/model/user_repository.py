"""Accounts."""

import re
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select

from app.exceptions import EmailRefused, EmailTaken, Forbidden, LastAdmin, UsernameRefused, UsernameTaken
from app.model.links import LinkRepository
from app.model.models import Role, User
from app.model.network_repository import known_client_exists
from app.model.repository import ResourceRepository
from app.model.token_repository import find_user_again
from kit.clock import now
from kit.email_address import email_key, is_email_address
from kit.errors import AlreadyExists
from kit.security.hashers import PasswordHash

USERNAME = r"[A-Za-z0-9][A-Za-z0-9._-]{2,63}"
TAKEN = {"username_key": UsernameTaken, "email_key": EmailTaken}


class UserRepository(ResourceRepository[User]):
    model = User

    def find_by_username(self, username: str) -> User | None:
        return self.session.scalar(select(User).where(User.username_key == key_of(username)))

    def find_by_email(self, address: str) -> User | None:
        """Return the account that has verified this address."""
        return self.session.scalar(select(User).where(User.email_key == email_key(address)))

    def find_for_login(self, name: str, network: str) -> tuple[User | None, bool]:
        """Return the account, and whether a client of this network has recently logged in to it.

        The name is a username or a verified e-mail address: only addresses contain an @.
        """
        column = User.email_key if "@" in name else User.username_key
        has_name = column == login_key(name)
        query = select(User, known_client_exists(User.id.expression, network)).where(has_name)
        row = self.session.execute(query).first()
        return (row[0], row[1]) if row else (None, False)

    def register(
        self,
        username: str,
        password_hash: PasswordHash,
        role: Role = Role.USER,
        pending_email: str | None = None,
    ) -> User:
        """Add an account. Usernames are unique in any case. Raises UsernameRefused and UsernameTaken."""
        _check(username)
        time = now()
        user = User(
            username=username,
            username_key=key_of(username),
            password_hash=password_hash,
            password_changed_at=time,
            pending_email=pending_email,
            role=role,
            created_at=time,
            updated_at=time,
        )
        self.session.add(user)
        self._flush()
        return user

    def rename(self, user: User, username: str) -> None:
        """Rename an account. Raises UsernameRefused and UsernameTaken."""
        _check(username)
        if username != user.username:
            user.username, user.username_key, user.updated_at = username, key_of(username), now()
            self._flush()

    def set_password(self, user: User, password_hash: PasswordHash) -> None:
        """Set a password. Drop links and an unverified address: another person may have given it."""
        user.password_hash, user.pending_email = password_hash, None
        user.password_changed_at = user.updated_at = now()
        LinkRepository(self.session).void(user.id)

    def request_email(self, user: User, address: str) -> None:
        """Remember a new address. It replaces the current one when its owner has verified it."""
        user.pending_email = address if address != user.verified_email else None
        user.updated_at = now()
        LinkRepository(self.session).void(user.id)

    def verify_email(self, user: User, address: str) -> None:
        """Make an address the account's own. Raises EmailRefused and EmailTaken."""
        if not is_email_address(address):
            raise EmailRefused
        user.verified_email, user.email_key, user.pending_email = address, email_key(address), None
        user.updated_at = now()
        self._flush()
        LinkRepository(self.session).void(user.id)

    def remove_email(self, user: User) -> None:
        user.verified_email = user.email_key = user.pending_email = None
        user.updated_at = now()
        LinkRepository(self.session).void(user.id)

    def lock_unchanged(self, seen: User) -> User | None:
        """Lock an account whose password was verified.

        Return None if it was deleted or disabled, or if its password was changed since.
        """
        user = self.lock(seen.id)
        is_same = user and user.password_changed_at == seen.password_changed_at and not user.disabled
        return user if is_same else None

    def remove(self, user_id: UUID) -> bool:
        """Delete an account with its sessions and tokens. Return whether it existed. Raises LastAdmin.

        Call retention.shorten_history before, so that an account with a long history can be deleted, too.
        """
        self._refuse_last_admin(user_id)
        return self.change(delete(User).where(User.id == user_id)) == 1

    def lock_for_admin_change(
        self, id: UUID, *, by: UUID, session_id: UUID, token_id: UUID, leeway: timedelta
    ) -> User:
        """Lock all admins, then the account that the admin `by` is about to change.

        The admin's token is checked again behind the lock, because another admin may have demoted or disabled
        this one while the request was on its way. Raises TokenRevoked, TokenExpired, Forbidden and NotFound.

        All callers lock the admins first, in the same order. So if two are removed concurrently, the second
        removal sees that only one admin is left.
        """
        self._lock_admins()
        admin = find_user_again(self.session, token_id, session_id, by, leeway)
        if admin.role != Role.ADMIN:
            raise Forbidden
        return self.find_locked(id)

    def lock_with_admins(self, id: UUID) -> User:
        """Lock all admins, then the account that an operator is about to change. Raises NotFound."""
        self._lock_admins()
        return self.find_locked(id)

    def set_role_and_status(self, user: User, *, role: Role | None, disabled: bool | None) -> None:
        """Change an account's role, or disable or enable it. None keeps the value. Raises LastAdmin."""
        stops_being_admin = role not in (None, Role.ADMIN) or disabled
        if stops_being_admin:
            self._refuse_last_admin(user.id)
        fields = {"role": role, "disabled": disabled}
        self.update(user, {name: value for name, value in fields.items() if value is not None})

    def _refuse_last_admin(self, user_id: UUID) -> None:
        if self._lock_admins() == [user_id]:  # don't rely on a role that was read before the lock
            raise LastAdmin

    def _lock_admins(self) -> list[UUID]:
        admins = select(User.id).where(User.role == Role.ADMIN, User.disabled.is_(False))
        return list(self.session.scalars(admins.order_by(User.id).with_for_update()))

    def all(self) -> Sequence[User]:
        return self.session.scalars(select(User).order_by(User.username_key)).all()

    def _flush(self) -> None:
        try:
            super()._flush()
        except AlreadyExists as error:
            if error.field not in TAKEN:
                raise
            raise TAKEN[error.field] from error


def _check(username: str) -> None:
    if not re.fullmatch(USERNAME, username):
        raise UsernameRefused


def login_key(name: str) -> str:
    """Return the unique form of a username or an e-mail address."""
    return email_key(name) if "@" in name else key_of(name)


def key_of(username: str) -> str:
    """Return the unique form of a username. Only ASCII is folded: the Kelvin sign at a login isn't a k."""
    return username.lower() if username.isascii() else username
