"""A database without tables."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, text


@pytest.fixture
def empty_url(database_url: URL, tmp_path: Path) -> Iterator[URL]:
    """An empty database for this test."""
    if database_url.drivername == "sqlite":
        yield database_url.set(database=str(tmp_path / "empty_test.db"))
        return
    name = str(database_url.database).replace("_test", "_empty_test")
    server = create_engine(database_url, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        connection.execute(text(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'))
        connection.execute(text(f'CREATE DATABASE "{name}"'))
        yield database_url.set(database=name)
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    server.dispose()
