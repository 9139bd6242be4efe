"""API keys: programs send one in place of an access token, to routes whose scope it has.

To remove the feature, delete this folder, its line in app/__init__.py, and what uses it in tests. Then keys
are invalid tokens. The table stays until you drop it.
"""

from flask import Flask

from app import authentication
from app.authentication import ACCESS_SCHEME
from app.config import Settings
from app.exceptions import KeyNotFound, TooManyKeys
from app.keys import commands, verification, views
from kit.errors import InsufficientScope, TooManyAttempts
from kit.web import features, problems
from kit.web.features import KeyScheme
from kit.web.problems import INSUFFICIENT_SCOPE, problem_type

PROBLEMS = (
    problem_type(InsufficientScope, 403, headers=INSUFFICIENT_SCOPE),
    problem_type(KeyNotFound, 404),
    problem_type(TooManyKeys, 409),
)


def init_app(app: Flask, settings: Settings) -> None:
    problems.add(app, PROBLEMS)
    authentication.accept_keys(app, verification.verify)
    errors = (InsufficientScope, *([TooManyAttempts] if settings.key_limit else []))
    description = "An API key with the scope of the operation. `POST /account/keys` creates one."
    features.accept_keys(app, KeyScheme("api_key", description, ACCESS_SCHEME.name, errors))
    app.register_blueprint(views.blueprint)
    app.cli.add_command(commands.key)
