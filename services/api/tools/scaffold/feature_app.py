"""An app with every optional feature, to ask which names are taken."""

from functools import cache
from secrets import token_hex
from typing import Any

from flask import Flask

from app import create_app
from app.config import Settings

SETTINGS: dict[str, Any] = {
    "FLASK_ENV": "testing",
    "DATABASE_URL": "postgresql+psycopg2://user@127.0.0.1:1/never_opened_test",
    "SMTP_URL": "file:mail",
    "MAIL_FROM": "API <api@example.com>",
    "APP_URL": "https://app.example.com",
    "METRICS_ENABLED": True,
    "BROWSER_COOKIES": "on",  # part: cookies
}


@cache
def feature_app() -> Flask:
    return create_app(Settings(**SETTINGS, SECRET_KEY=token_hex(32)))
