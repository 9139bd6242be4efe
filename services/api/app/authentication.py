"""Who is calling: the header, the caller that a token stands for, fresh logins."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple, cast
from uuid import UUID

from flask import Flask, current_app, g, request
from flask_jwt_extended import get_jwt

from app.clock import now
from app.config import APP_NAME, Settings, current
from app.database import reading
from app.exceptions import (
    DomainError,
    Forbidden,
    FreshTokenRequired,
    InvalidToken,
    MissingToken,
    TokenExpired,
    TokenReused,
    TokenRevoked,
)
from app.forwarded import network_of
from app.jwt_profile import ALGORITHM, Profile, decode, remember
from app.model.models import Role, TokenType, User
from app.model.passwords import HASHERS, Passwords
from app.model.session_repository import Lifetimes, Origin, Presented
from app.model.token_repository import holder

BEARER_ANYWHERE = re.compile(r"(^|,)\s*bearer(\s|$)", re.IGNORECASE)
BEARER = re.compile(r"bearer +([A-Za-z0-9._-]+)", re.IGNORECASE)


class Caller(NamedTuple):
    """The user, session and token of a live access token."""

    user: User  # a read-only copy with every column (app/model/snapshot.py): lock the row to change it
    session_id: UUID
    token_id: UUID


def init_app(app: Flask, settings: Settings) -> None:
    app.config.update(
        JWT_ALGORITHM=ALGORITHM,
        JWT_SECRET_KEY=settings.secret_key.get_secret_value(),
        JWT_ENCODE_ISSUER=settings.jwt_issuer,
        JWT_ENCODE_AUDIENCE=settings.jwt_audience,
        JWT_COOKIE_CSRF_PROTECT=False,  # else a random claim makes each token unrepeatable
    )
    app.extensions["passwords"] = Passwords(
        HASHERS[settings.password_hasher], settings.password_min_length, APP_NAME, settings.threads
    )
    profile = Profile(app)
    profile.user_lookup_loader(_load)


def passwords() -> Passwords:
    """Return the door for passwords of the running app."""
    return cast("Passwords", current_app.extensions["passwords"])


def lifetimes() -> Lifetimes:
    settings = current()
    return Lifetimes(
        access=timedelta(seconds=settings.access_token_seconds),
        refresh=timedelta(seconds=settings.refresh_token_seconds),
        session=timedelta(seconds=settings.session_max_seconds),
        grace=timedelta(seconds=settings.refresh_grace_seconds),
    )


def origin() -> Origin:
    """Return where the request came from, fit to be stored and shown."""
    agent = request.headers.get("User-Agent", "").encode("latin-1", "replace").decode("utf-8", "replace")
    printable = "".join(character for character in agent if character.isprintable())[:255]
    return Origin(
        ip=request.remote_addr, network=network_of(request.remote_addr), user_agent=printable or None
    )


@dataclass(frozen=True)
class Need:
    """What a view needs of its caller: how to verify it, the errors of that, and the token to send.

    `scheme` is one of the security schemes in blueprint/openapi.py.
    """

    verify: Callable[[], Any]
    raises: tuple[type[DomainError], ...]
    scheme: str = "access_token"


def _access() -> Caller:
    return cast("Caller", _admit(TokenType.ACCESS))


def _fresh() -> Caller:
    caller = _access()
    claims = get_jwt()
    oldest = now().timestamp() - current().fresh_seconds - current().clock_leeway_seconds
    if not claims["fresh"] or claims["iat"] < oldest:
        raise FreshTokenRequired
    return caller


def _admin() -> Caller:
    caller = _access()
    if caller.user.role != Role.ADMIN:
        raise Forbidden
    return caller


def _refresh() -> Presented:
    return cast("Presented", _admit(TokenType.REFRESH))


_BEARER = (MissingToken, InvalidToken, TokenExpired, TokenRevoked)
ACCESS_TOKEN = Need(_access, _BEARER)
FRESH_TOKEN = Need(_fresh, (*_BEARER, FreshTokenRequired))
ADMIN = Need(_admin, (*_BEARER, Forbidden))
REFRESH_TOKEN = Need(_refresh, (*_BEARER, TokenReused), scheme="refresh_token")


def _admit(type: TokenType) -> Caller | Presented:
    """Verify the request's one `Authorization: Bearer` header (RFC 6750), its scheme in any case."""
    header = request.headers.get("Authorization", "")
    if not BEARER_ANYWHERE.search(header):
        raise MissingToken
    match = BEARER.fullmatch(header)
    if match is None:  # a list of two, or something that is no token
        raise InvalidToken
    claims = decode(match[1])
    if claims["type"] != type:
        raise InvalidToken
    caller = _load({}, claims)
    remember(claims, caller)
    return caller


def _load(_: dict[str, Any], claims: dict[str, Any]) -> Caller | Presented:
    token_id, session_id = UUID(claims["jti"]), UUID(claims["sid"])
    if claims["type"] == TokenType.REFRESH:
        g.user_id = UUID(claims["sub"])  # for the log
        return Presented(g.user_id, session_id, token_id)
    with reading() as connection:
        user = holder(connection, claims["jti"], claims["sid"], claims["sub"])
    if user is None:
        raise TokenRevoked
    g.user_id = user.id
    return Caller(user, session_id, token_id)
