"""What all tests share: the settings of a test, and the refusal to touch any other database."""

import os
from pathlib import Path
from secrets import token_hex

import pytest
from sqlalchemy import URL, create_engine, make_url, text

from app.config import Settings

# For an app that only describes itself.
NEVER_OPENED = "postgresql+psycopg2://nobody@127.0.0.1:1/never_opened_test"
SECRET_KEY = token_hex(32)  # another one each time: no key stands in the repository


def refuse_unmarked(url: URL) -> URL:
    """Return the URL of a database that is marked as a test's; stop the suite at any other."""
    name = url.database or ""
    stem = Path(name).stem if url.drivername == "sqlite" else name
    if not stem.endswith("_test"):
        pytest.exit(f"TEST_DATABASE_URL names {name!r}; a test's database has a name that ends in _test.", 2)
    return url


def settings_for(url: URL | str, **others: object) -> Settings:
    given = {"flask_env": "testing", "database_url": url, "secret_key": SECRET_KEY} | others
    given.setdefault("slow_request_ms", 0)  # what is logged must not depend on how busy the machine is
    return Settings(**{name.upper(): value for name, value in given.items()})


@pytest.fixture(scope="session")
def database_url(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> URL:
    """Return this worker's own empty database: on PostgreSQL if TEST_DATABASE_URL is given, else SQLite."""
    given = os.environ.get("TEST_DATABASE_URL")
    if not given:
        return refuse_unmarked(make_url(f"sqlite:///{tmp_path_factory.mktemp('database') / 'api_test.db'}"))
    url = refuse_unmarked(make_url(given).set(drivername="postgresql+psycopg2"))
    own = f"{str(url.database).removesuffix('_test')}_{worker_id}_test"
    server = create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f'DROP DATABASE IF EXISTS "{own}" WITH (FORCE)'))
        connection.execute(text(f'CREATE DATABASE "{own}"'))
    server.dispose()
    return url.set(database=own)
