"""Migrations that create an extension of PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import URL, Connection, create_engine, text

from kit.data.migrations.extensions import create_extension


@contextmanager
def migrating(url: URL) -> Iterator[Connection]:
    engine = create_engine(url)
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        yield connection
    engine.dispose()


def extensions(connection: Connection) -> set[str]:
    # part: sqlite
    if connection.dialect.name == "sqlite":
        return set()
    # end of part
    return set(connection.scalars(text("SELECT extname FROM pg_extension")))


def test_an_extension_is_created_once_and_only_on_postgresql(empty_url: URL) -> None:
    with migrating(empty_url) as connection:
        create_extension("pg_trgm")
        create_extension("pg_trgm")

        assert ("pg_trgm" in extensions(connection)) == (connection.dialect.name == "postgresql")


def test_the_owner_of_the_database_can_create_it(empty_url: URL, api_url: URL) -> None:
    owner = create_engine(empty_url)
    with owner.begin() as connection:
        connection.execute(text(f'ALTER DATABASE "{empty_url.database}" OWNER TO "{api_url.username}"'))

    with migrating(api_url) as connection:
        create_extension("pg_trgm")

        assert "pg_trgm" in extensions(connection)
    with owner.begin() as connection:
        connection.execute(text(f'ALTER DATABASE "{empty_url.database}" OWNER TO "{empty_url.username}"'))
    owner.dispose()


def test_another_role_learns_which_statement_to_ask_for(api_url: URL) -> None:
    with (
        pytest.raises(
            CommandError,
            match=r"permission denied.*run this statement.*CREATE EXTENSION IF NOT EXISTS pg_trgm;",
        ),
        migrating(api_url),
    ):
        create_extension("pg_trgm")


def test_another_role_needs_no_rights_if_it_exists(empty_url: URL, api_url: URL) -> None:
    with migrating(empty_url):
        create_extension("pg_trgm")

    with migrating(api_url):
        create_extension("pg_trgm")
