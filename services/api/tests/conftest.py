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
# They start processes, or wait.
LONG = {
    "integration/test_fuzz.py",
    "kit/data/migrations/test_drift.py",
    "kit/data/migrations/test_migrations.py",
    "kit/serving/test_metrics.py",
    "kit/serving/test_servers.py",
    "kit/web/test_idempotency.py",
    "kit/web/test_streaming.py",
    "tools/scaffold/test_commands.py",
}
pytest_plugins = ["tests.support.fixtures"]


def refuse_unmarked(url: URL) -> URL:
    """Return the URL of a database that is marked as a test's; stop the suite at any other."""
    name = url.database or ""
    stem = Path(name).stem if url.drivername == "sqlite" else name
    if not stem.endswith("_test"):
        pytest.exit(f"TEST_DATABASE_URL names {name!r}; a test's database has a name that ends in _test.", 2)
    return url


def settings_for(url: URL | str, **others: object) -> Settings:
    given = {"flask_env": "testing", "database_url": url, "secret_key": SECRET_KEY} | others
    # Logs and answers must not depend on how busy the machine is.
    given.setdefault("slow_request_ms", 0)
    given.setdefault("database_timeout_ms", 60_000)
    return Settings(**{name.upper(): value for name, value in given.items()})


def databases() -> list[str]:
    """Return the databases to test on: SQLite, and PostgreSQL first if TEST_DATABASE_URL is given."""
    return ["postgresql", "sqlite"] if os.environ.get("TEST_DATABASE_URL") else ["sqlite"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that uses a database on all of them, one that is marked `any_database` on the first."""
    if "database" in metafunc.fixturenames:
        names = databases()[:1] if metafunc.definition.get_closest_marker("any_database") else databases()
        marked = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in names]
        metafunc.parametrize("database", marked, indirect=True, scope="session")


@pytest.hookimpl(trylast=True)  # pytest itself sorts by session fixtures
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long tests, so that no worker is left with one at the end.

    The end-to-end tests come next: their stack starts while the long ones run.
    """

    def place(item: pytest.Item) -> int:
        if item.nodeid.startswith("tests/e2e/"):
            return 1
        return 0 if item.path.relative_to(Path(__file__).parent).as_posix() in LONG else 2

    items.sort(key=place)


@pytest.fixture(scope="session")
def database(request: pytest.FixtureRequest) -> str:
    """Return the name of the database that the test runs on."""
    return str(request.param)


@pytest.fixture(scope="session")
def database_urls(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> dict[str, URL]:
    """Make this worker's own empty databases."""
    file = tmp_path_factory.mktemp("database") / "api_test.db"
    urls = {"sqlite": refuse_unmarked(make_url(f"sqlite:///{file}"))}
    if given := os.environ.get("TEST_DATABASE_URL"):
        url = refuse_unmarked(make_url(given).set(drivername="postgresql+psycopg2"))
        own = f"{str(url.database).removesuffix('_test')}_{worker_id}_test"
        server = create_engine(url, isolation_level="AUTOCOMMIT")
        with server.connect() as connection:
            connection.execute(text(f'DROP DATABASE IF EXISTS "{own}" WITH (FORCE)'))
            connection.execute(text(f'CREATE DATABASE "{own}"'))
        server.dispose()
        urls["postgresql"] = url.set(database=own)
    return urls


@pytest.fixture(scope="session")
def database_url(database: str, database_urls: dict[str, URL]) -> URL:
    return database_urls[database]
