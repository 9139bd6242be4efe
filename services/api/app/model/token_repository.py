"""Tokens: their owners and their revocation."""

from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Connection,
    Uuid,
    and_,
    bindparam,
    func,
    or_,
    select,
    update,
)

from app.exceptions import TokenNotFound
from app.model.models import Reason, Session, Token, TokenType, User
from app.model.repository import Repository
from app.model.retention import LISTED
from kit.clock import now
from kit.data.kept_statement import KeptStatement
from kit.data.keyset import Page, read_page
from kit.data.repository import LOCKED, AnySession, deletion_of_unlocked, is_any_of
from kit.data.snapshot import columns_of, snapshot
from kit.errors import TokenExpired, TokenRevoked

NEWEST_FIRST = "-issued_at"
MAX_LIVE_ACCESS = 10  # of a session
MAX_PAIRS = 15  # of a session, with those that are revoked or expired
MAX_TOKENS = 2 * MAX_PAIRS


# Compare UUIDs as text, as in the token. Converting them would take ten times as long.
ID = Uuid(as_uuid=False)


def find_user_by_token(
    connection: Connection, token_id: str, session_id: str, user_id: str, leeway: timedelta
) -> User:
    """Return the user of an access token.

    Raises TokenRevoked if the token or session is revoked, or the user disabled. Raises TokenExpired if the
    token's row has expired, even if it says otherwise. The user is a read-only snapshot, which costs half as
    much as an ORM entity.
    """
    ids = {"token_id": token_id, "session_id": session_id, "user_id": user_id}
    row = _query().first(connection, ids)
    if row is None:
        raise TokenRevoked
    *user, expires_at = row
    if expires_at <= now() - leeway:
        raise TokenExpired
    return snapshot(User, user)


def find_user_again(
    session: AnySession, token_id: UUID, session_id: UUID, user_id: UUID, leeway: timedelta
) -> User:
    """Return the user of an access token as the current transaction sees it, behind the locks that it holds.

    The token may have been revoked while the request was on its way. Raises TokenRevoked and TokenExpired.
    """
    return find_user_by_token(session.connection(), str(token_id), str(session_id), str(user_id), leeway)


@cache
def _query() -> KeptStatement:
    return KeptStatement(
        select(*columns_of(User).values(), Token.expires_at)
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


class TokenRepository(Repository[Token]):
    model = Token

    def page(self, user_id: UUID, *, active: bool, limit: int, after: list[Any] | None) -> Page[Token]:
        """Return a page of the user's tokens, newest first. Raises InvalidCursor.

        Tokens that were revoked or expired more than a day ago are left out, even if they have a row.
        """
        query = select(Token).where(Token.user_id == user_id)
        if active:
            query = query.where(
                Token.revoked_at.is_(None), Token.session.has(ended_at=None), Token.expires_at > now()
            )
        else:
            since = now() - LISTED
            query = query.where(
                or_(Token.revoked_at.is_(None), Token.revoked_at > since),
                Token.session.has(or_(Session.ended_at.is_(None), Session.ended_at > since)),
                Token.expires_at > since,
            )
        return read_page(self.session, query, Token, NEWEST_FIRST, limit, after)

    def get_locked(self, user_id: UUID, token_id: UUID) -> Token:
        """Lock the session of a user's token, then the token. Raises TokenNotFound."""
        token = self.session.scalar(select(Token).where(Token.id == token_id, Token.user_id == user_id))
        if token is None:
            raise TokenNotFound
        if not self.session.get(Session, token.session_id, **LOCKED) or not self.lock(token_id):
            raise TokenNotFound
        return token

    def revoke(self, token: Token) -> None:
        """Revoke a locked token. Revoking a refresh token, even a spent one, ends its session."""
        time = now()
        if token.type == TokenType.REFRESH and not token.session.ended_at:
            token.session.end(time, Reason.REVOKED)
        if not token.revoked_since:
            token.revoked_at, token.revoked_reason = time, Reason.REVOKED
        self.session.flush()

    def spend(self, session: Session, id: UUID, time: datetime, leeway: timedelta) -> int | None:
        """Revoke a session's refresh token because new tokens replace it. Return how many tokens there are.

        Return None if the refresh token has no row. Also revokes all access tokens of the session except the
        newest nine, so that ten are left with the new one. Raises TokenRevoked and TokenExpired.
        """
        times = {"time": time, "expired_at": time - leeway}
        parameters = {**_owner(session), "spent": id, **times}
        connection = self.connection
        revoked = _revocation(connection.dialect.name).all(connection, parameters)
        counts = {token_id: int(count) for token_id, count in revoked}
        if id in counts:
            return counts[id]
        token = self.session.get(Token, id, populate_existing=True)
        if token is None:
            return None
        raise TokenRevoked if token.revoked_at else TokenExpired

    def make_room(self, session: Session, time: datetime, leeway: timedelta) -> None:
        """Revoke all access tokens of a session except the newest nine."""
        none = UUID(int=0)
        times = {"time": time, "expired_at": time - leeway}
        _revocation(self.dialect).all(self.connection, {**_owner(session), "spent": none, **times})

    def trim(self, session: Session, spent_id: UUID, time: datetime, spent_kept: timedelta) -> None:
        """Delete the tokens of a session that nothing needs any more, to make room for several pairs.

        These are spent ones except the given one, those that expired a day ago, and those of all but the
        newest nine pairs.
        """
        times = {"listed_since": time - LISTED, "spent_before": time - spent_kept}
        self.connection.execute(_trimming(self.dialect), {**_owner(session), "spent": spent_id, **times})


def _owner(session: Session) -> dict[str, UUID]:
    return {"owner": session.user_id, "session": session.id}


# Like _statement(), these take longer to build than to execute.
OWN = (Token.user_id == bindparam("owner"), Token.session_id == bindparam("session"))
NEWEST = (Token.issued_at.desc(), Token.id.desc())


@cache
def _revocation(dialect: str) -> KeptStatement:
    """Return the statement that revokes the spent refresh token and superfluous access tokens.

    It returns each with the number of the session's tokens.
    """
    access = select(Token.id).where(*OWN, Token.type == TokenType.ACCESS).order_by(*NEWEST)
    beyond = access.offset(MAX_LIVE_ACCESS - 1).limit(MAX_PAIRS)
    return KeptStatement(
        update(Token)
        .where(
            or_(Token.id == bindparam("spent"), is_any_of(Token.id, beyond, dialect)),
            Token.session_id == bindparam("session"),
            Token.revoked_at.is_(None),
            Token.expires_at > bindparam("expired_at"),
        )
        .values(revoked_at=bindparam("time"), revoked_reason=Reason.ROTATED)
        .returning(Token.id, select(func.count(Token.id)).where(*OWN).correlate(None).scalar_subquery())
    )


@cache
def _trimming(dialect: str) -> Any:
    newest = select(Token.issued_at).where(*OWN).order_by(*NEWEST)
    oldest_kept = newest.offset(2 * (MAX_LIVE_ACCESS - 1) - 1).limit(1).scalar_subquery()
    is_spent = and_(Token.type == TokenType.REFRESH, Token.revoked_reason == Reason.ROTATED)
    unneeded = or_(
        Token.issued_at < oldest_kept,
        Token.expires_at < bindparam("listed_since"),
        and_(is_spent, Token.revoked_at < bindparam("spent_before")),
    )
    ids = select(Token.id).where(*OWN, Token.id != bindparam("spent"), unneeded).limit(5_000)
    return deletion_of_unlocked(Token, ids, dialect)
