"""The models: users, their sessions (one per login), the tokens of each session, and known networks."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, String, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from kit.clock import now
from kit.data.base import Base, belongs_to, one_of
from kit.data.stored_responses import StoredResponse
from kit.email_address import MAX_KEY_LENGTH


class Role(StrEnum):
    USER = "user"
    ADMIN = "admin"


class TokenType(StrEnum):
    ACCESS = "access"
    REFRESH = "refresh"


class Reason(StrEnum):
    """Why a token or a whole session was revoked."""

    ROTATED = "rotated"
    LOGOUT = "logout"
    REVOKED = "revoked"
    REUSED = "reused"
    PASSWORD_CHANGED = "password_changed"
    SESSION_LIMIT = "session_limit"


class User(Base):
    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("username_key"),
        one_of("role", Role),
        Index(None, "email_key", unique=True),
        Index(None, "username", "id"),
        Index(None, "created_at", "id"),
    )

    username: Mapped[str] = mapped_column(String(64))
    username_key: Mapped[str] = mapped_column(String(64))
    password_hash: Mapped[str] = mapped_column(String(255), info={"secret": True})
    password_changed_at: Mapped[datetime] = mapped_column(default=now)
    # Only a verified address has a unique key, so that an unverified one blocks no other account.
    verified_email: Mapped[str | None] = mapped_column(String(254))
    email_key: Mapped[str | None] = mapped_column(String(MAX_KEY_LENGTH))
    pending_email: Mapped[str | None] = mapped_column(String(254))
    role: Mapped[str] = mapped_column(String(16), default=Role.USER)
    disabled: Mapped[bool] = mapped_column(default=False, server_default=false())
    second_factor_at: Mapped[datetime | None]  # while a second factor is active; read with each request
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)

    @property
    def email(self) -> str | None:
        """The verified e-mail address, or else the one that isn't verified yet."""
        return self.verified_email or self.pending_email

    @property
    def email_verified(self) -> bool:
        return self.verified_email is not None

    @property
    def rights(self) -> dict[str, object]:
        """What admins and operators can change, for the audit trail."""
        return {"role": self.role, "disabled": self.disabled}


class Session(Base):
    """One login with all its tokens. Ending the session invalidates them in one row."""

    __tablename__ = "sessions"
    __table_args__ = (
        # Target of the tokens' foreign key, so that a token and its session belong to the same user.
        UniqueConstraint("id", "user_id"),
        Index(None, "user_id", "refreshed_at"),
        Index(None, "user_id", "network", "created_at"),
        Index(None, "expires_at"),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    refresh_id: Mapped[UUID]  # id of the current, unused refresh token
    created_at: Mapped[datetime]
    refreshed_at: Mapped[datetime]
    expires_at: Mapped[datetime]  # when its last token expires, or when it was ended before
    ends_at: Mapped[datetime]  # when it ends, however often it is refreshed
    ended_at: Mapped[datetime | None]
    ended_reason: Mapped[str | None] = mapped_column(String(32))
    # The client's network at login, for servers that still run the release before KnownNetwork.
    network: Mapped[str | None] = mapped_column(String(45))

    def end(self, time: datetime, reason: Reason) -> None:
        self.ended_at, self.ended_reason = time, reason
        self.expires_at = min(self.expires_at, time)


class Token(Base):
    """One JWT: its id is the `jti` claim."""

    __tablename__ = "tokens"
    __table_args__ = (
        # There is no foreign key to users. With one, a refresh would lock the user after the session. That
        # violates the lock order (user, session, token) and could deadlock with a deletion.
        ForeignKeyConstraint(
            ["session_id", "user_id"], ["sessions.id", "sessions.user_id"], ondelete="CASCADE"
        ),
        one_of("type", TokenType),
        Index(None, "session_id", "parent_id"),
        Index(None, "user_id", "issued_at", "id"),
        Index(None, "expires_at"),
    )

    session_id: Mapped[UUID]
    user_id: Mapped[UUID]
    parent_id: Mapped[UUID | None]  # the refresh token that was spent for it; None after a login
    type: Mapped[str] = mapped_column(String(16))
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    revoked_reason: Mapped[str | None] = mapped_column(String(32))
    user_agent: Mapped[str | None] = mapped_column(String(255))
    ip: Mapped[str | None] = mapped_column(String(45))

    session: Mapped[Session] = relationship(lazy="joined", innerjoin=True, viewonly=True)

    @property
    def lifetime_seconds(self) -> int:
        """The lifetime when it was issued. Times in a JWT are whole seconds."""
        return int((self.expires_at - self.issued_at.replace(microsecond=0)).total_seconds())

    @property
    def revoked_since(self) -> datetime | None:
        """When the token or its session was revoked, or None."""
        return self.revoked_at or self.session.ended_at

    @property
    def revocation_reason(self) -> str | None:
        """The `Reason` for the revocation, or None."""
        return self.revoked_reason or self.session.ended_reason


class KnownNetwork(Base):
    """A network from which a user has logged in, or registered."""

    __tablename__ = "known_networks"
    __table_args__ = (UniqueConstraint("user_id", "network"), Index(None, "last_seen_at"))

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    network: Mapped[str] = mapped_column(String(45))
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]


belongs_to(StoredResponse, "users.id")
