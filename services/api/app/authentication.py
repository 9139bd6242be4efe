"""Authentication: bearer tokens, the caller behind them, and the claims of our JWTs."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import cast
from uuid import UUID

from flask import Flask, current_app, g, has_request_context, request
from flask_jwt_extended import get_jwt

from app.account_factor import account_factor
from app.config import APP_NAME, KEY_PREFIX, Settings, current
from app.database import db, read_connection
from app.exceptions import Forbidden, FreshTokenRequired, SecondFactorEnrolmentRequired, TokenReused
from app.model.api_keys import find_user_by_key_again
from app.model.models import Role, Token, TokenType, User
from app.model.passwords import Passwords
from app.model.session_repository import ClientInfo, Lifetimes, PresentedToken, find_user_by_session
from app.model.token_repository import find_user_again, find_user_by_token
from app.token_delivery import token_delivery
from kit.clock import now
from kit.errors import InsufficientScope, InvalidToken, MissingToken, TokenExpired, TokenRevoked
from kit.security import jwt
from kit.security.events import Actor, Via
from kit.security.hashers import HASHERS, Bulkhead
from kit.security.jwt import Claims
from kit.web.endpoint import AuthRequirement, BearerScheme
from kit.web.proxies import network_of
from kit.web.request_id import request_id

BEARER_ANYWHERE = re.compile(r"(^|,)\s*bearer(\s|$)", re.IGNORECASE)
BEARER = re.compile(r"bearer +([A-Za-z0-9._-]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Caller(ABC):
    """The user who sent the request."""

    user: User  # a read-only copy with every column (kit/data/snapshot.py): lock the row to change it

    @abstractmethod
    def as_actor(self) -> Actor:
        """Return who this is, for the audit trail."""

    @abstractmethod
    def find_user_again(self) -> User:
        """Return the user as the current transaction sees it, behind the locks that it holds.

        The token or key may have been revoked while the request was on its way. Raises TokenRevoked and
        TokenExpired.
        """


@dataclass(frozen=True, slots=True)
class SessionCaller(Caller):
    """A caller with an access token: the only kind of caller where API keys aren't accepted."""

    session_id: UUID
    token_id: UUID

    def as_actor(self) -> Actor:
        return Actor(Via.SESSION, self.user.id, self.session_id, self.token_id)

    def find_user_again(self) -> User:
        ids = (self.token_id, self.session_id, self.user.id)
        return find_user_again(db.session, *ids, lifetimes().leeway)


@dataclass(frozen=True, slots=True)
class KeyCaller(Caller):
    """A caller with an API key."""

    key_id: UUID
    scopes: frozenset[str]

    def as_actor(self) -> Actor:
        return Actor(Via.KEY, self.user.id, key_id=self.key_id)

    def find_user_again(self) -> User:
        return find_user_by_key_again(db.session, self.key_id, lifetimes().leeway)


KeyVerifier = Callable[[str], KeyCaller]


def init_app(app: Flask, settings: Settings) -> None:
    profile = jwt.Profile(
        settings.jwt_issuer, settings.jwt_audience, settings.signing_keys, settings.clock_leeway_seconds
    )
    jwt.init_app(app, profile, _load_caller)
    app.extensions["passwords"] = Passwords(
        HASHERS[settings.password_hasher],
        settings.password_min_length,
        APP_NAME,
        Bulkhead(settings.threads),
    )


def accept_keys(app: Flask, verify: KeyVerifier) -> None:
    """Accept API keys where access tokens are accepted. Without this, they are invalid tokens."""
    app.extensions["key_verifier"] = verify


def passwords() -> Passwords:
    """Return the app's password policy and hasher."""
    return cast("Passwords", current_app.extensions["passwords"])


def lifetimes() -> Lifetimes:
    settings = current()
    return Lifetimes(
        access=timedelta(seconds=settings.access_token_seconds),
        refresh=timedelta(seconds=settings.refresh_token_seconds),
        session=timedelta(seconds=settings.session_max_seconds),
        grace=timedelta(seconds=settings.refresh_grace_seconds),
        leeway=timedelta(seconds=settings.clock_leeway_seconds),
        retention=timedelta(days=settings.retention_days),
    )


def client_info() -> ClientInfo:
    """Return the client's address and user agent, in a form that can be stored and displayed."""
    agent = request.headers.get("User-Agent", "").encode("latin-1", "replace").decode("utf-8", "replace")
    printable = "".join(filter(str.isprintable, agent))[:255]
    return ClientInfo(request.remote_addr, network_of(request.remote_addr), printable or None)


def encode(token: Token) -> str:
    """Return the JWT for a token's row. The same row always gives the same JWT.

    To add a claim, add it here. Take it from the row: a role or name would be outdated after a change.
    """
    issued_at = int(token.issued_at.timestamp())
    claims = {
        "jti": str(token.id),
        "sid": str(token.session_id),
        "iat": issued_at,
        "nbf": issued_at,
        "exp": int(token.expires_at.timestamp()),
        "fresh": token.type == TokenType.ACCESS and token.parent_id is None,
    }
    return jwt.encode(token.type, str(token.user_id), claims)


def _refuse_stale(claims: Claims) -> None:
    oldest = now().timestamp() - current().fresh_seconds - current().clock_leeway_seconds
    if not claims["fresh"] or claims["iat"] < oldest:
        raise FreshTokenRequired


def _verify_refresh_token(_scope: str | None) -> PresentedToken:
    claims = _cookie_claims() or _claims(_bearer_token(), TokenType.REFRESH)
    token = _presented(claims)
    jwt.expose_to_library(claims, token)
    return token


def _verify_session(_scope: str | None) -> Caller:
    claims = _cookie_claims()
    return _find_caller_by_session(claims) if claims else _authenticate(None, may_enrol=True)[0]


ACCESS_SCHEME = BearerScheme("access_token", "The access token from a login or a refresh.")
REFRESH_SCHEME = BearerScheme("refresh_token", "The refresh token from a login or a refresh. It works once.")
_BEARER_ERRORS = (MissingToken, InvalidToken, TokenExpired, TokenRevoked)


def role(*roles: Role, fresh: bool = False) -> AuthRequirement:
    """Require a token or an API key of a user who has one of these roles, or of an admin.

    Admins have every right of the other roles: refusing them would protect nothing, because an admin can give
    any role to any account. `fresh` requires a token of a recent login.
    """
    return _requirement(tuple(dict.fromkeys([*roles, Role.ADMIN])), fresh=fresh)


def _requirement(
    allowed: tuple[Role, ...] = (), *, fresh: bool = False, may_enrol: bool = False
) -> AuthRequirement:
    """Require a token or an API key. An empty `allowed` admits every role."""

    def verify(scope: str | None) -> Caller:
        caller, claims = _authenticate(None if fresh else scope, may_enrol=may_enrol)
        if allowed and caller.user.role not in allowed:
            raise Forbidden
        if fresh:
            _refuse_stale(claims)
        return caller

    errors = [*_BEARER_ERRORS, *([Forbidden] if allowed else []), *([FreshTokenRequired] if fresh else [])]
    return AuthRequirement(verify, tuple(errors), ACCESS_SCHEME, allowed)


ACCESS_TOKEN = _requirement()
FRESH_TOKEN = _requirement(fresh=True)
ADMIN = role(Role.ADMIN)
FRESH_ADMIN = role(Role.ADMIN, fresh=True)
# An access token, or the cookie of a live session. `require_access_token` refuses the cookie.
SESSION = AuthRequirement(_verify_session, _BEARER_ERRORS, ACCESS_SCHEME)
REFRESH_TOKEN = AuthRequirement(_verify_refresh_token, (*_BEARER_ERRORS, TokenReused), REFRESH_SCHEME)
# Also for an account that must add a second factor (REQUIRE_SECOND_FACTOR), which is refused elsewhere.
ENROLLING_TOKEN = _requirement(may_enrol=True)
FRESH_ENROLLING_TOKEN = _requirement(fresh=True, may_enrol=True)
ENROLLING_REQUIREMENTS = (REFRESH_TOKEN, SESSION, ENROLLING_TOKEN, FRESH_ENROLLING_TOKEN)


def require_access_token() -> None:
    """Refuse a request that authenticates by cookie. Raises MissingToken."""
    if token_delivery().is_used():
        raise MissingToken


def require_fresh_token() -> None:
    """Refuse an access token that isn't of a recent login. Raises FreshTokenRequired."""
    _refuse_stale(get_jwt())


def check_again(caller: SessionCaller) -> None:
    """Check the caller's token in the current transaction, behind the lock of the account.

    The session may have ended while the request was on its way. Raises TokenRevoked and TokenExpired.
    """
    caller.find_user_again()


def require_owner_or_admin(caller: Caller, owner_id: UUID) -> None:
    """Refuse a caller who neither owns a row nor is an admin. Call it after locking the row.

    Admins are checked again behind the lock, because an admin may have lost the role while the request was
    on its way. Raises Forbidden, TokenRevoked and TokenExpired.
    """
    if caller.user.id == owner_id:
        return
    if caller.user.role != Role.ADMIN or caller.find_user_again().role != Role.ADMIN:
        raise Forbidden("This belongs to another user.")


def current_caller() -> Caller | None:
    """Return the caller whom this request has authenticated, if any."""
    return cast("Caller | None", g.get("caller"))


def current_actor() -> Actor:
    """Return who is acting and from where, for the audit trail."""
    if not has_request_context():
        return Actor(Via.JOB if "current_job" in g else Via.COMMAND)
    caller, client = current_caller(), client_info()
    actor = caller.as_actor() if caller else Actor(Via.ANONYMOUS)
    return replace(actor, ip=client.ip, user_agent=client.user_agent, request_id=request_id())


def refuse_without_factor(user: User) -> None:
    """Raise SecondFactorEnrolmentRequired if the account must add a second factor first."""
    if account_factor().must_enrol(user):
        raise SecondFactorEnrolmentRequired


def _authenticate(scope: str | None, *, may_enrol: bool = False) -> tuple[Caller, Claims]:
    """Return the caller and the claims of the request's access token. An API key has no claims."""
    token = _bearer_token()
    if token.startswith(KEY_PREFIX):
        g.caller = key_caller = _find_key_caller(token, scope)
        refuse_without_factor(key_caller.user)
        return key_caller, {}
    claims = _claims(token, TokenType.ACCESS)
    caller = _find_caller(claims)
    if not may_enrol:
        refuse_without_factor(caller.user)
    jwt.expose_to_library(claims, caller)
    g.caller = caller
    return caller, claims


def _bearer_token() -> str:
    """Return the token or key in the Authorization header (RFC 6750)."""
    header = request.headers.get("Authorization", "")
    if match := BEARER.fullmatch(header):
        return match[1]
    if BEARER_ANYWHERE.search(header):  # several tokens, or something that can't be one
        raise InvalidToken
    raise MissingToken


def _cookie_claims() -> Claims | None:
    """Return the claims of the refresh token in the cookie, if the request authenticates by cookie.

    An Authorization header comes first, even one that is empty or invalid.
    """
    encoded = None if "Authorization" in request.headers else token_delivery().read()
    return None if encoded is None else _claims(encoded, TokenType.REFRESH)


def _claims(token: str, type: TokenType) -> Claims:
    """Return the claims of a token of this type."""
    claims = jwt.decode(token)
    if claims["type"] != type:
        raise InvalidToken
    return claims


def _find_key_caller(key: str, scope: str | None) -> KeyCaller:
    verify: KeyVerifier | None = current_app.extensions.get("key_verifier")
    if verify is None:
        raise InvalidToken
    caller = verify(key)
    g.user_id = caller.user.id  # for the log
    if scope not in caller.scopes:
        raise InsufficientScope(scope)
    return caller


def _load_caller(claims: Claims) -> Caller | PresentedToken:
    """Return the caller for Flask-JWT-Extended's own decorators."""
    if claims["type"] == TokenType.REFRESH:
        return _presented(claims)
    caller = _find_caller(claims)
    refuse_without_factor(caller.user)
    return caller


def _presented(claims: Claims) -> PresentedToken:
    g.user_id = UUID(claims["sub"])  # for the log
    return PresentedToken(g.user_id, UUID(claims["sid"]), UUID(claims["jti"]))


def _find_caller_by_session(claims: Claims) -> SessionCaller:
    """Return the caller of a live session.

    The refresh token may be spent, because the response with its successor can get lost.
    """
    token = _presented(claims)
    with read_connection() as connection:
        user = find_user_by_session(connection, token.session_id, token.user_id)
    g.caller = caller = SessionCaller(user, token.session_id, token.token_id)
    jwt.expose_to_library(claims, caller)
    return caller


def _find_caller(claims: Claims) -> SessionCaller:
    leeway = timedelta(seconds=current().clock_leeway_seconds)
    with read_connection() as connection:
        user = find_user_by_token(connection, claims["jti"], claims["sid"], claims["sub"], leeway)
    g.user_id = user.id  # for the log
    return SessionCaller(user, UUID(claims["sid"]), UUID(claims["jti"]))
