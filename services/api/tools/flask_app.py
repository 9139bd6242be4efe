"""The app with the development commands: FLASK_APP=tools.flask_app."""

from flask import Flask

import app
from app.config import Settings
from kit.commands import add_lazily
from tools import COMMANDS


def create_app(settings: Settings | None = None) -> Flask:
    api = app.create_app(settings)
    add_lazily(api, COMMANDS)
    return api
