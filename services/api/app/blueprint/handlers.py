"""Every error: one table of problems, the facts that lead to each, and how it is answered (RFC 9457)."""

import re
from dataclasses import dataclass
from functools import partial
from uuid import uuid4

from flask import Flask, Response, g, request
from flask_jwt_extended.exceptions import WrongTokenError
from sqlalchemy import exc
from werkzeug import exceptions as http

from app import exceptions as facts
from app.blueprint import schemas
from app.blueprint.request_body import MalformedJson, UnsupportedMediaType, ValidationFailed

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
MEDIA_TYPE = "application/problem+json"
BEARER = {"WWW-Authenticate": "Bearer"}
INVALID_TOKEN = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
# RFC 9470: the token is good, the login behind it too old.
STEP_UP = {"WWW-Authenticate": 'Bearer error="insufficient_user_authentication"'}
SOON = {"Retry-After": "1"}


class PreconditionFailed(Exception):
    """If-Match names another version than the resource has."""


class NotReady(Exception):
    """A readiness check fails; its text says which."""


@dataclass(frozen=True)
class Problem:
    """One kind of error. A fact that has a sentence of its own is answered with that instead of `detail`."""

    code: str
    status: int
    title: str
    detail: str
    advice: str
    facts: tuple[type[Exception], ...]
    headers: dict[str, str] | None = None

    @property
    def type(self) -> str:
        return f"/problems/{self.code.replace('_', '-')}"


PROBLEMS = (
    Problem(
        "bad_request",
        400,
        "Bad request",
        "The request is not well-formed HTTP for this API.",
        "Check the request line, the Host header and the length of the body.",
        (http.BadRequest,),
    ),
    Problem(
        "malformed_json",
        400,
        "Malformed JSON",
        "The body does not parse as strict JSON.",
        "Send one JSON text in UTF-8: no byte order mark, NaN, Infinity, repeated names or lone surrogates, "
        "and at most 32 levels.",
        (MalformedJson,),
    ),
    Problem(
        "missing_token",
        401,
        "Token missing",
        "This needs a token.",
        "Log in with POST /auth/login and send `Authorization: Bearer <access_token>`.",
        (facts.MissingToken,),
        BEARER,
    ),
    Problem(
        "invalid_token",
        401,
        "Token invalid",
        "The token is malformed, forged, or of another kind than this needs.",
        "Send the access token, or to POST /auth/refresh the refresh token, exactly as it was answered.",
        (facts.InvalidToken, WrongTokenError),
        INVALID_TOKEN,
    ),
    Problem(
        "token_expired",
        401,
        "Token expired",
        "The token has expired.",
        "Get a new pair with POST /auth/refresh, or log in again.",
        (facts.TokenExpired,),
        INVALID_TOKEN,
    ),
    Problem(
        "token_revoked",
        401,
        "Token revoked",
        "The token was revoked, or its session or account is gone.",
        "Log in again.",
        (facts.TokenRevoked,),
        INVALID_TOKEN,
    ),
    Problem(
        "token_reused",
        401,
        "Refresh token reused",
        "A spent refresh token was presented again, so the whole session has ended.",
        "Log in again. Use each refresh token once, and keep only the newest.",
        (facts.TokenReused,),
        INVALID_TOKEN,
    ),
    Problem(
        "fresh_token_required",
        401,
        "Fresh login required",
        "This needs a login of a few minutes ago at most.",
        "Log in again and use the new access token.",
        (facts.FreshTokenRequired,),
        STEP_UP,
    ),
    Problem(
        "invalid_credentials",
        401,
        "Wrong user name or password",
        "The user name or the password is wrong.",
        "Check both. Which of them is wrong is not told.",
        (facts.InvalidCredentials,),
        BEARER,
    ),
    Problem(
        "wrong_current_password",
        403,
        "Wrong current password",
        "The current password is wrong, so nothing was changed.",
        "Give the password that you log in with as `current_password`.",
        (facts.WrongCurrentPassword,),
    ),
    Problem(
        "not_found",
        404,
        "Not found",
        "There is nothing at this path.",
        "See /docs for the paths; none ends with a slash.",
        (http.NotFound,),
    ),
    Problem(
        "token_not_found",
        404,
        "Token not found",
        "You have no token with this id.",
        "List your tokens with GET /auth/token?active=false.",
        (facts.TokenNotFound,),
    ),
    Problem(
        "method_not_allowed",
        405,
        "Method not allowed",
        "This path does not take this method.",
        "The Allow header lists the methods that it takes.",
        (http.MethodNotAllowed,),
    ),
    Problem(
        "username_taken",
        409,
        "User name taken",
        "An account with this user name exists already.",
        "Choose another name. Upper and lower case make no difference.",
        (facts.UsernameTaken,),
    ),
    Problem(
        "last_admin",
        409,
        "Last admin",
        "The last account with the role admin cannot be removed.",
        "Make another account an admin first.",
        (facts.LastAdmin,),
    ),
    Problem(
        "revocation_is_final",
        409,
        "Revocation is final",
        "A revoked token never comes back.",
        "Log in for a new one.",
        (facts.RevocationIsFinal,),
    ),
    Problem(
        "precondition_failed",
        412,
        "Precondition failed",
        "The resource has changed since the version that If-Match names.",
        "Read it again, apply your change to what it is now, and send its new ETag.",
        (PreconditionFailed,),
    ),
    Problem(
        "body_too_large",
        413,
        "Body too large",
        "The body is longer than this API takes.",
        "Send less. The setting MAX_BODY_BYTES is the limit.",
        (http.RequestEntityTooLarge,),
    ),
    Problem(
        "uri_too_long",
        414,
        "URI too long",
        "The path and query are longer than this API takes.",
        "Send a shorter query.",
        (http.RequestURITooLarge,),
    ),
    Problem(
        "unsupported_media_type",
        415,
        "Unsupported media type",
        "The body is not announced as JSON in UTF-8.",
        "Send `Content-Type: application/json`.",
        (UnsupportedMediaType,),
    ),
    Problem(
        "validation_failed",
        422,
        "Validation failed",
        "The request is well-formed and not acceptable; `errors` tells where and why.",
        "Mend what `errors` lists: a `pointer` leads into the body, a `parameter` names one of the query.",
        (ValidationFailed, facts.PasswordRefused, facts.UsernameRefused),
    ),
    Problem(
        "headers_too_large",
        431,
        "Headers too large",
        "The headers are longer than this API takes.",
        "Send fewer or shorter headers: 16 KiB in all.",
        (http.RequestHeaderFieldsTooLarge,),
    ),
    Problem(
        "internal_error",
        500,
        "Internal error",
        "Something went wrong on our side.",
        "Report it with the request_id, which the log has too.",
        (http.InternalServerError,),
    ),
    Problem(
        "not_implemented",
        501,
        "Not implemented",
        "The request uses a part of HTTP that this API does not have.",
        "Use no transfer coding but chunked.",
        (http.NotImplemented,),
    ),
    Problem(
        "database_unavailable",
        503,
        "Database unavailable",
        "The database cannot be reached, or does not answer in time.",
        "Send the request again after the time in Retry-After.",
        (exc.OperationalError, exc.InterfaceError, exc.InternalError, exc.TimeoutError),
        SOON,
    ),
    Problem(
        "not_ready",
        503,
        "Not ready",
        "The app cannot serve yet, or no longer.",
        "Wait for GET /health/ready to answer 200.",
        (NotReady,),
        SOON,
    ),
)
BY_STATUS = {problem.status: problem for problem in reversed(PROBLEMS)}  # the first of each status


def init_app(app: Flask) -> None:
    for problem in PROBLEMS:
        for fact in problem.facts:
            app.register_error_handler(fact, partial(_answer, problem))
    app.register_error_handler(http.HTTPException, _answer_other)


def request_id() -> str:
    """Return the id of this request: the client's own if it has the right form, else a fresh one."""
    if "request_id" not in g:
        g.request_id = choose_request_id(request.headers.get("X-Request-ID", ""))
    return str(g.request_id)


def choose_request_id(given: str) -> str:
    return given if REQUEST_ID.fullmatch(given) else str(uuid4())


def document(
    problem: Problem, request_id: str, detail: str = "", errors: list[schemas.FieldError] | None = None
) -> bytes:
    """Write the body of a problem."""
    answer = schemas.Problem(
        type=problem.type,
        title=problem.title,
        status=problem.status,
        detail=detail or problem.detail,
        code=problem.code,
        request_id=request_id,
        errors=errors,
    )
    return answer.model_dump_json(exclude_none=True).encode()


def _answer(problem: Problem, fact: Exception) -> Response:
    own = str(fact) if isinstance(fact, facts.DomainError | NotReady) else ""
    body = document(problem, request_id(), own, _errors(fact))
    response = Response(body, problem.status, problem.headers, content_type=MEDIA_TYPE)
    if isinstance(fact, http.MethodNotAllowed):
        response.allow.update(fact.valid_methods or ())
    return response


def _answer_other(error: http.HTTPException) -> Response:
    return _answer(BY_STATUS.get(error.code or 0, BY_STATUS[400]), error)


def _errors(fact: Exception) -> list[schemas.FieldError] | None:
    """Tell what is wrong where: in the request's shape, or in a value that the domain refused."""
    match fact:
        case ValidationFailed():
            return fact.errors
        case facts.PasswordRefused():
            return [schemas.FieldError(pointer="/password", code=fact.code, detail=str(fact))]
    return None
