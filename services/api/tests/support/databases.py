"""The databases to test on: SQLite, and PostgreSQL if TEST_DATABASE_URL is set."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, make_url, text


def databases() -> list[str]:
    """Return the databases to test on: SQLite, and PostgreSQL first if TEST_DATABASE_URL is set."""
    return ["postgresql", "sqlite"] if os.environ.get("TEST_DATABASE_URL") else ["sqlite"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests on every database, but those marked `any_database` only on the first."""
    if "database" in metafunc.fixturenames:
        names = databases()[:1] if metafunc.definition.get_closest_marker("any_database") else databases()
        marked = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in names]
        metafunc.parametrize("database", marked, indirect=True, scope="session")


@pytest.fixture(scope="session")
def database(request: pytest.FixtureRequest) -> str:
    """Return the name of the database that the test runs on."""
    return str(request.param)


@pytest.fixture(scope="session")
def database_urls(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> dict[str, URL]:
    """Create empty databases for this worker."""
    urls: dict[str, URL] = {}
    # part: sqlite
    file = tmp_path_factory.mktemp("database") / "api_test.db"
    urls["sqlite"] = refuse_unmarked(make_url(f"sqlite:///{file}"))
    # end of part
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


@contextmanager
def another_database(url: URL, folder: Path, name: str = "another") -> Iterator[URL]:
    """Create an empty database beside this one for the block."""
    # part: sqlite
    if url.drivername == "sqlite":
        yield url.set(database=str(folder / f"{name}_test.db"))
        return
    # end of part
    name = str(url.database).replace("_test", f"_{name}_test")
    server = create_engine(url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
        connection.execute(text(f'CREATE DATABASE "{name}"'))
        yield url.set(database=name)
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    server.dispose()


@pytest.fixture
def own_database(database_urls: dict[str, URL], tmp_path: Path) -> Iterator[URL]:
    """An empty database for the processes of a test that doesn't depend on the kind of database."""
    with another_database(database_urls[databases()[-1]], tmp_path, "own") as url:
        yield url


@contextmanager
def new_role(owner_url: URL, suffix: str) -> Iterator[URL]:
    """Create a role that can only log in. Yield its URL, and drop it with all that it owns."""
    if owner_url.drivername == "sqlite":  # part: sqlite
        pytest.skip("SQLite has no roles")  # part: sqlite
    role = f"{owner_url.database}_{suffix}"
    owner = create_engine(owner_url, isolation_level="AUTOCOMMIT")
    with owner.connect() as connection:
        if connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}):
            connection.execute(text(f'DROP OWNED BY "{role}"; DROP ROLE "{role}"'))
        connection.execute(text(f'CREATE ROLE "{role}" LOGIN'))
        yield owner_url.set(username=role)
        connection.execute(text(f'DROP OWNED BY "{role}"; DROP ROLE "{role}"'))
    owner.dispose()


def refuse_unmarked(url: URL) -> URL:
    """Return the URL if its database is for tests. Otherwise, stop the test run."""
    name = url.database or ""
    if not name.removesuffix(".db").endswith("_test"):
        pytest.exit(f"TEST_DATABASE_URL names the database {name!r}. Use one whose name ends in _test.", 2)
    return url
