"""A hello API on the kit alone, without accounts. tests/kit/test_kit_alone.py uses it."""

from pathlib import Path
from typing import ClassVar

from flask import Blueprint, Flask

from kit import commands, settings
from kit.data import database
from kit.security import events
from kit.serving import lifecycle, logs
from kit.web import documentation, headers, openapi, paths, problem_pages, problems, proxies, rate_limits
from kit.web.api import Api
from kit.web.endpoint import endpoint
from kit.web.schemas import Query, ResponseBody, Text

blueprint = Blueprint("hello", __name__)


class Settings(settings.Settings):
    app_name: ClassVar[str] = "hello"
    version: ClassVar[str] = "1"
    folder: ClassVar[Path] = Path(__file__).parent


class HelloQuery(Query):
    name: Text = "world"


class Hello(ResponseBody):
    hello: Text


@blueprint.get("/hello")
@endpoint(query=HelloQuery, returns=Hello, etag=True)
def say_hello(query: HelloQuery) -> Hello:
    """Say hello."""
    return Hello(hello=query.name)


def create_app() -> Flask:
    own = settings.load(Settings)
    app = Api(__name__, static_folder=None)
    settings.init_app(app, own)
    logs.init_app(app, own)
    lifecycle.init_app(app)
    proxies.init_app(app, own)
    database.init_app(app, own)
    events.init_app(app, ())
    paths.init_app(app)
    problems.init_app(app)
    headers.init_app(app, own)
    rate_limits.init_app(app, own)
    for each in (blueprint, documentation.blueprint, problem_pages.blueprint):
        app.register_blueprint(each)
    openapi.init_app(app, "Says hello.", {})
    commands.init_app(app)
    return app
