"""Which Authorization headers and JWTs are accepted, and the error for each failure."""

import hmac
import json
from base64 import urlsafe_b64encode
from datetime import timedelta
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Any
from uuid import uuid4

import jwt
import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from flask_jwt_extended import (
    create_access_token,
    current_user,
    get_jwt,
    get_jwt_header,
    get_jwt_identity,
    jwt_required,
    verify_jwt_in_request,
)
from jwt import PyJWS
from pydantic import SecretStr
from sqlalchemy import event

from app.authentication import ACCESS_TOKEN, Caller
from app.database import db
from kit.clock import now
from kit.web.endpoint import endpoint
from tests.support.credentials import bearer
from tests.support.people import Person
from tests.support.problems import problem
from tests.support.settings import SECRET_KEY

HEADER = {"alg": "HS256", "typ": "at+jwt"}
INVALID = 'Bearer error="invalid_token"'


def claims_of(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


def sign(payload: str | dict[str, Any], header: dict[str, Any] | None = None, key: str = SECRET_KEY) -> str:
    """Sign a raw header and payload."""
    raw = payload if isinstance(payload, str) else json.dumps(payload)
    header = HEADER if header is None else header
    fields = {name: value for name, value in header.items() if name != "alg"}
    return PyJWS().encode(raw.encode(), key, algorithm=header["alg"], headers=fields)


def base64(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def get(client: FlaskClient, header: str | None) -> tuple[int, str, str]:
    response = client.get("/account", headers={} if header is None else {"Authorization": header})
    return *problem(response), response.headers["WWW-Authenticate"]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer "])
def test_the_scheme_is_case_insensitive(client: FlaskClient, ann: Person, scheme: str) -> None:
    assert client.get("/account", headers={"Authorization": f"{scheme} {ann.access}"}).status_code == 200


@pytest.mark.parametrize(
    "header", [None, "", "Basic YW5uOmFubg==", "Token {}", "{}", "Bearerx {}", "Negotiate"]
)
def test_a_header_without_a_bearer_token_is_a_missing_token(
    client: FlaskClient, ann: Person, header: str | None
) -> None:
    given = header and header.format(ann.access)

    assert get(client, given) == (401, "missing_token", "Bearer")


@pytest.mark.parametrize(
    "header",
    [
        "Bearer",
        "Bearer ",
        "Bearer\t{}",
        "Bearer {} {}",
        "Bearer {},",
        "Bearer {}, Bearer {}",
        "Bearer {},Basic eA==",
        "Basic eA==, Bearer {}",
        "Bearer {}=",
        "Bearer \u00e4",
        "Bearer x",
        "Bearer a.b.c",
        "Bearer ..",
        "Bearer {}.x",
    ],
)
def test_a_malformed_header_is_an_invalid_token(client: FlaskClient, ann: Person, header: str) -> None:
    assert get(client, header.format(ann.access, ann.access)) == (401, "invalid_token", INVALID)


def test_a_token_is_only_read_from_the_header(client: FlaskClient, ann: Person) -> None:
    client.set_cookie("access_token_cookie", ann.access)

    for path in (f"/account?jwt={ann.access}", f"/account?access_token={ann.access}", "/account"):
        assert problem(client.get(path)) == (401, "missing_token")


@pytest.mark.any_database
@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "jti", "sid", "type", "iat", "nbf", "exp", "fresh"])
@pytest.mark.parametrize("value", [..., None, "", 1.5, True, 10**400, [], {}, float("inf")])
def test_every_claim_is_required_and_has_a_type(
    client: FlaskClient, ann: Person, claim: str, value: object
) -> None:
    claims = claims_of(ann.access)
    if value is ...:
        del claims[claim]
    elif (claim == "fresh" and value is True) or (claim in ("exp", "iat", "nbf") and value == 10**400):
        return
    else:
        claims[claim] = value

    assert get(client, f"Bearer {sign(claims)}")[:2] == (401, "invalid_token")


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "another"},
        {"aud": "another"},
        {"aud": ["flask-api"]},
        {"type": "refresh"},
        {"type": "other"},
        {"sub": "ann"},
        {"jti": "{upper}"},
        {"exp": "1893456000"},
        {"iat": 10**10},
        {"nbf": 10**400},
    ],
)
def test_a_claim_with_another_value_is_invalid(
    client: FlaskClient, ann: Person, change: dict[str, Any]
) -> None:
    claims = claims_of(ann.access)
    claims |= {name: claims[name].upper() if value == "{upper}" else value for name, value in change.items()}

    assert get(client, f"Bearer {sign(claims)}") == (401, "invalid_token", INVALID)


@pytest.mark.parametrize("exp", [0, -1, -(10**400)])
def test_an_expired_token_has_its_own_code(client: FlaskClient, ann: Person, exp: int) -> None:
    token = sign(claims_of(ann.access) | {"exp": exp})

    assert get(client, f"Bearer {token}") == (401, "token_expired", INVALID)


@pytest.mark.parametrize(("elapsed", "status"), [(899, 200), (905, 200), (911, 401)])
def test_an_access_token_is_valid_for_its_lifetime_and_the_leeway(
    ann: Person, elapsed: int, status: int
) -> None:
    with time_machine.travel(now() + timedelta(seconds=elapsed), tick=False):
        assert ann.get("/account").status_code == status


@pytest.mark.parametrize(("early", "status"), [(9, 200), (12, 401)])
def test_a_slow_clock_is_tolerated_within_the_leeway(ann: Person, early: int, status: int) -> None:
    with time_machine.travel(now() - timedelta(seconds=early), tick=False):
        assert ann.get("/account").status_code == status


@pytest.mark.parametrize(
    "claims", [{"jti": str(uuid4())}, {"sid": str(uuid4())}, {"sub": str(uuid4())}], ids=["jti", "sid", "sub"]
)
def test_a_signed_token_without_its_rows_is_revoked(
    client: FlaskClient, ann: Person, claims: dict[str, str]
) -> None:
    assert get(client, f"Bearer {sign(claims_of(ann.access) | claims)}") == (401, "token_revoked", INVALID)


@pytest.mark.parametrize("claim", ["jti", "sid", "sub"])
def test_a_token_cannot_mix_claims_of_two_users(
    client: FlaskClient, ann: Person, bob: Person, claim: str
) -> None:
    token = sign(claims_of(ann.access) | {claim: claims_of(bob.access)[claim]})

    assert get(client, f"Bearer {token}") == (401, "token_revoked", INVALID)


def test_a_refresh_token_with_the_type_of_an_access_token_is_refused(
    client: FlaskClient, ann: Person
) -> None:
    token = sign(claims_of(ann.refresh) | {"type": "access"})

    assert get(client, f"Bearer {token}") == (401, "token_revoked", INVALID)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "HS256"},
        {"alg": "HS256", "typ": "JWT"},
        {"alg": "HS256", "typ": "rt+jwt"},
        {"alg": "HS256", "typ": "AT+JWT"},
        {"alg": "HS512", "typ": "at+jwt"},
        HEADER | {"crit": ["exp"]},
        HEADER | {"jku": "http://192.0.2.1/"},
        HEADER | {"jwk": {}},
        HEADER | {"x5u": "http://192.0.2.1/"},
        HEADER | {"zip": "DEF"},
        HEADER | {"kid": "../../dev/null"},
        HEADER | {"cty": "JWT"},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_a_jwt_header_has_exactly_one_form(client: FlaskClient, ann: Person, header: dict[str, Any]) -> None:
    token = sign(claims_of(ann.access), header)

    assert get(client, f"Bearer {token}") == (401, "invalid_token", INVALID)


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "hs256"])
def test_an_unsigned_token_is_invalid(client: FlaskClient, ann: Person, alg: str) -> None:
    _, payload, signature = ann.access.split(".")
    header = base64(json.dumps({"alg": alg, "typ": "at+jwt"}))

    for token in (f"{header}.{payload}.", f"{header}.{payload}.{signature}"):
        assert get(client, f"Bearer {token}") == (401, "invalid_token", INVALID)


def test_a_token_signed_with_another_key_is_invalid(client: FlaskClient, ann: Person) -> None:
    token = sign(claims_of(ann.access), key="another key that is long enough to be a key")

    assert get(client, f"Bearer {token}") == (401, "invalid_token", INVALID)


TAMPERED = {
    "payload": "{0}.eyJ9.{2}",
    "padding": "{0}.{1}.{2}=",
    "standard alphabet": "{0}.{1}.+/{2}",
    "no signature": "{0}.{1}.",
    "two segments": "{0}.{1}",
    "four segments": "{0}.{1}.{2}.{2}",
    "deep header": f"{base64('[' * 5000)}.{{1}}.{{2}}",
    "deep payload": f"{{0}}.{base64('[' * 5000)}.{{2}}",
    "header no object": f"{base64('[]')}.{{1}}.{{2}}",
    "header no JSON": f"{base64('{')}.{{1}}.{{2}}",
    "header no UTF-8": "_w.{1}.{2}",
}


@pytest.mark.parametrize("tamper", TAMPERED.values(), ids=TAMPERED)
def test_a_tampered_token_is_invalid(client: FlaskClient, ann: Person, tamper: str) -> None:
    token = tamper.format(*ann.access.split("."))

    assert get(client, f"Bearer {token}") == (401, "invalid_token", INVALID)


def other_spelling(segment: str) -> str:
    """Flip an unused bit of the last Base64 character."""
    alphabet = ascii_uppercase + ascii_lowercase + digits + "-_"
    return segment[:-1] + alphabet[alphabet.index(segment[-1]) ^ 1]


def test_a_signature_has_only_one_encoding(client: FlaskClient, ann: Person) -> None:
    assert get(client, f"Bearer {other_spelling(ann.access)}") == (401, "invalid_token", INVALID)


def test_a_payload_has_only_one_encoding(client: FlaskClient, ann: Person) -> None:
    claims = claims_of(ann.access) | {"padding": ""}
    while len(json.dumps(claims)) % 3 == 0:
        claims["padding"] += "x"
    header, payload, _ = sign(claims).split(".")
    text = f"{header}.{other_spelling(payload)}"
    signature = (
        urlsafe_b64encode(hmac.digest(SECRET_KEY.encode(), text.encode(), "sha256")).decode().rstrip("=")
    )

    assert get(client, f"Bearer {text}.{signature}") == (401, "invalid_token", INVALID)


@pytest.mark.parametrize("payload", ["[" * 5000, "[]", "null", '"x"', "{", "\ufeff{}", "1"])
def test_a_signed_payload_that_is_not_an_object_is_invalid(
    client: FlaskClient, ann: Person, payload: str
) -> None:
    assert get(client, f"Bearer {sign(payload)}") == (401, "invalid_token", INVALID)


def test_a_repeated_claim_is_invalid(client: FlaskClient, ann: Person) -> None:
    twice = json.dumps(claims_of(ann.access)).replace("{", '{"sub": "x", ')

    assert get(client, f"Bearer {sign(twice)}") == (401, "invalid_token", INVALID)


def test_the_caller_is_read_in_one_statement(app: Flask, ann: Person) -> None:
    statements: list[str] = []
    with app.app_context():
        connection = db.engines[None]

    def count(*args: Any) -> None:
        if args[2].startswith("SELECT"):
            statements.append(args[2])

    event.listen(connection, "before_cursor_execute", count)
    ann.get("/account")
    event.remove(connection, "before_cursor_execute", count)

    assert len(statements) == 1


def test_the_library_sees_the_verified_token(app: Flask, ann: Person) -> None:
    @endpoint(auth=ACCESS_TOKEN)
    def look(caller: Caller) -> None:
        assert get_jwt_identity() == ann.id
        assert get_jwt()["sid"] == ann.session_id
        assert get_jwt_header() == {"alg": "HS256", "typ": "at+jwt"}
        assert current_user == caller
        assert verify_jwt_in_request() == (get_jwt_header(), get_jwt())

    with app.test_request_context(headers=ann.headers):
        look()


def test_the_librarys_encoder_returns_the_same_tokens(app: Flask, ann: Person) -> None:
    claims = claims_of(ann.access)

    assert jwt.encode(claims, SECRET_KEY, headers=HEADER) == ann.access
    with app.app_context():
        assert create_access_token(ann.id, additional_claims=claims) == ann.access
        with pytest.raises(KeyError):
            create_access_token(ann.id)


def test_the_librarys_jwt_required_enforces_the_profile(app: Flask, ann: Person) -> None:
    guarded = jwt_required()(lambda: "in")
    stale = sign(claims_of(ann.access), HEADER | {"kid": "x"})

    def ask(headers: dict[str, str]) -> str:
        with app.test_request_context(headers=headers):
            try:
                return str(guarded())
            except Exception as error:
                response = app.make_response(app.handle_user_exception(error))
                return str(response.get_json(force=True)["code"])

    assert ask(bearer(ann.access)) == "in"
    assert ask(bearer(stale)) == ask(bearer(ann.refresh)) == "invalid_token"
    assert ask({}) == "missing_token"
    assert ask({"Authorization": "Bearer a b"}) == "invalid_token"


def test_keys_rotate_without_a_logout(app: Flask, client: FlaskClient, ann: Person) -> None:
    old = app.extensions["settings"].secret_key
    new = SecretStr("a new key of the tests, as good as the other one")

    def rotate(key: SecretStr, *fallbacks: SecretStr) -> None:
        keys = [each.get_secret_value() for each in (key, *fallbacks)]
        app.extensions["jwt_profile"] = app.extensions["jwt_profile"]._replace(keys=keys)

    try:
        rotate(new, SecretStr("z" * 32), old)
        assert ann.get("/account").status_code == 200
        refreshed = client.post("/auth/refresh", headers=bearer(ann.refresh)).json["access_token"]
        rotate(new)
        assert client.get("/account", headers=bearer(refreshed)).status_code == 200
        assert problem(ann.get("/account")) == (401, "invalid_token")
    finally:
        rotate(old)
