"""Settings of the apps under test."""

from secrets import token_hex
from tempfile import gettempdir

from sqlalchemy import URL

from app.config import Settings

# For an app that only generates its OpenAPI document.
NEVER_OPENED = "postgresql+psycopg2://user@127.0.0.1:1/never_opened_test"
SECRET_KEY = token_hex(32)  # random, so that no key is in the repository
# Jobs aren't run, so no message is written, except in tests of mail.
WITHOUT_MAIL = {"smtp_url": None, "mail_from": None, "app_url": None}
MAIL = {"smtp_url": "file:mail", "mail_from": "API <api@example.com>", "app_url": "https://app.example.com"}


def settings_for(url: URL | str, **others: object) -> Settings:
    given = {"flask_env": "testing", "database_url": url, "secret_key": SECRET_KEY} | others
    # Logs and responses must not depend on the load of the machine.
    given.setdefault("slow_request_ms", 0)
    given.setdefault("database_timeout_ms", 60_000)
    given.setdefault("storage_url", f"file:{gettempdir()}/flask-api-test-files")
    mail = MAIL if given["flask_env"] == "testing" else WITHOUT_MAIL
    for name, value in mail.items():
        given.setdefault(name, value)
    return Settings(**{name.upper(): value for name, value in given.items()})
