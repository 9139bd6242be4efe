"""Error responses (RFC 9457): a table of problem types, and the handlers that answer with them."""

import logging
import re
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple, cast

from flask import Flask, Response, current_app
from flask_jwt_extended.exceptions import JWTExtendedException, NoAuthorizationError
from sqlalchemy import exc
from werkzeug import exceptions as http

from kit import errors
from kit.data.base import Base
from kit.data.database import reason_of
from kit.data.violations import domain_error
from kit.web.errors import (
    BodyTooLarge,
    HostNotAllowed,
    MalformedForm,
    MalformedJson,
    NotReady,
    PreconditionFailed,
    PreconditionRequired,
    UnsupportedMediaType,
)
from kit.web.request_id import request_id
from kit.web.schemas import Problem, ProblemField

logger = logging.getLogger("app.error")
MEDIA_TYPE = "application/problem+json"
BEARER = {"WWW-Authenticate": "Bearer"}
INVALID_TOKEN = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
INSUFFICIENT_SCOPE = {"WWW-Authenticate": 'Bearer error="insufficient_scope"'}
WORD_BOUNDARY = re.compile("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
RETRY_AFTER_1S = {"Retry-After": "1"}


class ProblemType(NamedTuple):
    """How some exceptions are answered."""

    errors: tuple[type[Exception], ...]
    status: int
    code: str
    title: str
    meaning: str
    advice: str  # what the client can do
    headers: Mapping[str, str]
    schema: type[Problem]

    @property
    def uri(self) -> str:
        return f"/problems/{self.code.replace('_', '-')}"


def problem_type(
    error: type[Exception],
    status: int,
    *,
    meaning: str = "",
    advice: str = "",
    headers: Mapping[str, str] | None = None,
    name: str = "",
    title: str = "",
    also: tuple[type[Exception], ...] = (),
    schema: type[Problem] = Problem,
) -> ProblemType:
    """Say how an exception and its subclasses are answered.

    Code and title come from the exception's name: UsernameTaken is `username_taken`, "Username taken".
    Meaning and advice are its `message` and `advice`. `also` are other exceptions with the same answer.
    `schema` describes the response of an exception with more `members`.
    """
    code = WORD_BOUNDARY.sub("_", name or error.__name__).lower()
    title = title or code.replace("_", " ").capitalize()
    try:
        meaning = meaning or str(error())
    except TypeError as missing:
        raise TypeError(
            f"problem_type({error.__name__}, ...): the error needs arguments. Describe it with meaning=..."
        ) from missing
    advice = advice or getattr(error, "advice", "")
    return ProblemType((error, *also), status, code, title, meaning, advice, headers or {}, schema)


KIT_PROBLEMS = (
    problem_type(
        http.BadRequest,
        400,
        advice="Check the request line, the Host header and the length of the body.",
        meaning="The request isn't well-formed HTTP for this API.",
    ),
    problem_type(HostNotAllowed, 400),
    problem_type(MalformedForm, 400),
    problem_type(MalformedJson, 400, title="Malformed JSON"),
    problem_type(errors.MissingToken, 401, headers=BEARER, also=(NoAuthorizationError,)),
    problem_type(errors.InvalidToken, 401, headers=INVALID_TOKEN, also=(JWTExtendedException,)),
    problem_type(errors.TokenExpired, 401, headers=INVALID_TOKEN),
    problem_type(errors.TokenRevoked, 401, headers=INVALID_TOKEN),
    problem_type(
        http.NotFound,
        404,
        advice="See /docs for the paths. None ends with a slash. Other users' resources aren't found either.",
        meaning="Nothing exists at this path.",
        also=(errors.NotFound,),
    ),
    problem_type(
        http.MethodNotAllowed,
        405,
        advice="Use one of the methods in the Allow header.",
        meaning="This path doesn't support this method.",
    ),
    problem_type(errors.AlreadyExists, 409),
    problem_type(errors.StillReferenced, 409),
    problem_type(errors.IdempotencyKeyInUse, 409, headers=RETRY_AFTER_1S),
    problem_type(PreconditionFailed, 412),
    problem_type(
        http.RequestEntityTooLarge,
        413,
        advice="Send less. The settings MAX_BODY_BYTES and MAX_UPLOAD_BYTES are the limits.",
        meaning="The body is too long.",
        name="BodyTooLarge",
        also=(BodyTooLarge,),
    ),
    problem_type(
        http.RequestURITooLarge,
        414,
        advice="Send a shorter query.",
        meaning="The path and query are too long.",
        name="UriTooLong",
        title="URI too long",
    ),
    problem_type(UnsupportedMediaType, 415, also=(http.UnsupportedMediaType,)),
    problem_type(
        http.RequestedRangeNotSatisfiable,
        416,
        advice="Send a Range within the size of the file, or none.",
        meaning="The file has no such range of bytes.",
        name="RangeNotSatisfiable",
    ),
    problem_type(errors.FieldsRefused, 422, name="ValidationFailed"),
    problem_type(errors.IdempotencyKeyReused, 422),
    problem_type(PreconditionRequired, 428),
    problem_type(errors.TooManyAttempts, 429, headers=RETRY_AFTER_1S),
    problem_type(
        http.RequestHeaderFieldsTooLarge,
        431,
        advice="Send fewer or shorter headers: at most 16 KiB in total.",
        meaning="The headers are too long.",
        name="HeadersTooLarge",
    ),
    problem_type(
        http.InternalServerError,
        500,
        advice="Report it with the request_id, which is also in the log.",
        meaning="Something went wrong on our side.",
        name="InternalError",
    ),
    problem_type(
        http.NotImplemented,
        501,
        advice="Use `Transfer-Encoding: chunked`, or none.",
        meaning="The request uses a part of HTTP that this API doesn't implement.",
    ),
    problem_type(
        exc.OperationalError,
        503,
        advice="Send the request again after the time in Retry-After.",
        meaning="The database is unavailable or doesn't answer.",
        headers=RETRY_AFTER_1S,
        name="DatabaseUnavailable",
        also=(exc.InterfaceError, exc.InternalError, exc.TimeoutError),
    ),
    problem_type(errors.QueryTimeout, 503, headers=RETRY_AFTER_1S),
    problem_type(errors.WriteConflict, 503, headers=RETRY_AFTER_1S),
    problem_type(errors.StorageUnavailable, 503, headers=RETRY_AFTER_1S),
    problem_type(errors.Overloaded, 503, headers=RETRY_AFTER_1S),
    problem_type(NotReady, 503, headers=RETRY_AFTER_1S),
)
# For errors that HTTP defines: of the server, of Flask, and of `abort(404)`.
BY_STATUS = {
    problem.status: problem
    for problem in KIT_PROBLEMS
    if any(issubclass(error, http.HTTPException) for error in problem.errors)
}


def init_app(app: Flask, own: Iterable[ProblemType] = ()) -> None:
    """Register the handlers of the kit's problem types and the app's own."""
    app.extensions["problems"] = ()
    add(app, (*KIT_PROBLEMS, *own))
    app.register_error_handler(http.HTTPException, _respond_by_status)
    app.register_error_handler(exc.DBAPIError, _respond_to_database_error)


def add(app: Flask, problems: Iterable[ProblemType]) -> None:
    """Register more problem types."""
    every = sorted((*all_problems(app), *problems), key=lambda problem: problem.status)
    app.extensions["problems"] = tuple(every)
    app.extensions["problem_by_error"] = {error: problem for problem in every for error in problem.errors}
    for problem in problems:
        for error in problem.errors:
            if not issubclass(error, exc.DBAPIError):
                app.register_error_handler(error, partial(_respond, problem))


def all_problems(app: Flask) -> tuple[ProblemType, ...]:
    """Return every problem type of an app, sorted by status."""
    return cast("tuple[ProblemType, ...]", app.extensions["problems"])


def find_problem(app: Flask, error: type[Exception]) -> ProblemType | None:
    """Return the problem type of an exception class, as Flask chooses it: that of the nearest base class."""
    by_error: dict[type[Exception], ProblemType] = app.extensions["problem_by_error"]
    return next((by_error[base] for base in error.__mro__ if base in by_error), None)


def body(
    problem: ProblemType,
    request_id: str,
    detail: str = "",
    fields: Iterable[errors.FieldError] = (),
    members: Mapping[str, Any] | None = None,
) -> bytes:
    """Return the JSON body of a problem."""
    response = problem.schema(
        type=problem.uri,
        title=problem.title,
        status=problem.status,
        detail=f"{detail or problem.meaning} {problem.advice}",
        code=problem.code,
        request_id=request_id,
        errors=[ProblemField(**field._asdict()) for field in fields] or None,
        **(members or {}),
    )
    return response.model_dump_json(exclude_none=True).encode()


def _respond(problem: ProblemType, error: Exception) -> Response:
    if isinstance(error, exc.SQLAlchemyError):
        logger.warning("%s", reason_of(error))
    if isinstance(error, errors.ValueRefused):  # the schema allowed it, so schema and database disagree
        logger.warning("the database refused a value: %s", error.reason)
    detail, members = (str(error), error.members) if isinstance(error, errors.DomainError) else ("", {})
    fields = error.fields if isinstance(error, errors.FieldsRefused) else ()
    text = body(problem, request_id(), detail, fields, members)
    response = Response(text, problem.status, problem.headers, content_type=MEDIA_TYPE)
    if isinstance(error, http.MethodNotAllowed):
        response.allow.update(error.valid_methods or ())
    if isinstance(error, http.RequestedRangeNotSatisfiable) and error.length:  # RFC 9110, section 15.5.17
        response.headers["Content-Range"] = f"bytes */{error.length}"
    if isinstance(error, errors.TooManyAttempts):
        response.retry_after = error.seconds
    if isinstance(error, errors.InsufficientScope) and error.scope:  # RFC 6750, section 3.1
        response.headers["WWW-Authenticate"] += f', scope="{error.scope}"'
    return response


def _respond_by_status(error: http.HTTPException) -> Response:
    status = error.code or 500
    return _respond(BY_STATUS.get(status, BY_STATUS[500 if status >= 500 else 400]), error)


def _respond_to_database_error(error: exc.DBAPIError) -> Response:
    """Answer with the request's own error, or say that the database is unavailable. Any other is a bug."""
    if cause := domain_error(error, Base.metadata):
        if isinstance(cause, errors.QueryTimeout):
            logger.warning("a query exceeded its time limit: %s", reason_of(error))
        if isinstance(cause, errors.WriteConflict):
            logger.warning("a deadlock: %s", reason_of(error))
        problem = find_problem(current_app, type(cause))
        assert problem is not None  # noqa: S101 # nosec B101
        return _respond(problem, cause)
    if problem := find_problem(current_app, type(error)):
        return _respond(problem, error)
    raise error
