"""Sessions: opened by a login, extended by refreshes, and ended for good."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Exists, Select, case, exists, func, insert, select, update

from app.model.models import Reason, Session, Token, TokenType
from app.model.repository import ExpiringRepository
from kit.clock import now
from kit.errors import TokenExpired, TokenRevoked

MAX_LIVE = 50
KNOWN_NETWORK_DAYS = 30  # after a login from a network


@dataclass(frozen=True)
class Lifetimes:
    """How long tokens and sessions live."""

    access: timedelta
    refresh: timedelta
    session: timedelta  # at most, however often it is refreshed
    grace: timedelta  # during which a used refresh token still returns the tokens that replaced it


class ClientInfo(NamedTuple):
    """The client that a token was issued to."""

    ip: str | None
    network: str  # identifies the client at its next login
    user_agent: str | None


class PresentedToken(NamedTuple):
    """The ids in a refresh token. Refreshing finds out whether it is still valid."""

    user_id: UUID
    session_id: UUID
    token_id: UUID


class NewTokens(NamedTuple):
    """The tokens that a login or a refresh issues."""

    access: Token
    refresh: Token
    time: datetime  # of this response; a repeated refresh returns older tokens

    @property
    def expires_in(self) -> int:
        """The remaining lifetime of the access token in seconds."""
        return self._seconds_until(self.access.expires_at)

    @property
    def refresh_expires_in(self) -> int:
        return self._seconds_until(self.refresh.expires_at)

    def _seconds_until(self, time: datetime) -> int:
        return max(0, int((time - _whole_seconds(self.time)).total_seconds()))


class SessionRepository(ExpiringRepository[Session]):
    model = Session

    def open(self, user_id: UUID, client: ClientInfo, lifetimes: Lifetimes) -> NewTokens:
        """Open a session and issue its first tokens. Beyond 50, the longest-inactive one is ended.

        The caller must have locked the user, so that sessions aren't counted concurrently. The INSERT returns
        whether there is anything to end or to delete, which is rare.
        """
        time = now()
        fields: dict[str, Any] = {
            "id": uuid4(),
            "user_id": user_id,
            "network": client.network,
            "refresh_id": uuid4(),
            "created_at": time,
            "refreshed_at": time,
            "ends_at": _whole_seconds(time) + lifetimes.session,
            "expires_at": _whole_seconds(time)
            + min(lifetimes.session, max(lifetimes.access, lifetimes.refresh)),
        }
        count = select(func.count()).select_from(Session).correlate(None)
        live = count.where(*_is_live(user_id, time)).scalar_subquery()
        prunable = count.where(*self._prunable(user_id)).scalar_subquery()
        insertion = insert(Session).values(fields).returning(live, prunable)
        others, prunable_ones = self.session.execute(insertion).one()
        if others >= MAX_LIVE:
            self._end(Reason.SESSION_LIMIT, Session.id.in_(_beyond_limit(user_id, time)))
        if prunable_ones:
            self.prune(user_id)
        return self._issue(Session(**fields), None, time, client, lifetimes)

    def refresh(
        self, presented: PresentedToken, client: ClientInfo, lifetimes: Lifetimes
    ) -> NewTokens | None:
        """Spend a refresh token and return its successors, or None if it was used too long ago.

        None means that someone else may have a copy, so the session has ended: commit that. Raises
        TokenRevoked and TokenExpired. A compare-and-swap on the session's row lets one of several concurrent
        requests through; the others find the same successors.
        """
        time = now()
        expires_at = _whole_seconds(time) + max(lifetimes.access, lifetimes.refresh)
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
        # No object of the identity map needs to be synchronized.
        session = self.session.scalar(
            swap.execution_options(populate_existing=True, synchronize_session=False)
        )
        if session is None:
            return self._repair(presented, time, lifetimes.grace)
        spend = update(Token).where(Token.id == presented.token_id, Token.revoked_at.is_(None))
        if not self.change(spend.values(revoked_at=time, revoked_reason=Reason.ROTATED)):
            raise TokenRevoked
        return self._issue(session, presented.token_id, time, client, lifetimes)

    def _prunable(self, user_id: UUID | None) -> list[ColumnElement[bool]]:
        """Keep sessions that still mark a network as known."""
        return [*super()._prunable(user_id), Session.created_at < now() - timedelta(days=KNOWN_NETWORK_DAYS)]

    def is_known_client(self, user_id: UUID, network: str) -> bool:
        return bool(self.session.scalar(select(known_client_exists(user_id, network))))

    def end(self, session_id: UUID, reason: Reason) -> None:
        self._end(reason, Session.id == session_id)

    def end_all(self, user_id: UUID, reason: Reason, keep: UUID | None = None) -> None:
        """End all sessions of a user, except `keep`.

        The caller must have locked the user. Otherwise two callers that lock many sessions could deadlock.
        """
        self._end(reason, Session.user_id == user_id, *([Session.id != keep] if keep else []))

    def _end(self, reason: Reason, *which: ColumnElement[bool]) -> None:
        self.change(
            update(Session)
            .where(Session.ended_at.is_(None), *which)
            .values(ended_at=now(), ended_reason=reason)
        )

    def _repair(self, presented: PresentedToken, time: datetime, grace: timedelta) -> NewTokens | None:
        """Return the same new tokens if their response may have been lost. Otherwise end the session."""
        session = self.lock(presented.session_id)
        token = self.session.get(Token, presented.token_id, populate_existing=True)
        if session is None or session.ended_at or token is None:
            raise TokenRevoked
        is_of_session = token.session_id == session.id and token.user_id == presented.user_id
        if not is_of_session or token.type != TokenType.REFRESH:
            raise TokenRevoked
        if session.ends_at <= time:
            raise TokenExpired
        successors = select(Token).where(Token.session_id == session.id, Token.parent_id == token.id)
        by_type = {successor.type: successor for successor in self.session.scalars(successors)}
        is_recent = token.revoked_at is not None and time - token.revoked_at <= grace
        if is_recent and len(by_type) == 2 and by_type[TokenType.REFRESH].id == session.refresh_id:
            return NewTokens(by_type[TokenType.ACCESS], by_type[TokenType.REFRESH], time)
        self.end(session.id, Reason.REUSED)
        return None

    def _issue(
        self,
        session: Session,
        parent_id: UUID | None,
        time: datetime,
        client: ClientInfo,
        lifetimes: Lifetimes,
    ) -> NewTokens:
        def token(id: UUID, type: TokenType, lifetime: timedelta) -> dict[str, Any]:
            return {
                "id": id,
                "session_id": session.id,
                "user_id": session.user_id,
                "parent_id": parent_id,
                "type": type,
                "issued_at": time,
                "expires_at": min(_whole_seconds(time) + lifetime, session.ends_at),
                "ip": client.ip,
                "user_agent": client.user_agent,
            }

        access = token(uuid4(), TokenType.ACCESS, lifetimes.access)
        refresh = token(session.refresh_id, TokenType.REFRESH, lifetimes.refresh)
        self.session.execute(insert(Token), [access, refresh])
        return NewTokens(Token(**access), Token(**refresh), time)


def _is_live(user_id: UUID, time: datetime) -> list[ColumnElement[bool]]:
    return [Session.user_id == user_id, Session.ended_at.is_(None), Session.expires_at > time]


def _beyond_limit(user_id: UUID, time: datetime) -> Select[UUID]:
    return (
        select(Session.id)
        .where(*_is_live(user_id, time))
        .order_by(Session.refreshed_at.desc(), Session.id)
        .offset(MAX_LIVE)
    )


def known_client_exists(user_id: UUID | ColumnElement[UUID], network: str) -> Exists:
    """Return the SQL condition that a client of this network has recently logged in to the account."""
    return exists().where(
        Session.user_id == user_id,
        Session.network == network,
        Session.created_at > now() - timedelta(days=KNOWN_NETWORK_DAYS),
    )


def _whole_seconds(time: datetime) -> datetime:
    """Cut to whole seconds, as times in a JWT."""
    return time.replace(microsecond=0)
