"""Refresh tokens in a cookie, for browser front ends on the API's own origin.

Only an app with BROWSER_COOKIES=on imports this package, so you can leave it unused. To remove the feature,
delete it, its lines in app/__init__.py, and what imports it in tests.
"""

from typing import Any

from flask import Flask
from pydantic import Field

from app import token_delivery
from app.blueprint import schemas
from app.blueprint.schemas import Jwt
from app.cookies.refresh_cookie import NAME, RefreshCookie
from app.exceptions import CrossOrigin
from kit.web import features, problems
from kit.web.features import CookieScheme
from kit.web.problems import problem_type
from kit.web.schemas import UNSET

COOKIE = CookieScheme(
    "refresh_cookie",
    NAME,
    "The refresh token in a cookie, from a login with `cookie`. Only for pages of the API's own origin.",
)
PROBLEMS = (problem_type(CrossOrigin, 403),)


def init_app(app: Flask) -> None:
    cookie = RefreshCookie()
    token_delivery.init_app(app, cookie)
    app.after_request(cookie.clear_if_refused)
    problems.add(app, PROBLEMS)
    cookie.offer_choice(app, schemas.Login, "auth.login")
    _extend_schemas(app)
    for endpoint in ("auth.refresh", "auth.logout"):
        features.add_errors(app, endpoint, CrossOrigin)
        features.accept_cookie(app, endpoint, COOKIE)


def _extend_schemas(app: Flask) -> None:
    unset: Any = {"exclude_if": lambda value: value is UNSET}
    features.add_fields(app, schemas.TokenPair, refresh_token=(Jwt, Field(UNSET, **unset)))
    pair = features.of_app(app).schemas[schemas.TokenPair]
    features.add_fields(app, schemas.ChangedAccount, tokens=(pair, Field(UNSET, **unset)))
