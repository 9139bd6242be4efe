"""The app: its parts, in the order in which they are put together."""

from importlib import import_module
from typing import Any

from flask import Flask, request
from flask.typing import ResponseReturnValue
from flask.wrappers import Response

from app import authentication, commands, config, database, forwarded, lifecycle, limits, logs, streaming
from app.blueprint import handlers, headers, openapi, paths
from app.blueprint.list import BLUEPRINTS
from app.plain_flask import PlainFlask


class Api(PlainFlask):
    """Flask with streamed responses, logs without client paths, and 204 for OPTIONS."""

    def dispatch_request(self) -> ResponseReturnValue:
        response = self.make_response(super().dispatch_request())
        if streaming.is_streamed(response):
            streaming.begin(response)
        return response

    def log_exception(self, exc_info: Any) -> None:
        """Log the request's route, not its path, which a stranger chose."""
        self.logger.error("%s %s failed", request.method, request.url_rule, exc_info=exc_info)

    def make_default_options_response(self) -> Response:
        """Answer OPTIONS with 204: there is nothing to say but Allow."""
        response = super().make_default_options_response()
        response.status_code = 204
        del response.headers["Content-Type"]
        return response


def create_app(settings: config.Settings | None = None) -> Flask:
    """Create an app from the settings, by default those of the environment. Raises config.InvalidSettings."""
    settings = settings or config.load()
    app = Api(__name__, static_folder=None)
    config.init_app(app, settings)
    logs.init_app(app, settings)
    lifecycle.init_app(app)
    forwarded.init_app(app, settings)
    database.init_app(app, settings)
    authentication.init_app(app, settings)
    paths.init_app(app)
    handlers.init_app(app)
    headers.init_app(app, settings)
    limits.init_app(app, settings)
    if settings.metrics_enabled:
        import_module("app.metrics").init_app(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    openapi.check(app)
    commands.init_app(app)
    return app
