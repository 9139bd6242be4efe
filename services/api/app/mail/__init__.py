"""Accounts by mail: verified addresses, links for forgotten passwords, and notices.

Only an app with SMTP_URL imports this package, so you can leave it unused. To remove the feature, delete it,
its lines in app/__init__.py, and what imports it in tests.
"""

from pathlib import Path

from flask import Flask

from app import account_mail
from app.account_mail import Notice
from app.config import Settings
from app.exceptions import EmailRequired, EmailTaken, EmailUnverified, LinkInvalid
from app.mail import pages, schemas, views
from app.mail.jobs import JOBS, PATHS
from app.mail.queued_mail import QueuedMail
from kit.jobs import jobs
from kit.mail import mailer
from kit.web import features, problems
from kit.web.problems import problem_type

TEMPLATES = Path(__file__).parent / "templates"
VALUES: dict[str, tuple[str, ...]] = dict.fromkeys(PATHS.values(), ("username", "link")) | dict.fromkeys(
    map(str, Notice), ("username", "time", "client")
)
VALUES[Notice.PASSWORD_CHANGED] = ("username", "time", "client", "keys")
PROBLEMS = (
    problem_type(LinkInvalid, 400),
    problem_type(EmailUnverified, 403),
    problem_type(EmailTaken, 409),
    problem_type(EmailRequired, 409),
)


def init_app(app: Flask, settings: Settings) -> None:
    mailer.init_app(app, settings, TEMPLATES, VALUES)
    jobs.add(app, JOBS)
    problems.add(app, PROBLEMS)
    account_mail.init_app(app, QueuedMail())
    features.extend_schemas(app, schemas.EXTENDED | schemas.NEW_ACCOUNTS[settings.register_email])
    features.add_errors(app, "auth.login", EmailUnverified)
    app.register_blueprint(views.blueprint)
    app.register_blueprint(pages.blueprint)
