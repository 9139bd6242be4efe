"""The accounts."""

import re
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, select

from app.clock import now
from app.exceptions import AlreadyExists, LastAdmin, UsernameRefused, UsernameTaken
from app.model.models import Role, User
from app.model.passwords import PasswordHash
from app.model.resource_repository import ResourceRepository
from app.model.session_repository import is_known

USERNAME = r"[A-Za-z0-9][A-Za-z0-9._-]{2,63}"


class UserRepository(ResourceRepository[User]):
    model = User

    def named(self, username: str) -> User | None:
        return self.session.scalar(select(User).where(User.username_key == key_of(username)))

    def seen_at(self, username: str, network: str) -> tuple[User | None, bool]:
        """Return the account of that name, and whether somebody has logged in to it from there lately."""
        query = select(User, is_known(User.id.expression, network)).where(
            User.username_key == key_of(username)
        )
        row = self.session.execute(query).first()
        return (row[0], row[1]) if row else (None, False)

    def register(self, username: str, password_hash: PasswordHash, role: Role = Role.USER) -> User:
        """Add an account. Raises UsernameRefused, and UsernameTaken whatever the name's case."""
        _check(username)
        time = now()
        user = User(
            username=username,
            username_key=key_of(username),
            password_hash=password_hash,
            password_changed_at=time,
            role=role,
            created_at=time,
            updated_at=time,
        )
        self.session.add(user)
        self._send()
        return user

    def rename(self, user: User, username: str) -> None:
        """Raises UsernameRefused and UsernameTaken. One's own name again changes nothing."""
        _check(username)
        if username != user.username:
            user.username, user.username_key, user.updated_at = username, key_of(username), now()
            self._send()

    def set_password(self, user: User, password_hash: PasswordHash) -> None:
        user.password_hash = password_hash
        user.password_changed_at = user.updated_at = now()

    def lock_unchanged(self, seen: User) -> User | None:
        """Lock the account whose password was verified. None if it is gone, disabled, or has another
        password by now."""
        user = self.lock(seen.id)
        is_same = user and user.password_changed_at == seen.password_changed_at and not user.disabled
        return user if is_same else None

    def remove(self, user_id: UUID) -> bool:
        """Delete the account with its sessions and tokens; return whether it was there. Raises LastAdmin."""
        self._keep_an_admin_besides(user_id)
        return self.change(delete(User).where(User.id == user_id)) == 1

    def find_to_judge(self, id: UUID) -> User:
        """Lock the admins, and then the account that one of them is about to change. Raises NotFound.

        The admins are locked together, always in the same order: two who leave at the same time wait for
        each other, and the second one finds itself alone.
        """
        self._lock_admins()
        return self.find_locked(id)

    def judge(self, user: User, *, role: Role | None, disabled: bool | None) -> None:
        """Give an account another role, or bar it; None leaves that as it is. Raises LastAdmin."""
        leaves = role not in (None, Role.ADMIN) or disabled
        if leaves:
            self._keep_an_admin_besides(user.id)
        fields = {"role": role, "disabled": disabled}
        self.update(user, {name: value for name, value in fields.items() if value is not None})

    def _keep_an_admin_besides(self, user_id: UUID) -> None:
        if self._lock_admins() == [user_id]:  # whatever role was read before the lock
            raise LastAdmin

    def _lock_admins(self) -> list[UUID]:
        admins = select(User.id).where(User.role == Role.ADMIN, User.disabled.is_(False))
        return list(self.session.scalars(admins.order_by(User.id).with_for_update()))

    def all(self) -> Sequence[User]:
        return self.session.scalars(select(User).order_by(User.username_key)).all()

    def _send(self) -> None:
        try:
            super()._send()
        except AlreadyExists as error:
            if error.field != "username_key":
                raise
            raise UsernameTaken from error


def _check(username: str) -> None:
    if not re.fullmatch(USERNAME, username):
        raise UsernameRefused


def key_of(username: str) -> str:
    """What makes a name unique. Only ASCII has a case here: the Kelvin sign is no k."""
    return username.lower() if username.isascii() else username
