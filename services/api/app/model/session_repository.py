"""Sessions: opened by a login, extended by refreshes, and ended for good."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    ScalarSelect,
    Select,
    bindparam,
    case,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.orm import InstrumentedAttribute

from app.model import retention
from app.model.models import Reason, Session, Token, TokenType, User
from app.model.network_repository import NetworkRepository, known_client_exists
from app.model.repository import Repository
from app.model.token_repository import MAX_TOKENS, TokenRepository, find_user_again
from kit.clock import now
from kit.data.kept_statement import KeptStatement
from kit.data.snapshot import columns_of, snapshot, snapshot_of
from kit.errors import TokenExpired, TokenRevoked

MAX_LIVE = 50
MAX_ENDED = 50  # kept per user, with the expired ones
PRUNED_PER_LOGIN = 20  # rows of each kind, of any user


@dataclass(frozen=True)
class Lifetimes:
    """How long tokens and sessions live."""

    access: timedelta
    refresh: timedelta
    session: timedelta  # at most, however often it is refreshed
    grace: timedelta  # during which a used refresh token still returns the tokens that replaced it
    leeway: timedelta  # that the clocks of two servers may differ
    retention: timedelta  # of rows of ended and expired sessions


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


def find_user_by_session(connection: Connection, session_id: UUID, user_id: UUID) -> User:
    """Return the user of a live session, as a read-only snapshot. Raises TokenRevoked."""
    query = (
        select(*columns_of(User).values())
        .join(Session, Session.user_id == User.id)
        .where(Session.id == session_id, *_is_live(user_id, now()), User.disabled.is_(False))
    )
    row = connection.execute(query).first()
    if row is None:
        raise TokenRevoked
    return snapshot(User, row)


class SessionRepository(Repository[Session]):
    model = Session

    def open(self, user_id: UUID, client: ClientInfo, lifetimes: Lifetimes) -> NewTokens:
        """Open a session and issue its first tokens. Beyond 50, the longest-inactive one is ended.

        The caller must have locked the user, so that sessions aren't counted concurrently. The INSERT returns
        whether there is anything to end, to delete or to remember, which is rare.
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
        live, ended = _is_live(user_id, time), _has_ended(user_id, time)
        insertion = insert(Session).values(fields)
        state = self.session.execute(
            insertion.returning(
                _count(*live).label("live"),
                _count(*ended).label("ended"),
                known_client_exists(user_id, client.network, retention.KNOWN_PRECISION).label("is_known"),
                retention.is_due(lifetimes.retention).label("is_due"),
            )
        ).one()
        if state.live >= MAX_LIVE:
            self._end(Reason.SESSION_LIMIT, Session.id.in_(_beyond(MAX_LIVE, live)))
        if state.ended + (state.live >= MAX_LIVE) > MAX_ENDED:
            oldest = _beyond(MAX_ENDED, ended).limit(1000)
            self.delete_unlocked(select(Session.id).where(Session.id.in_(oldest)))
        if not state.is_known:
            NetworkRepository(self.session).remember(user_id, client.network)
        if state.is_due:
            retention.prune(self.session, lifetimes.retention, PRUNED_PER_LOGIN)
        return self._issue(snapshot_of(Session, fields), None, time, client, lifetimes)

    def refresh(
        self, presented: PresentedToken, client: ClientInfo, lifetimes: Lifetimes
    ) -> NewTokens | None:
        """Spend a refresh token and return its successors, or None if it was used too long ago.

        None means that someone else may have a copy, so the session has ended: commit that. A token without
        a row counts as used, because the rows of spent tokens are deleted. Raises TokenRevoked and
        TokenExpired. A compare-and-swap on the session's row lets one of several concurrent requests through;
        the others find the same successors.
        """
        time, successor = now(), uuid4()
        swapped = _swap().first(
            self.connection,
            {
                "session": presented.session_id,
                "owner": presented.user_id,
                "presented": presented.token_id,
                "successor": successor,
                "time": time,
                "expiry": _whole_seconds(time) + max(lifetimes.access, lifetimes.refresh),
            },
        )
        if swapped is None:
            return self._repair(presented, time, lifetimes)
        session = snapshot_of(
            Session,
            {
                "id": presented.session_id,
                "user_id": presented.user_id,
                "refresh_id": successor,
                "ends_at": swapped[0],
            },
        )
        tokens = TokenRepository(self.session)
        count = tokens.spend(session, presented.token_id, time, lifetimes.leeway)
        if count is None:
            self.end(session.id, Reason.REUSED)
            return None
        if count + 2 > MAX_TOKENS:  # at most every sixth refresh
            tokens.trim(session, presented.token_id, time, lifetimes.grace + lifetimes.leeway)
        return self._issue(session, presented.token_id, time, client, lifetimes)

    def step_up(self, presented: PresentedToken, client: ClientInfo, lifetimes: Lifetimes) -> Token:
        """Issue a fresh access token of a session, and revoke all but its newest nine others.

        The caller must have locked the user. The presented access token is checked again behind the lock of
        the session, because it may have been revoked meanwhile. Raises TokenRevoked and TokenExpired.
        """
        time, tokens = now(), TokenRepository(self.session)
        session = self.lock(presented.session_id)
        if session is None:
            raise TokenRevoked
        ids = (presented.token_id, presented.session_id, presented.user_id)
        find_user_again(self.session, *ids, lifetimes.leeway)
        if session.ends_at <= time:
            raise TokenExpired
        tokens.make_room(session, time, lifetimes.leeway)
        tokens.trim(session, session.refresh_id, time, lifetimes.grace + lifetimes.leeway)
        row = _token_row(session, uuid4(), TokenType.ACCESS, None, time, client, lifetimes.access)
        self.session.execute(insert(Token), [row])
        session.expires_at = max(session.expires_at, row["expires_at"])
        return Token(**row)

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
        time = now()
        self.change(
            update(Session)
            .where(Session.ended_at.is_(None), *which)
            .values(ended_at=time, ended_reason=reason, expires_at=_earliest(Session.expires_at, time))
        )

    def _repair(self, presented: PresentedToken, time: datetime, lifetimes: Lifetimes) -> NewTokens | None:
        """Return the same new tokens if their response may have been lost. Otherwise end the session."""
        session = self.lock(presented.session_id)
        if session is None or session.ended_at or session.user_id != presented.user_id:
            raise TokenRevoked
        if session.ends_at <= time:
            raise TokenExpired
        token = self.session.get(Token, presented.token_id, populate_existing=True)
        if token is not None:
            if token.session_id != session.id or token.type != TokenType.REFRESH:
                raise TokenRevoked
            if token.expires_at <= time - lifetimes.leeway:
                raise TokenExpired
            if new := self._successors(session, token, time, lifetimes.grace):
                return new
        self.end(session.id, Reason.REUSED)
        return None

    def _successors(
        self, session: Session, token: Token, time: datetime, grace: timedelta
    ) -> NewTokens | None:
        """Return the tokens that replaced a token, if that was recent and they haven't been refreshed."""
        successors = select(Token).where(Token.session_id == session.id, Token.parent_id == token.id)
        by_type = {successor.type: successor for successor in self.session.scalars(successors)}
        is_recent = token.revoked_at is not None and time - token.revoked_at <= grace
        if is_recent and len(by_type) == 2 and by_type[TokenType.REFRESH].id == session.refresh_id:
            return NewTokens(by_type[TokenType.ACCESS], by_type[TokenType.REFRESH], time)
        return None

    def _issue(
        self,
        session: Session,
        parent_id: UUID | None,
        time: datetime,
        client: ClientInfo,
        lifetimes: Lifetimes,
    ) -> NewTokens:
        access, refresh = (
            _token_row(session, id, type, parent_id, time, client, lifetime)
            for id, type, lifetime in (
                (uuid4(), TokenType.ACCESS, lifetimes.access),
                (session.refresh_id, TokenType.REFRESH, lifetimes.refresh),
            )
        )
        self.connection.execute(_insertion(), [access, refresh])
        return NewTokens(snapshot_of(Token, access), snapshot_of(Token, refresh), time)


def _token_row(
    session: Session,
    id: UUID,
    type: TokenType,
    parent_id: UUID | None,
    time: datetime,
    client: ClientInfo,
    lifetime: timedelta,
) -> dict[str, Any]:
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


@cache
def _insertion() -> Insert:
    return insert(Token)


@cache
def _swap() -> KeptStatement:
    """Return the statement that replaces the current refresh token."""
    time = bindparam("time", type_=Session.ends_at.type)
    return KeptStatement(
        update(Session)
        .where(
            Session.id == bindparam("session"),
            Session.user_id == bindparam("owner"),
            Session.refresh_id == bindparam("presented"),
            Session.ended_at.is_(None),
            Session.ends_at > time,
        )
        .values(
            refresh_id=bindparam("successor"),
            refreshed_at=time,
            expires_at=_earliest(Session.ends_at, bindparam("expiry", type_=Session.ends_at.type)),
        )
        .returning(Session.ends_at)
    )


def _is_live(user_id: UUID, time: datetime) -> list[ColumnElement[bool]]:
    return [Session.user_id == user_id, Session.ended_at.is_(None), Session.expires_at > time]


def _has_ended(user_id: UUID, time: datetime) -> list[ColumnElement[bool]]:
    return [Session.user_id == user_id, or_(Session.ended_at.is_not(None), Session.expires_at <= time)]


def _count(*conditions: ColumnElement[bool]) -> ScalarSelect[int]:
    """Return the number of sessions, as a part of a statement that changes sessions."""
    count = select(func.count()).select_from(Session).where(*conditions)
    return count.correlate(None).scalar_subquery()


def _beyond(limit: int, conditions: list[ColumnElement[bool]]) -> Select[UUID]:
    """Return the ids of all sessions except those that were used last."""
    used_last = (Session.refreshed_at.desc(), Session.id)
    return select(Session.id).where(*conditions).order_by(*used_last).offset(limit)


def _earliest(
    column: InstrumentedAttribute[datetime], time: datetime | ColumnElement[datetime]
) -> ColumnElement[datetime]:
    return case((column < time, column), else_=time)


def _whole_seconds(time: datetime) -> datetime:
    """Cut to whole seconds, as times in a JWT."""
    return time.replace(microsecond=0)
