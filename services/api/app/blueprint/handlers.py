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
    problem_type(
        exceptions.InvalidCredentials,
        401,
        "Check both. The API doesn't say which one is wrong.",
        headers=BEARER,
    ),
    problem_type(
        exceptions.TokenReused,
        401,
        "Log in again. Use each refresh token once, and keep only the newest.",
        headers=INVALID_TOKEN,
    ),
    problem_type(
        exceptions.FreshTokenRequired,
        401,
        "Log in again and use the new access token.",
        headers=LOGIN_REQUIRED,
    ),
    problem_type(
        exceptions.WrongCurrentPassword, 403, "Send the password that you log in with as `current_password`."
    ),
    problem_type(exceptions.Forbidden, 403, "Ask an admin to do it, or to change your role."),
    problem_type(exceptions.TokenNotFound, 404, "List your tokens with GET /auth/token?active=false."),
    problem_type(
        exceptions.UsernameTaken, 409, "Choose another name. Upper and lower case don't make a difference."
    ),
    problem_type(exceptions.LastAdmin, 409, "Make another account an admin first."),
    problem_type(exceptions.RevocationIsFinal, 409, "Log in for a new token."),
)


def init_app(app: Flask) -> None:
    problems.init_app(app, PROBLEMS)
