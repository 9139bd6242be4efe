"""Tokens: whose they are, and which are revoked."""

from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, Uuid, bindparam, select

from app.exceptions import TokenNotFound
from app.model.models import Reason, Session, Token, TokenType, User
from app.model.repository import ExpiringRepository
from app.model.session_repository import SessionRepository
from kit.clock import now
from kit.data.keyset import Page, read_page
from kit.data.snapshot import columns_of, snapshot

NEWEST_FIRST = "-issued_at"


# Compare UUIDs as text, as in the token. Converting them would take ten times as long.
ID = Uuid(as_uuid=False)


def find_user_by_token(connection: Connection, token_id: str, session_id: str, user_id: str) -> User | None:
    """Return the user of an access token. None if the token or session is revoked, or the user disabled.

    The user is a read-only snapshot, which costs half as much as an ORM entity.
    """
    ids = {"token_id": token_id, "session_id": session_id, "user_id": user_id}
    row = connection.execute(_statement(), ids).first()
    return snapshot(User, row) if row else None


@cache
def _statement() -> Select[Any]:
    """Return the statement, which takes longer to build than to execute."""
    return (
        select(*columns_of(User).values())
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


class TokenRepository(ExpiringRepository[Token]):
    model = Token

    def page(self, user_id: UUID, *, active: bool, limit: int, after: list[Any] | None) -> Page[Token]:
        """Return a page of the user's tokens, newest first. Raises InvalidCursor."""
        query = select(Token).where(Token.user_id == user_id)
        if active:
            query = query.where(
                Token.revoked_at.is_(None), Token.session.has(ended_at=None), Token.expires_at > now()
            )
        return read_page(self.session, query, Token, NEWEST_FIRST, limit, after)

    def get_locked(self, user_id: UUID, token_id: UUID) -> Token:
        """Lock the session of a user's token, then the token. Raises TokenNotFound."""
        token = self.session.scalar(select(Token).where(Token.id == token_id, Token.user_id == user_id))
        if token is None:
            raise TokenNotFound
        if not SessionRepository(self.session).lock(token.session_id) or not self.lock(token_id):
            raise TokenNotFound
        return token

    def revoke(self, token: Token) -> None:
        """Revoke a locked token. Revoking a refresh token, even a spent one, ends its session."""
        if token.type == TokenType.REFRESH and not token.session.ended_at:
            token.session.ended_at, token.session.ended_reason = now(), Reason.REVOKED
        if not token.revoked_since:
            token.revoked_at, token.revoked_reason = now(), Reason.REVOKED
        self.session.flush()
