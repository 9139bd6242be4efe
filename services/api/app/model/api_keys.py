"""API keys: secrets with which programs use the API in the name of an account."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    Connection,
    ForeignKey,
    Index,
    Row,
    Select,
    String,
    Text,
    UniqueConstraint,
    bindparam,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.exceptions import KeyNotFound, TooManyKeys
from app.model.models import User
from app.model.repository import Repository
from kit.clock import now
from kit.data.base import Base
from kit.data.kept_statement import KeptStatement
from kit.data.keyset import Page, read_page
from kit.data.repository import AnySession
from kit.data.snapshot import columns_of, snapshot
from kit.errors import TokenExpired, TokenRevoked

MAX_KEYS = 20  # of an account
NEWEST_FIRST = "-created_at"
USE_PRECISION = timedelta(minutes=15)  # how often the last use of a key is written


class ApiKey(Base):
    """A key, of which only the hash is stored."""

    __tablename__ = "api_keys"
    __table_args__ = (
        UniqueConstraint("key_hash"),
        Index(None, "user_id", "created_at", "id"),
        Index(None, "expires_at"),
        Index(None, "last_used_at"),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(100))
    scopes: Mapped[str] = mapped_column(Text)  # sorted, with a space between two (RFC 6749, section 3.3)
    key_hash: Mapped[str] = mapped_column(String(64), info={"secret": True})
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    last_used_ip: Mapped[str | None] = mapped_column(String(45))


class FoundKey(NamedTuple):
    """A key that was presented, and its user."""

    user: User  # a read-only snapshot
    key_id: UUID
    scopes: frozenset[str]
    last_used_at: datetime | None

    def is_use_due(self, time: datetime) -> bool:
        """Return whether the key's last use has to be written."""
        return self.last_used_at is None or self.last_used_at < time - USE_PRECISION


def find_user_by_key(connection: Connection, hash: str, leeway: timedelta) -> FoundKey:
    """Return a key and its user.

    Raises TokenRevoked if the key was deleted or its user disabled, and TokenExpired.
    """
    row = _query().first(connection, {"key_hash": hash})
    if row is None:
        raise TokenRevoked
    *user, id, scopes, expires_at, last_used_at = row
    if expires_at is not None and expires_at <= now() - leeway:
        raise TokenExpired
    return FoundKey(snapshot(User, user), id, frozenset(scopes.split(" ")), last_used_at)


def find_user_by_key_again(session: AnySession, id: UUID, leeway: timedelta) -> User:
    """Return the user of a key as the current transaction sees it, behind the locks that it holds.

    The key may have been deleted while the request was on its way. Raises TokenRevoked and TokenExpired.
    """
    hash = session.scalar(select(ApiKey.key_hash).where(ApiKey.id == id))
    return find_user_by_key(session.connection(), hash or "", leeway).user


@cache
def _query() -> KeptStatement:
    return KeptStatement(
        select(*columns_of(User).values(), ApiKey.id, ApiKey.scopes, ApiKey.expires_at, ApiKey.last_used_at)
        .join(ApiKey, ApiKey.user_id == User.id)
        .where(ApiKey.key_hash == bindparam("key_hash"), User.disabled.is_(False))
    )


class ApiKeyRepository(Repository[ApiKey]):
    model = ApiKey

    def page(self, user_id: UUID, limit: int, after: list[Any] | None) -> Page[ApiKey]:
        """Return a page of the user's keys, newest first. Raises InvalidCursor."""
        return read_page(self.session, _own(user_id), ApiKey, NEWEST_FIRST, limit, after)

    def all(self, user_id: UUID) -> Sequence[ApiKey]:
        return self.session.scalars(_own(user_id).order_by(ApiKey.created_at, ApiKey.id)).all()

    def find(self, user_id: UUID, id: UUID) -> ApiKey:
        """Return a key of the user. Raises KeyNotFound."""
        return _found(self.session.scalar(_own(user_id).where(ApiKey.id == id)))

    def find_locked(self, user_id: UUID, id: UUID) -> ApiKey:
        """Lock a key of the user until the transaction ends. Raises KeyNotFound."""
        locked = _own(user_id).where(ApiKey.id == id).with_for_update(key_share=True)
        return _found(self.session.scalar(locked.execution_options(populate_existing=True)))

    def create(
        self, user_id: UUID, name: str, scopes: str, expires_at: datetime | None, key_hash: str
    ) -> ApiKey:
        """Add a key. Raises TooManyKeys.

        The caller must have locked the user, so that keys aren't counted concurrently. If there are 20, the
        expired ones are deleted to make room.
        """
        own = ApiKey.user_id == user_id
        count = self.session.scalar(select(func.count()).select_from(ApiKey).where(own)) or 0
        if count >= MAX_KEYS:
            count -= self.change(delete(ApiKey).where(own, ApiKey.expires_at <= now()))
        if count >= MAX_KEYS:
            raise TooManyKeys
        return self.add(
            ApiKey(
                user_id=user_id,
                name=name,
                scopes=scopes,
                expires_at=expires_at,
                key_hash=key_hash,
                created_at=now(),
            )
        )

    def update(self, key: ApiKey, fields: Mapping[str, Any]) -> bool:
        """Set fields of a locked key that a schema has validated. Return whether any has changed."""
        for name, value in fields.items():
            setattr(key, name, value)
        is_changed = self.session.is_modified(key)
        self.session.flush()
        return is_changed

    def remove(self, user_id: UUID, id: UUID) -> ApiKey:
        """Delete a key of the user, and return what it was. Raises KeyNotFound."""
        key = self.find_locked(user_id, id)
        self.delete(key)
        return key

    def remove_all(self, user_id: UUID) -> Sequence[Row[UUID, str]]:
        """Delete all keys of a locked user. Return the id and the scopes of each."""
        deletion = delete(ApiKey).where(ApiKey.user_id == user_id).returning(ApiKey.id, ApiKey.scopes)
        return self.session.execute(deletion.execution_options(synchronize_session=False)).all()

    def note_use(self, id: UUID, time: datetime, ip: str | None) -> None:
        """Write when and from where a key was used, unless that was written in the last 15 minutes."""
        is_due = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < time - USE_PRECISION)
        self.change(update(ApiKey).where(ApiKey.id == id, is_due).values(last_used_at=time, last_used_ip=ip))

    def prune(self, retention: timedelta, limit: int) -> int:
        """Delete some keys that expired long ago, and forget some addresses that were used long ago.

        Return how many rows it changed.
        """
        time = now() - retention
        deleted = self.delete_unlocked(select(ApiKey.id).where(ApiKey.expires_at < time).limit(limit))
        has_old_address = (ApiKey.last_used_at < time, ApiKey.last_used_ip.is_not(None))
        old = select(ApiKey.id).where(*has_old_address).limit(limit).with_for_update(skip_locked=True)
        return deleted + self.change(update(ApiKey).where(ApiKey.id.in_(old)).values(last_used_ip=None))


def _own(user_id: UUID) -> Select[ApiKey]:
    return select(ApiKey).where(ApiKey.user_id == user_id)


def _found(key: ApiKey | None) -> ApiKey:
    if key is None:
        raise KeyNotFound
    return key
