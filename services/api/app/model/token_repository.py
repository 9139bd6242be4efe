"""The tokens: who holds one, which ones a user has, and what is revoked."""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Uuid, bindparam, select

from app.clock import now
from app.exceptions import TokenNotFound
from app.model.listing import Page, read_page
from app.model.models import Reason, Session, Token, TokenType, User
from app.model.passwords import PasswordHash
from app.model.repository import ExpiringRepository
from app.model.session_repository import SessionRepository

NEWEST_FIRST = "-issued_at"


class Holder(NamedTuple):
    """Whose live access token was presented: the account as it was at that moment. Lock it to change it."""

    id: UUID
    username: str
    password_hash: PasswordHash
    password_changed_at: datetime
    role: str
    created_at: datetime
    updated_at: datetime


# As the token has them: for the driver, to write out a UUID takes ten times as long.
ID = Uuid(as_uuid=False)
# Made once: to put it together takes longer than to have it answered, at every request with a token.
HOLDER = (
    select(*(getattr(User, name) for name in Holder._fields))
    .join(Session, Session.user_id == User.id)
    .join(Token, Token.session_id == Session.id)
    .where(
        Token.id == bindparam("token_id", type_=ID),
        Token.type == TokenType.ACCESS,
        Token.revoked_at.is_(None),
        Session.id == bindparam("session_id", type_=ID),
        Session.ended_at.is_(None),
        User.id == bindparam("user_id", type_=ID),
        User.disabled.is_(False),
    )
)


def holder(connection: Connection, token_id: str, session_id: str, user_id: str) -> Holder | None:
    """Return whose live access token has these ids, in one query; None if anything of it is dead or gone.

    Of columns, without a session: that takes half the time, at every request with a token.
    """
    ids = {"token_id": token_id, "session_id": session_id, "user_id": user_id}
    row = connection.execute(HOLDER, ids).first()
    return Holder(*row) if row else None


class TokenRepository(ExpiringRepository[Token]):
    model = Token

    def page(self, user_id: UUID, *, active: bool, limit: int, after: list[Any] | None) -> Page[Token]:
        """Return at most `limit` of the user's tokens, newest first, from behind a place on."""
        query = select(Token).where(Token.user_id == user_id)
        if active:
            query = query.where(
                Token.revoked_at.is_(None), Token.session.has(ended_at=None), Token.expires_at > now()
            )
        return read_page(self.session, query, Token, NEWEST_FIRST, limit, after)

    def get_locked(self, user_id: UUID, token_id: UUID) -> Token:
        """Return the user's token with its session and itself locked, in this order. Raises TokenNotFound."""
        token = self.session.scalar(select(Token).where(Token.id == token_id, Token.user_id == user_id))
        if token is None:
            raise TokenNotFound
        if not SessionRepository(self.session).lock(token.session_id) or not self.lock(token_id):
            raise TokenNotFound
        return token

    def revoke(self, token: Token) -> None:
        """Revoke a locked token; with a refresh token, a spent one too, its session ends."""
        if token.type == TokenType.REFRESH and not token.session.ended_at:
            token.session.ended_at, token.session.ended_reason = now(), Reason.REVOKED
        if not token.dead_since:
            token.revoked_at, token.revoked_reason = now(), Reason.REVOKED
        self.session.flush()
