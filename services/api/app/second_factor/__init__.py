"""Second factors: TOTP codes of authenticator apps, recovery codes, and logins in two steps.

To remove the feature, run `make without parts=second-factor`.
"""

from flask import Flask

from app import account_factor, token_delivery
from app.authentication import ENROLLING_REQUIREMENTS
from app.blueprint import schemas as app_schemas
from app.config import Settings
from app.exceptions import (
    FreshTokenRequired,
    InvalidCode,
    SecondFactorActive,
    SecondFactorEnrolmentRequired,
    SecondFactorNotFound,
    SecondFactorRequired,
)
from app.second_factor import schemas, views
from app.second_factor.commands import second_factor
from app.second_factor.jobs import JOBS
from app.second_factor.required_factor import RequiredFactor
from kit.jobs import jobs
from kit.web import features, problems
from kit.web.problems import BEARER, problem_type

PROBLEMS = (
    problem_type(SecondFactorRequired, 401, headers=BEARER, schema=schemas.SecondFactorProblem),
    problem_type(InvalidCode, 401, headers=BEARER),
    problem_type(SecondFactorEnrolmentRequired, 403),
    problem_type(SecondFactorNotFound, 404),
    problem_type(SecondFactorActive, 409),
)


def init_app(app: Flask, settings: Settings) -> None:
    jobs.add(app, JOBS)
    problems.add(app, PROBLEMS)
    account_factor.init_app(app, RequiredFactor(settings.require_second_factor))
    features.extend_schemas(app, {app_schemas.StepUp: schemas.StepUp})
    features.add_errors(app, "auth.login", SecondFactorRequired)
    features.add_errors(app, "auth.step_up", InvalidCode)
    for endpoint in ("account.change", "account.replace"):
        features.add_errors(app, endpoint, FreshTokenRequired)
    token_delivery.offer_choice(app, schemas.SecondFactorLogin, "second_factor.complete_login")
    app.register_blueprint(views.blueprint)
    app.cli.add_command(second_factor)
    if settings.require_second_factor != "none":
        _document_enrolment(app)


def _document_enrolment(app: Flask) -> None:
    """Document that all views refuse an account without a factor, except those that it needs to add one."""
    for name, view in app.view_functions.items():
        declaration = getattr(view, "declaration", None)
        if declaration and declaration.auth and declaration.auth not in ENROLLING_REQUIREMENTS:
            features.add_errors(app, name, SecondFactorEnrolmentRequired)
