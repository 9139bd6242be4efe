"""How this API's errors are answered (RFC 9457).

To add an error, add an exception to app/exceptions.py and a line here. GET /problems lists them all.
"""

from flask import Flask

from app import exceptions
from kit.web import problems
from kit.web.problems import BEARER, INVALID_TOKEN, problem_type

# RFC 9470: the token is valid, but the login is too old.
LOGIN_REQUIRED = {"WWW-Authenticate": 'Bearer error="insufficient_user_authentication"'}

PROBLEMS = (
    problem_type(exceptions.InvalidCredentials, 401, headers=BEARER),
    problem_type(exceptions.TokenReused, 401, headers=INVALID_TOKEN),
    problem_type(exceptions.FreshTokenRequired, 401, headers=LOGIN_REQUIRED),
    problem_type(exceptions.WrongCurrentPassword, 403),
    problem_type(exceptions.Forbidden, 403),
    problem_type(exceptions.TokenNotFound, 404),
    problem_type(exceptions.UsernameTaken, 409),
    problem_type(exceptions.LastAdmin, 409),
    problem_type(exceptions.RevocationIsFinal, 409),
)


def init_app(app: Flask) -> None:
    problems.init_app(app, PROBLEMS)
