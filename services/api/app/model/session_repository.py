"""The sessions: opened by a login, carried on by refreshing, ended once and for all."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Exists, Select, case, exists, func, insert, select, update

from app.clock import now
from app.exceptions import TokenExpired, TokenRevoked
from app.model.models import Reason, Session, Token, TokenType
from app.model.repository import ExpiringRepository

MAX_LIVE = 50
KNOWN_FOR = timedelta(days=30)  # a client that has logged in to an account


@dataclass(frozen=True)
class Lifetimes:
    """How long an access token, an idle and any session live, and how long a lost answer is repaired."""

    access: timedelta
    refresh: timedelta
    session: timedelta
    grace: timedelta


class Origin(NamedTuple):
    """Where a token was asked for."""

    ip: str | None
    network: str  # by which a client is known again
    user_agent: str | None


class Presented(NamedTuple):
    """What a presented refresh token says of itself. Whether it lives, refreshing finds out."""

    user_id: UUID
    session_id: UUID
    token_id: UUID


class Pair(NamedTuple):
    """What a login and a refresh give."""

    access: Token
    refresh: Token
    time: datetime  # of this answer, which may be a later one

    def seconds_left(self, token: Token) -> int:
        return max(0, int((token.expires_at - _second(self.time)).total_seconds()))


class SessionRepository(ExpiringRepository[Session]):
    model = Session

    def open(self, user_id: UUID, origin: Origin, lifetimes: Lifetimes) -> Pair:
        """Open a session with its first pair; beyond 50 live ones the least recently refreshed ends.

        The caller has locked the user, so that nobody else counts at the same time. The insertion tells
        whether there is anything to end or to delete: mostly there is not.
        """
        time = now()
        fields: dict[str, Any] = {
            "id": uuid4(),
            "user_id": user_id,
            "network": origin.network,
            "refresh_id": uuid4(),
            "created_at": time,
            "refreshed_at": time,
            "ends_at": _second(time) + lifetimes.session,
            "expires_at": _second(time) + min(lifetimes.session, max(lifetimes.access, lifetimes.refresh)),
        }
        count = select(func.count()).select_from(Session).correlate(None)
        live = count.where(*_live(user_id, time)).scalar_subquery()
        prunable = count.where(*self._prunable(user_id)).scalar_subquery()
        insertion = insert(Session).values(fields).returning(live, prunable)
        others, prunable_ones = self.session.execute(insertion).one()
        if others >= MAX_LIVE:
            self._end(Reason.SESSION_LIMIT, Session.id.in_(_beyond_limit(user_id, time)))
        if prunable_ones:
            self.prune(user_id)
        return self._issue(Session(**fields), None, time, origin, lifetimes)

    def refresh(self, presented: Presented, origin: Origin, lifetimes: Lifetimes) -> Pair | None:
        """Spend a refresh token and return its successors, or None if it was spent long ago.

        None means that somebody else may have a copy, so the session has ended: commit that. Raises
        TokenRevoked and TokenExpired. Of many at the same time, the compare-and-swap on the session's
        row lets one through; the others find its successors.
        """
        time = now()
        expires_at = _second(time) + max(lifetimes.access, lifetimes.refresh)
        swap = (
            update(Session)
            .where(
                Session.id == presented.session_id,
                Session.user_id == presented.user_id,
                Session.refresh_id == presented.token_id,
                Session.ended_at.is_(None),
                Session.ends_at > time,
            )
            .values(
                refresh_id=uuid4(),
                refreshed_at=time,
                expires_at=case((Session.ends_at < expires_at, Session.ends_at), else_=expires_at),
            )
            .returning(Session)
        )
        # The session holds nothing yet that would have to be changed as the rows are.
        session = self.session.scalar(
            swap.execution_options(populate_existing=True, synchronize_session=False)
        )
        if session is None:
            return self._repair(presented, time, lifetimes.grace)
        spend = update(Token).where(Token.id == presented.token_id, Token.revoked_at.is_(None))
        if not self.change(spend.values(revoked_at=time, revoked_reason=Reason.ROTATED)):
            raise TokenRevoked
        return self._issue(session, presented.token_id, time, origin, lifetimes)

    def _prunable(self, user_id: UUID | None) -> list[ColumnElement[bool]]:
        """None by which a client is still known."""
        return [*super()._prunable(user_id), Session.created_at < now() - KNOWN_FOR]

    def is_known(self, user_id: UUID, network: str) -> bool:
        return bool(self.session.scalar(select(is_known(user_id, network))))

    def end(self, session_id: UUID, reason: Reason) -> None:
        self._end(reason, Session.id == session_id)

    def end_all(self, user_id: UUID, reason: Reason, keep: UUID | None = None) -> None:
        """End the user's sessions, all or all but one. The caller has locked the user: of two who each
        lock many sessions, one would deadlock."""
        self._end(reason, Session.user_id == user_id, *([Session.id != keep] if keep else []))

    def _end(self, reason: Reason, *which: ColumnElement[bool]) -> None:
        self.change(
            update(Session)
            .where(Session.ended_at.is_(None), *which)
            .values(ended_at=now(), ended_reason=reason)
        )

    def _repair(self, presented: Presented, time: datetime, grace: timedelta) -> Pair | None:
        """Answer a spent token with the successors it has, if their answer may have been lost."""
        session = self.lock(presented.session_id)
        token = self.session.get(Token, presented.token_id, populate_existing=True)
        if session is None or session.ended_at or token is None:
            raise TokenRevoked
        is_theirs = token.session_id == session.id and token.user_id == presented.user_id
        if not is_theirs or token.type != TokenType.REFRESH:
            raise TokenRevoked
        if session.ends_at <= time:
            raise TokenExpired
        successors = select(Token).where(Token.session_id == session.id, Token.parent_id == token.id)
        by_type = {successor.type: successor for successor in self.session.scalars(successors)}
        is_recent = token.revoked_at is not None and time - token.revoked_at <= grace
        if is_recent and len(by_type) == 2 and by_type[TokenType.REFRESH].id == session.refresh_id:
            return Pair(by_type[TokenType.ACCESS], by_type[TokenType.REFRESH], time)
        self.end(session.id, Reason.REUSED)
        return None

    def _issue(
        self, session: Session, parent_id: UUID | None, time: datetime, origin: Origin, lifetimes: Lifetimes
    ) -> Pair:
        def token(id: UUID, type: TokenType, lifetime: timedelta) -> dict[str, Any]:
            return {
                "id": id,
                "session_id": session.id,
                "user_id": session.user_id,
                "parent_id": parent_id,
                "type": type,
                "issued_at": time,
                "expires_at": min(_second(time) + lifetime, session.ends_at),
                "ip": origin.ip,
                "user_agent": origin.user_agent,
            }

        access = token(uuid4(), TokenType.ACCESS, lifetimes.access)
        refresh = token(session.refresh_id, TokenType.REFRESH, lifetimes.refresh)
        self.session.execute(insert(Token), [access, refresh])
        return Pair(Token(**access), Token(**refresh), time)


def _live(user_id: UUID, time: datetime) -> list[ColumnElement[bool]]:
    return [Session.user_id == user_id, Session.ended_at.is_(None), Session.expires_at > time]


def _beyond_limit(user_id: UUID, time: datetime) -> Select[UUID]:
    return (
        select(Session.id)
        .where(*_live(user_id, time))
        .order_by(Session.refreshed_at.desc(), Session.id)
        .offset(MAX_LIVE)
    )


def is_known(user_id: UUID | ColumnElement[UUID], network: str) -> Exists:
    """Whether a client of that network has logged in to the account lately."""
    return exists().where(
        Session.user_id == user_id, Session.network == network, Session.created_at > now() - KNOWN_FOR
    )


def _second(time: datetime) -> datetime:
    """Cut to whole seconds, as a JWT tells times."""
    return time.replace(microsecond=0)
