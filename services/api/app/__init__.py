"""The app: create_app puts its parts together, in order.

Everything in this package is yours to read and change. You don't need to change the kit (../kit).
"""

from importlib import import_module

from flask import Flask

from app import (
    account_factor,
    account_mail,
    authentication,
    blueprint,
    commands,
    config,
    token_delivery,
)
from app.account_factor import AccountFactor
from app.account_mail import AccountMail
from app.blueprint import handlers
from app.events import Event
from app.jobs import JOBS
from app.token_delivery import TokenDelivery
from kit import settings as kit_settings
from kit.data import database
from kit.jobs import jobs, thread
from kit.security import events
from kit.serving import lifecycle, logs
from kit.web import headers, openapi, paths, proxies, rate_limits, uploads
from kit.web.api import Api


def create_app(settings: config.Settings | None = None) -> Flask:
    """Create an app, by default with the settings of the environment. Raises InvalidSettings."""
    settings = settings or config.load()
    app = Api(__name__, static_folder=None)
    kit_settings.init_app(app, settings)
    logs.init_app(app, settings)
    lifecycle.init_app(app)
    proxies.init_app(app, settings)
    database.init_app(app, settings)
    events.init_app(app, Event, authentication.current_actor)
    authentication.init_app(app, settings)
    paths.init_app(app)
    handlers.init_app(app)
    headers.init_app(app, settings, never_cached="/auth")
    rate_limits.init_app(app, settings)
    uploads.init_app(app, settings)
    if settings.metrics_enabled:
        import_module("kit.serving.metrics").init_app(app)
    for each in blueprint.BLUEPRINTS:
        app.register_blueprint(each)
    openapi.init_app(app, blueprint.DESCRIPTION, blueprint.RESPONSE_HEADERS)
    jobs.init_app(app, JOBS)
    thread.init_app(app, settings)
    if settings.metrics_enabled:
        import_module("kit.jobs.metrics").init_app(app, settings)
    account_mail.init_app(app, AccountMail())
    if settings.has_mail:
        import_module("app.mail").init_app(app, settings)
    import_module("app.keys").init_app(app, settings)
    token_delivery.init_app(app, TokenDelivery())
    if settings.browser_cookies == "on":  # part: cookies
        import_module("app.cookies").init_app(app)  # part: cookies
    account_factor.init_app(app, AccountFactor())
    import_module("app.second_factor").init_app(app, settings)  # part: second-factor
    commands.init_app(app)
    return app
