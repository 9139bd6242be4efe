"""Links that are mailed to the owner of an account. Each works once."""

from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from secrets import token_urlsafe
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, delete, func, select
from sqlalchemy.orm import Mapped, mapped_column

from app.exceptions import LinkInvalid
from app.model.repository import Repository
from kit.clock import now
from kit.data.base import Base, one_of

MAX_LIVE = 3  # for each account and purpose


class Purpose(StrEnum):
    VERIFY_EMAIL = "verify_email"
    RESET_PASSWORD = "reset_password"


LIFETIMES = {Purpose.VERIFY_EMAIL: timedelta(hours=24), Purpose.RESET_PASSWORD: timedelta(minutes=30)}


class Link(Base):
    """A link with a secret token, of which only the hash is stored."""

    __tablename__ = "links"
    __table_args__ = (
        UniqueConstraint("token_hash"),
        one_of("purpose", Purpose),
        Index(None, "user_id", "purpose"),
        Index(None, "expires_at"),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    purpose: Mapped[str] = mapped_column(String(16))
    token_hash: Mapped[str] = mapped_column(String(64), info={"secret": True})
    email: Mapped[str] = mapped_column(String(254))  # where it was sent
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class LinkRepository(Repository[Link]):
    """Links. Lock their user before you create, use or void them."""

    model = Link

    def has_room(self, user_id: UUID, purpose: Purpose) -> bool:
        """Return whether the account may get another link.

        A new link doesn't replace an older one. If it did, anyone could make the owner's link useless.
        """
        live = select(func.count()).where(
            Link.user_id == user_id, Link.purpose == purpose, Link.expires_at > now()
        )
        return (self.session.scalar(live) or 0) < MAX_LIVE

    def create(self, id: UUID, user_id: UUID, purpose: Purpose, email: str) -> str:
        """Add a link, or replace the one with this id, whose message couldn't be sent. Return its token."""
        token, time = token_urlsafe(32), now()
        self.session.execute(delete(Link).where(Link.id == id))
        link = Link(
            id=id,
            user_id=user_id,
            purpose=purpose,
            token_hash=_hash(token),
            email=email,
            created_at=time,
            expires_at=time + LIFETIMES[purpose],
        )
        self.session.add(link)
        self.session.flush()
        return token

    def find(self, token: str, purpose: Purpose) -> Link:
        """Return a link that can be used, without locking anything. Raises LinkInvalid."""
        link = self.session.scalar(
            select(Link).where(
                Link.token_hash == _hash(token), Link.purpose == purpose, Link.expires_at > now()
            )
        )
        if link is None:
            raise LinkInvalid
        return link

    def use(self, link: Link) -> None:
        """Use a link up. Raises LinkInvalid if it was used or voided since it was found."""
        if self.change(delete(Link).where(Link.id == link.id, Link.token_hash == link.token_hash)) != 1:
            raise LinkInvalid

    def remove(self, id: UUID) -> None:
        """Delete a link that couldn't be sent."""
        self.change(delete(Link).where(Link.id == id))

    def void(self, user_id: UUID) -> None:
        """Delete the links of an account, because its password or address has changed."""
        self.change(delete(Link).where(Link.user_id == user_id))

    def prune(self, limit: int) -> int:
        """Delete some expired links and return how many."""
        return self.delete_unlocked(select(Link.id).where(Link.expires_at < now()).limit(limit))


def _hash(token: str) -> str:
    return sha256(token.encode()).hexdigest()
