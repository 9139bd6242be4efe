"""Who is calling: the profile of our JWTs, the caller that a token stands for, fresh logins."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from typing import Any, NamedTuple, cast
from uuid import UUID

from flask import Flask, current_app, request
from flask_jwt_extended import (
    JWTManager,
    create_access_token,
    create_refresh_token,
    get_current_user,
    get_jwt,
    verify_jwt_in_request,
)
from jwt import PyJWS, PyJWTError
from jwt.utils import base64url_decode, base64url_encode

from app import strict_json
from app.clock import now
from app.config import APP_NAME, Settings, current
from app.database import db
from app.exceptions import (
    DomainError,
    FreshTokenRequired,
    InvalidToken,
    MissingToken,
    TokenExpired,
    TokenReused,
    TokenRevoked,
)
from app.model.models import Token, TokenType, User
from app.model.passwords import Passwords
from app.model.session_repository import Lifetimes, Origin, Presented
from app.model.token_repository import TokenRepository

ALGORITHM = "HS256"
HEADER_TYPE = {TokenType.ACCESS: "at+jwt", TokenType.REFRESH: "rt+jwt"}  # RFC 9068, RFC 8725 3.11
CLAIMS: dict[str, type] = {
    "iss": str, "aud": str, "sub": str, "jti": str, "sid": str, "type": str,
    "iat": int, "nbf": int, "exp": int, "fresh": bool,
}  # fmt: skip
BEARER_ANYWHERE = re.compile(r"(^|,)\s*bearer(\s|$)", re.IGNORECASE)
BEARER = re.compile(r"bearer +([A-Za-z0-9._-]+)", re.IGNORECASE)


class Caller(NamedTuple):
    """Who presents a live access token."""

    user: User
    session_id: UUID
    token_id: UUID


class Profile(JWTManager):
    """Flask-JWT-Extended with the strict profile of RFC 8725 in place of its lenient decoding.

    The one private name of the library that we depend on, so its version is pinned.
    """

    def _decode_jwt_from_config(self, encoded_token: str, *_: object, **__: object) -> dict[str, Any]:
        return decode(encoded_token)


def init_app(app: Flask, settings: Settings) -> None:
    app.config.update(
        JWT_ALGORITHM=ALGORITHM,
        JWT_SECRET_KEY=settings.secret_key.get_secret_value(),
        JWT_ENCODE_ISSUER=settings.jwt_issuer,
        JWT_ENCODE_AUDIENCE=settings.jwt_audience,
        JWT_COOKIE_CSRF_PROTECT=False,  # else a random claim makes each token unrepeatable
    )
    app.extensions["passwords"] = Passwords(settings.password_hasher, settings.password_min_length, APP_NAME)
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
    return Origin(ip=_plain(request.remote_addr), user_agent=printable or None)


def _plain(address: str | None) -> str | None:
    """Write an IPv4 address that came through an IPv6 socket as IPv4."""
    try:
        parsed = ip_address(address or "")
    except ValueError:  # a Unix socket
        return None
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


@dataclass(frozen=True)
class Need:
    """What a view needs of its caller: how it is verified, and what that raises."""

    verify: Callable[[], Any]
    raises: tuple[type[DomainError], ...]


def _access() -> Caller:
    _verify_header(refresh=False)
    return cast("Caller", get_current_user())


def _fresh() -> Caller:
    caller = _access()
    claims = get_jwt()
    oldest = now().timestamp() - current().fresh_seconds - current().clock_leeway_seconds
    if not claims["fresh"] or claims["iat"] < oldest:
        raise FreshTokenRequired
    return caller


def _refresh() -> Presented:
    _verify_header(refresh=True)
    return cast("Presented", get_current_user())


_BEARER = (MissingToken, InvalidToken, TokenExpired, TokenRevoked)
ACCESS_TOKEN = Need(_access, _BEARER)
FRESH_TOKEN = Need(_fresh, (*_BEARER, FreshTokenRequired))
REFRESH_TOKEN = Need(_refresh, (*_BEARER, TokenReused))


def encode(token: Token) -> str:
    """Write the JWT of a token's row; the same row gives the same JWT again."""
    issued = int(token.issued_at.timestamp())
    claims = {
        "jti": str(token.id),
        "sid": str(token.session_id),
        "iat": issued,
        "nbf": issued,
        "exp": int(token.expires_at.timestamp()),
        "fresh": token.type == TokenType.ACCESS and token.parent_id is None,
    }
    create = create_access_token if token.type == TokenType.ACCESS else create_refresh_token
    headers = {"typ": HEADER_TYPE[TokenType(token.type)]}
    return str(create(str(token.user_id), additional_claims=claims, additional_headers=headers))


def decode(encoded: str) -> dict[str, Any]:
    """Return the claims of a JWT that keeps to the profile. Raises TokenExpired and InvalidToken."""
    settings = current()
    claims = _verified(encoded, settings.secret_key.get_secret_value())
    if (claims["iss"], claims["aud"]) != (settings.jwt_issuer, settings.jwt_audience):
        raise InvalidToken
    time, leeway = now().timestamp(), settings.clock_leeway_seconds
    if claims["exp"] + leeway <= time:
        raise TokenExpired
    if max(claims["iat"], claims["nbf"]) - leeway > time:
        raise InvalidToken
    return claims


def _verified(encoded: str, key: str) -> dict[str, Any]:
    """Return the claims of a JWT that is well formed, well signed and of exact types, whatever they say."""
    try:
        header, _, _ = (_canonical(segment) for segment in encoded.split("."))
        # Before the library parses it, which a deep nesting would crash.
        fields = strict_json.check(header)
        payload = PyJWS().decode(encoded, key, algorithms=[ALGORITHM])
        strict_json.check(payload)
        claims = json.loads(payload)
        wrong = [name for name, kind in CLAIMS.items() if type(claims[name]) is not kind]
        ids = [claims[name] for name in ("sub", "jti", "sid")]
        if wrong or ids != [str(UUID(id)) for id in ids]:
            raise InvalidToken
        # Exactly these two: no crit, jku, jwk, x5u, zip, nor anything else that a library might heed.
        if fields != {"alg": ALGORITHM, "typ": HEADER_TYPE[TokenType(claims["type"])]}:
            raise InvalidToken
    except (PyJWTError, ValueError, TypeError, KeyError) as error:
        raise InvalidToken from error
    return cast("dict[str, Any]", claims)


def _canonical(segment: str) -> bytes:
    """Decode base64url; Python's own decoder skips what is not of its alphabet."""
    raw = base64url_decode(segment)
    if base64url_encode(raw).decode() != segment:
        raise ValueError("not canonical base64url")
    return raw


def _verify_header(*, refresh: bool) -> None:
    """Verify the request's one `Authorization: Bearer` header (RFC 6750), its scheme in any case."""
    header = request.headers.get("Authorization", "")
    if not BEARER_ANYWHERE.search(header):
        raise MissingToken
    match = BEARER.fullmatch(header)
    if match is None:  # a list of two, or something that is no token
        raise InvalidToken
    request.environ["HTTP_AUTHORIZATION"] = f"Bearer {match[1]}"  # the one spelling that the library reads
    verify_jwt_in_request(refresh=refresh)


def _load(_: dict[str, Any], claims: dict[str, Any]) -> Caller | Presented:
    user_id, session_id, token_id = (UUID(claims[name]) for name in ("sub", "sid", "jti"))
    if claims["type"] == TokenType.REFRESH:
        return Presented(user_id, session_id, token_id)
    user = TokenRepository(db.session).holder(token_id, session_id, user_id)
    if user is None:
        raise TokenRevoked
    return Caller(user, session_id, token_id)
