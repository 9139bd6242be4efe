"""What our JWTs look like: written from a token's row, read by the strict profile of RFC 8725."""

from functools import lru_cache
from hmac import compare_digest
from typing import Any, cast

from flask import Flask, g
from flask_jwt_extended import JWTManager, create_access_token, create_refresh_token
from jwt.algorithms import HMACAlgorithm
from jwt.utils import base64url_decode, base64url_encode

from app import strict_json
from app.clock import now
from app.config import current
from app.exceptions import InvalidToken, TokenExpired
from app.model.models import Token, TokenType
from app.uuids import CANONICAL

ALGORITHM = "HS256"
HS256 = HMACAlgorithm(HMACAlgorithm.SHA256)
HEADERS = {  # RFC 9068, RFC 8725 3.11
    TokenType.ACCESS: {"alg": ALGORITHM, "typ": "at+jwt"},
    TokenType.REFRESH: {"alg": ALGORITHM, "typ": "rt+jwt"},
}
CLAIMS: dict[str, type] = {
    "iss": str, "aud": str, "sub": str, "jti": str, "sid": str, "type": str,
    "iat": int, "nbf": int, "exp": int, "fresh": bool,
}  # fmt: skip


class Profile(JWTManager):
    """Flask-JWT-Extended with our reading and our errors in place of its own, so that its `@jwt_required()`
    keeps the profile and the one shape of errors too. What is private of it is in this class and in
    `remember` alone, hence the pinned version."""

    def _set_error_handler_callbacks(self, app: Flask) -> None:
        """Leave its errors to blueprint/handlers.py."""

    def _decode_jwt_from_config(self, encoded_token: str, *_: object, **__: object) -> dict[str, Any]:
        return decode(encoded_token)


def remember(claims: dict[str, Any], caller: object) -> None:
    """Let the library's `get_jwt`, `get_jwt_identity` and `current_user` tell of a token that we have read.
    Its own `verify_jwt_in_request` would read each twice."""
    vars(g).update(
        _jwt_extended_jwt=claims,
        _jwt_extended_jwt_header=dict(HEADERS[TokenType(claims["type"])]),
        _jwt_extended_jwt_user={"loaded_user": caller},
        _jwt_extended_jwt_location="headers",
    )


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
    headers = HEADERS[TokenType(token.type)]
    return str(create(str(token.user_id), additional_claims=claims, additional_headers=headers))


def decode(encoded: str) -> dict[str, Any]:
    """Return the claims of a JWT that keeps to the profile. Raises TokenExpired and InvalidToken."""
    settings = current()
    claims = _verified(encoded, settings.signing_keys)
    if (claims["iss"], claims["aud"]) != (settings.jwt_issuer, settings.jwt_audience):
        raise InvalidToken
    time, leeway = now().timestamp(), settings.clock_leeway_seconds
    if claims["exp"] + leeway <= time:
        raise TokenExpired
    if max(claims["iat"], claims["nbf"]) - leeway > time:
        raise InvalidToken
    return claims


def _verified(encoded: str, keys: list[str]) -> dict[str, Any]:
    """Return the claims of a JWT that is well formed, well signed and of exact types, whatever they say."""
    try:
        signed, _, signature = encoded.rpartition(".")
        if not any(_is_signature(signature, signed, key) for key in keys):
            raise InvalidToken
        header, payload = signed.split(".")
        claims = _read(payload)
        wrong = [name for name, kind in CLAIMS.items() if type(claims[name]) is not kind]
        if wrong or not all(CANONICAL.fullmatch(claims[name]) for name in ("sub", "jti", "sid")):
            raise InvalidToken
        # Exactly these two: no crit, jku, jwk, x5u, zip, nor anything else that a library might heed.
        if _header(header) != HEADERS[TokenType(claims["type"])]:
            raise InvalidToken
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidToken from error
    return cast("dict[str, Any]", claims)


def _is_signature(signature: str, signed: str, key: str) -> bool:
    """Whether the key made it, compared as it is written: of its spellings base64 takes several."""
    made = base64url_encode(HS256.sign(signed.encode(), key.encode()))
    return compare_digest(made, signature.encode())


def _read(part: str) -> Any:
    """Parse a part of a JWT, which has one spelling too."""
    raw = base64url_decode(part)
    if base64url_encode(raw).decode() != part:
        raise InvalidToken
    return strict_json.check(raw)


_header = lru_cache(maxsize=8)(_read)  # there are two, and only what a key of ours has signed comes here
