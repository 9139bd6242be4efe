"""Every error: one table of problems, the facts that lead to each, and how it is answered (RFC 9457)."""

import logging
from dataclasses import dataclass
from functools import partial

from flask import Flask, Response
from flask_jwt_extended.exceptions import JWTExtendedException, NoAuthorizationError
from sqlalchemy import exc
from werkzeug import exceptions as http

from app import exceptions as facts
from app.blueprint import schemas
from app.blueprint.validation import MalformedJson, UnsupportedMediaType, ValidationFailed
from app.database import reason_of
from app.model.list import METADATA
from app.model.violations import domain_error
from app.request_id import request_id

logger = logging.getLogger("app.error")
MEDIA_TYPE = "application/problem+json"
BEARER = {"WWW-Authenticate": "Bearer"}
INVALID_TOKEN = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
# RFC 9470: the token is good, the login behind it too old.
STEP_UP = {"WWW-Authenticate": 'Bearer error="insufficient_user_authentication"'}
SOON = {"Retry-After": "1"}


class HostNotAllowed(Exception):
    """The request is for a name that ALLOWED_HOSTS does not list."""


class PreconditionFailed(Exception):
    """If-Match names another version than the resource has."""


class PreconditionRequired(Exception):
    """This resource is changed only by who says which version of it: If-Match is missing."""


class NotReady(Exception):
    """A readiness check fails; its text says which."""


@dataclass(frozen=True)
class Problem:
    """One kind of error: its words, and the facts that lead to it. Those of the domain have a sentence."""

    code: str
    status: int
    title: str
    advice: str
    facts: tuple[type[Exception], ...]
    detail: str = ""
    headers: dict[str, str] | None = None

    @property
    def meaning(self) -> str:
        return self.detail or str(self.facts[0]())

    @property
    def type(self) -> str:
        return f"/problems/{self.code.replace('_', '-')}"


PROBLEMS = (
    Problem(
        "bad_request",
        400,
        "Bad request",
        detail="The request is not well-formed HTTP for this API.",
        advice="Check the request line, the Host header and the length of the body.",
        facts=(http.BadRequest,),
    ),
    Problem(
        "host_not_allowed",
        400,
        "Host not allowed",
        detail="This API does not answer under the name in the Host header.",
        advice="Use a name that the setting ALLOWED_HOSTS lists, or add this one to it.",
        facts=(HostNotAllowed,),
    ),
    Problem(
        "malformed_json",
        400,
        "Malformed JSON",
        detail="The body does not parse as strict JSON.",
        advice="Send one JSON text in UTF-8: no byte order mark, NaN, Infinity, repeated names or lone "
        "surrogates, and at most 32 levels.",
        facts=(MalformedJson,),
    ),
    Problem(
        "missing_token",
        401,
        "Token missing",
        advice="Log in with POST /auth/login and send `Authorization: Bearer <access_token>`.",
        facts=(facts.MissingToken, NoAuthorizationError),
        headers=BEARER,
    ),
    Problem(
        "invalid_token",
        401,
        "Token invalid",
        advice="Send the access token, or for POST /auth/refresh the refresh token, as it was answered.",
        facts=(facts.InvalidToken, JWTExtendedException),
        headers=INVALID_TOKEN,
    ),
    Problem(
        "token_expired",
        401,
        "Token expired",
        advice="Get a new pair with POST /auth/refresh, or log in again.",
        facts=(facts.TokenExpired,),
        headers=INVALID_TOKEN,
    ),
    Problem(
        "token_revoked",
        401,
        "Token revoked",
        advice="Log in again.",
        facts=(facts.TokenRevoked,),
        headers=INVALID_TOKEN,
    ),
    Problem(
        "token_reused",
        401,
        "Refresh token reused",
        advice="Log in again. Use each refresh token once, and keep only the newest.",
        facts=(facts.TokenReused,),
        headers=INVALID_TOKEN,
    ),
    Problem(
        "fresh_token_required",
        401,
        "Fresh login required",
        advice="Log in again and use the new access token.",
        facts=(facts.FreshTokenRequired,),
        headers=STEP_UP,
    ),
    Problem(
        "invalid_credentials",
        401,
        "Wrong user name or password",
        advice="Check both. Which of them is wrong is not told.",
        facts=(facts.InvalidCredentials,),
        headers=BEARER,
    ),
    Problem(
        "wrong_current_password",
        403,
        "Wrong current password",
        advice="Give the password that you log in with as `current_password`.",
        facts=(facts.WrongCurrentPassword,),
    ),
    Problem(
        "forbidden",
        403,
        "Forbidden",
        advice="Ask an admin to do it, or to change your role.",
        facts=(facts.Forbidden,),
    ),
    Problem(
        "not_found",
        404,
        "Not found",
        detail="There is nothing at this path.",
        advice="See /docs for the paths; none ends with a slash. What is not yours is answered so as well.",
        facts=(http.NotFound, facts.NotFound),
    ),
    Problem(
        "token_not_found",
        404,
        "Token not found",
        advice="List your tokens with GET /auth/token?active=false.",
        facts=(facts.TokenNotFound,),
    ),
    Problem(
        "method_not_allowed",
        405,
        "Method not allowed",
        detail="This path does not take this method.",
        advice="The Allow header lists the methods that it takes.",
        facts=(http.MethodNotAllowed,),
    ),
    Problem(
        "username_taken",
        409,
        "User name taken",
        advice="Choose another name. Upper and lower case make no difference.",
        facts=(facts.UsernameTaken,),
    ),
    Problem(
        "already_exists",
        409,
        "Exists already",
        advice="Choose another value, or change the one that exists.",
        facts=(facts.AlreadyExists,),
    ),
    Problem(
        "still_referenced",
        409,
        "Still referenced",
        advice="Delete what refers to it, or let it refer to something else, and try again.",
        facts=(facts.StillReferenced,),
    ),
    Problem(
        "idempotency_key_in_use",
        409,
        "Idempotency key in use",
        advice="Send the same request again: it is answered as the first is, once that is done.",
        facts=(facts.KeyInUse,),
        headers=SOON,
    ),
    Problem(
        "last_admin",
        409,
        "Last admin",
        advice="Make another account an admin first.",
        facts=(facts.LastAdmin,),
    ),
    Problem(
        "revocation_is_final",
        409,
        "Revocation is final",
        advice="Log in for a new one.",
        facts=(facts.RevocationIsFinal,),
    ),
    Problem(
        "precondition_failed",
        412,
        "Precondition failed",
        detail="The resource has changed since the version that If-Match names.",
        advice="Read it again, apply your change to what it is now, and send its new ETag.",
        facts=(PreconditionFailed,),
    ),
    Problem(
        "body_too_large",
        413,
        "Body too large",
        detail="The body is longer than this API takes.",
        advice="Send less. The setting MAX_BODY_BYTES is the limit.",
        facts=(http.RequestEntityTooLarge,),
    ),
    Problem(
        "uri_too_long",
        414,
        "URI too long",
        detail="The path and query are longer than this API takes.",
        advice="Send a shorter query.",
        facts=(http.RequestURITooLarge,),
    ),
    Problem(
        "unsupported_media_type",
        415,
        "Unsupported media type",
        detail="The body is not announced as JSON in UTF-8.",
        advice="Send `Content-Type: application/json`.",
        facts=(UnsupportedMediaType, http.UnsupportedMediaType),
    ),
    Problem(
        "validation_failed",
        422,
        "Validation failed",
        detail="The request is well-formed but not acceptable; `errors` tells where and why.",
        advice="Correct what `errors` lists: a `pointer` leads into the body, a `parameter` is of the query.",
        facts=(
            ValidationFailed,
            facts.PasswordRefused,
            facts.UsernameRefused,
            facts.NoSuchPlace,
            facts.NoSuchReference,
            facts.ValueRefused,
        ),
    ),
    Problem(
        "idempotency_key_reused",
        422,
        "Idempotency key reused",
        advice="Make a new key for each request, and send the same one only to repeat it.",
        facts=(facts.KeyReused,),
    ),
    Problem(
        "precondition_required",
        428,
        "Precondition required",
        detail="This is changed only by who says which version of it, and the header If-Match is missing.",
        advice="Read it, and send its ETag as If-Match with the change.",
        facts=(PreconditionRequired,),
    ),
    Problem(
        "too_many_attempts",
        429,
        "Too many attempts",
        advice="Wait for the seconds in Retry-After. Until then not even a right password is looked at.",
        facts=(facts.TooManyAttempts,),
        headers=SOON,
    ),
    Problem(
        "headers_too_large",
        431,
        "Headers too large",
        detail="The headers are longer than this API takes.",
        advice="Send fewer or shorter headers: 16 KiB in all.",
        facts=(http.RequestHeaderFieldsTooLarge,),
    ),
    Problem(
        "internal_error",
        500,
        "Internal error",
        detail="Something went wrong on our side.",
        advice="Report it with the request_id, which the log has too.",
        facts=(http.InternalServerError,),
    ),
    Problem(
        "not_implemented",
        501,
        "Not implemented",
        detail="The request uses a part of HTTP that this API does not have.",
        advice="Use no transfer coding but chunked.",
        facts=(http.NotImplemented,),
    ),
    Problem(
        "database_unavailable",
        503,
        "Database unavailable",
        detail="The database cannot be reached, or does not answer in time.",
        advice="Send the request again after the time in Retry-After.",
        facts=(exc.OperationalError, exc.InterfaceError, exc.InternalError, exc.TimeoutError),
        headers=SOON,
    ),
    Problem(
        "overloaded",
        503,
        "Overloaded",
        advice="Send the request again after the time in Retry-After.",
        facts=(facts.Overloaded,),
        headers=SOON,
    ),
    Problem(
        "not_ready",
        503,
        "Not ready",
        detail="The app cannot serve yet, or no longer.",
        advice="Wait for GET /health/ready to answer 200.",
        facts=(NotReady,),
        headers=SOON,
    ),
)
PROBLEM_OF = {fact: problem for problem in PROBLEMS for fact in problem.facts}
# For errors that HTTP alone knows: those of the server, of Flask, and of an `abort(404)`.
BY_STATUS = {
    problem.status: problem
    for problem in PROBLEMS
    if any(issubclass(fact, http.HTTPException) for fact in problem.facts)
}


def init_app(app: Flask) -> None:
    for problem in PROBLEMS:
        for fact in problem.facts:
            app.register_error_handler(fact, partial(_answer, problem))
    app.register_error_handler(http.HTTPException, _answer_other)
    for refusal in (exc.IntegrityError, exc.DataError, exc.OperationalError, exc.InternalError):
        app.register_error_handler(refusal, _answer_refusal)


def document(
    problem: Problem, request_id: str, detail: str = "", errors: list[schemas.FieldError] | None = None
) -> bytes:
    """Write the body of a problem."""
    answer = schemas.Problem(
        type=problem.type,
        title=problem.title,
        status=problem.status,
        detail=detail or problem.meaning,
        code=problem.code,
        request_id=request_id,
        errors=errors,
    )
    return answer.model_dump_json(exclude_none=True).encode()


def _answer(problem: Problem, fact: Exception) -> Response:
    own = str(fact) if isinstance(fact, facts.DomainError | NotReady) else ""
    if isinstance(fact, exc.SQLAlchemyError):
        logger.warning("%s", reason_of(fact))
    if isinstance(fact, facts.ValueRefused):  # though the schema has accepted it: the two disagree
        logger.warning("the database refused a value: %s", fact.reason)
    body = document(problem, request_id(), own, _errors(fact))
    response = Response(body, problem.status, problem.headers, content_type=MEDIA_TYPE)
    if isinstance(fact, http.MethodNotAllowed):
        response.allow.update(fact.valid_methods or ())
    if isinstance(fact, facts.TooManyAttempts):
        response.retry_after = fact.seconds
    return response


def _answer_other(error: http.HTTPException) -> Response:
    status = error.code or 500
    return _answer(BY_STATUS.get(status, BY_STATUS[500 if status >= 500 else 400]), error)


def _answer_refusal(error: exc.DBAPIError) -> Response:
    """Answer a violated constraint that no repository has translated. Anything else is a defect of ours."""
    fact = domain_error(error, METADATA)
    if fact:
        return _answer(PROBLEM_OF[type(fact)], fact)
    if type(error) in PROBLEM_OF:
        return _answer(PROBLEM_OF[type(error)], error)
    raise error


def _errors(fact: Exception) -> list[schemas.FieldError] | None:
    """Tell what is wrong where: in the request's shape, or in a value that the domain refused."""
    match fact:
        case ValidationFailed():
            return fact.errors
        case facts.PasswordRefused():
            return [
                schemas.FieldError(pointer="/password", code=code, detail=sentence)
                for code, sentence in fact.reasons.items()
            ]
        case facts.NoSuchPlace():
            return [schemas.FieldError(parameter="cursor", code="invalid_format", detail=str(fact))]
        case facts.NoSuchReference():
            place = f"/{fact.field}" if fact.field else ""
            return [schemas.FieldError(pointer=place, code="unknown_reference", detail=str(fact))]
        case facts.ValueRefused():
            place = f"/{fact.field}" if fact.field else ""
            return [schemas.FieldError(pointer=place, code="invalid_format", detail=str(fact))]
    return None
