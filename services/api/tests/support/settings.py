"""Settings of the apps under test."""

from secrets import token_hex

from sqlalchemy import URL

from app.config import Settings

# For an app that only generates its OpenAPI document.
NEVER_OPENED = "postgresql+psycopg2://user@127.0.0.1:1/never_opened_test"
SECRET_KEY = token_hex(32)  # random, so that no key is in the repository


def settings_for(url: URL | str, **others: object) -> Settings:
    given = {"flask_env": "testing", "database_url": url, "secret_key": SECRET_KEY} | others
    # Logs and responses must not depend on the load of the machine.
    given.setdefault("slow_request_ms", 0)
    given.setdefault("database_timeout_ms", 60_000)
    return Settings(**{name.upper(): value for name, value in given.items()})
