"""JWTs: created and read in one strict form (RFC 8725), with Flask-JWT-Extended."""

import json
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from hmac import compare_digest
from typing import Any, NamedTuple, cast

from flask import Flask, current_app, g
from flask_jwt_extended import JWTManager
from jwt.utils import base64url_decode, base64url_encode

from kit import strict_json
from kit.clock import now
from kit.errors import InvalidToken, TokenExpired
from kit.security.keyed_hash import hmac_sha256
from kit.uuids import CANONICAL

ALGORITHM = "HS256"
HEADERS = {  # by the claim `type` (RFC 9068, RFC 8725 section 3.11)
    "access": {"alg": ALGORITHM, "typ": "at+jwt"},
    "refresh": {"alg": ALGORITHM, "typ": "rt+jwt"},
}
CLAIMS: dict[str, type] = {
    "fresh": bool, "iat": int, "jti": str, "type": str, "sub": str,
    "nbf": int, "aud": str, "iss": str, "exp": int, "sid": str,
}  # fmt: skip
Claims = dict[str, Any]
ENCODER = json.JSONEncoder(separators=(",", ":"))


class Profile(NamedTuple):
    """What this app's JWTs have in common."""

    issuer: str
    audience: str
    keys: list[str]  # the first one signs
    leeway_seconds: int


class StrictJWTManager(JWTManager):
    """Flask-JWT-Extended that writes tokens with `encode` and reads them with `decode`.

    So `@jwt_required()` is as strict as this API, and `create_access_token()` needs the claims of `encode`.
    Only this class and `expose_to_library` use private parts of the library, whose version is pinned.
    """

    def _set_error_handler_callbacks(self, app: Flask) -> None:
        """Do nothing: kit/web/problems.py answers the library's errors."""

    def _encode_jwt_from_config(
        self, identity: str, token_type: str, claims: Any = None, *_: object, **__: object
    ) -> str:
        return encode(token_type, identity, claims or {})

    def _decode_jwt_from_config(self, encoded_token: str, *_: object, **__: object) -> Claims:
        return decode(encoded_token)


def init_app(app: Flask, profile: Profile, load_caller: Callable[[Claims], object]) -> None:
    app.extensions["jwt_profile"] = profile
    StrictJWTManager(app).user_lookup_loader(lambda _header, claims: load_caller(claims))


def expose_to_library(claims: Claims, caller: object) -> None:
    """Let the library's `get_jwt`, `get_jwt_identity` and `current_user` return this token's data.

    Its own `verify_jwt_in_request` would read each token twice.
    """
    vars(g).update(
        _jwt_extended_jwt=claims,
        _jwt_extended_jwt_header=dict(HEADERS[claims["type"]]),
        _jwt_extended_jwt_user={"loaded_user": caller},
        _jwt_extended_jwt_location="headers",
    )


def encode(type: str, subject: str, claims: Mapping[str, object]) -> str:
    """Return a signed JWT of the type `access` or `refresh`. The same arguments give the same JWT.

    `claims` are the others of CLAIMS, and any more. Flask-JWT-Extended's own encoder would take four times as
    long, and a refresh needs two tokens. Raises KeyError if a claim is missing.
    """
    profile = _profile()
    given = {**claims, "type": type, "sub": subject, "iss": profile.issuer, "aud": profile.audience}
    payload = {name: given[name] for name in CLAIMS} | given
    signed = f"{_spell(HEADERS[type])}.{_spell(payload)}"
    return f"{signed}.{_signature(signed, profile.keys[0])}"


def decode(encoded: str) -> Claims:
    """Return the claims of a valid JWT. Raises TokenExpired and InvalidToken."""
    profile = _profile()
    claims = _verified_claims(encoded, profile.keys)
    if (claims["iss"], claims["aud"]) != (profile.issuer, profile.audience):
        raise InvalidToken
    time = now().timestamp()
    if claims["exp"] + profile.leeway_seconds <= time:
        raise TokenExpired
    if max(claims["iat"], claims["nbf"]) - profile.leeway_seconds > time:
        raise InvalidToken
    return claims


def _profile() -> Profile:
    return cast("Profile", current_app.extensions["jwt_profile"])


def _verified_claims(encoded: str, keys: list[str]) -> Claims:
    """Return the claims of a well-formed and signed JWT, each of the right type."""
    try:
        signed, _, signature = encoded.rpartition(".")
        if not any(map(partial(_is_signature, signature, signed), keys)):
            raise InvalidToken
        header, payload = signed.split(".")
        claims: Claims = _read(payload)
        wrong = [name for name, kind in CLAIMS.items() if type(claims[name]) is not kind]
        if wrong or not all(map(CANONICAL.fullmatch, (claims["sub"], claims["jti"], claims["sid"]))):
            raise InvalidToken
        # Exactly these two: no crit, jku, jwk, x5u, zip or anything else that a library might act on.
        if _read_header(header) != HEADERS[claims["type"]]:
            raise InvalidToken
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidToken from error
    return claims


def _is_signature(signature: str, signed: str, key: str) -> bool:
    """Compare the encoded text, because base64 decoders accept several spellings of the same bytes."""
    return compare_digest(_signature(signed, key).encode(), signature.encode())


def _signature(signed: str, key: str) -> str:
    return base64url_encode(hmac_sha256(key.encode(), signed.encode())).decode()


def _spell(part: Mapping[str, object]) -> str:
    return base64url_encode(ENCODER.encode(part).encode()).decode()


def _read(part: str) -> Any:
    """Parse a part of a JWT. Raises InvalidToken unless it is spelled canonically."""
    raw = base64url_decode(part)
    if base64url_encode(raw).decode() != part:
        raise InvalidToken
    return strict_json.loads(raw)


_read_header = lru_cache(maxsize=8)(_read)  # two headers exist, and only signed ones get here
