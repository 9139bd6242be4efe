"""Drift between models and database: detected, and fixed by the migration that `make migration` writes."""

import shutil
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path

import flask_migrate
import pytest
from flask import Flask
from sqlalchemy import (
    CheckConstraint,
    Column,
    DefaultClause,
    Index,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    true,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import AddConstraint

from app import create_app, migrations
from app.database import MIGRATIONS, db
from app.model import models
from app.model.models import Base, one_of
from tests.conftest import settings_for
from tests.integration.test_migrations import empty_url  # noqa: F401

Change = Callable[[Table], object]


def named(users: Table, name: str) -> CheckConstraint:
    return next(each for each in users.constraints if isinstance(each, CheckConstraint) and each.name == name)


def add_a_role(users: Table) -> None:
    Roles = StrEnum("Roles", ["user", "admin", "astronaut", "o'brien"])  # noqa: N806
    users.constraints.remove(named(users, "ck_users_role"))
    users.append_constraint(one_of("role", Roles))


def add_a_column_to_a_check(users: Table) -> None:
    users.append_column(Column("level", String(20)))
    users.constraints.remove(named(users, "ck_users_role"))
    users.append_constraint(CheckConstraint("role <> level", name="role"))


CHANGES: list[Change] = [
    add_a_role,
    add_a_column_to_a_check,
    lambda users: users.append_constraint(
        CheckConstraint("username NOT IN ('a  b', 'a b') AND \"role\" <> 'it''s'", name="text")
    ),
    lambda users: users.append_constraint(CheckConstraint(users.c.username != "nobody", name="not_nobody")),
    lambda users: users.constraints.remove(named(users, "ck_users_role")),
    lambda users: setattr(users.c.disabled, "server_default", DefaultClause(true())),
    lambda users: setattr(users.c.disabled, "server_default", None),
    lambda users: setattr(users.c.role, "server_default", DefaultClause("user")),
    lambda users: users.append_constraint(UniqueConstraint("created_at", "username")),
    lambda users: users.indexes.remove(next(iter(users.indexes))),
    lambda users: Index(None, users.c.role, users.c.disabled),
    lambda users: setattr(users.c.role, "type", String(40)),
    lambda users: setattr(users.c.role, "nullable", True),
]

# Those that can be made to one table.
TOGETHER = [change for change in CHANGES if change not in (CHANGES[1], CHANGES[4], CHANGES[6])]


def copied() -> MetaData:
    copy = MetaData(naming_convention=Base.metadata.naming_convention)
    for table in Base.metadata.sorted_tables:
        table.to_metadata(copy)
    return copy


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch) -> Table:
    """The table `users` of a copy of the metadata, which the migrations compare with the database."""
    copy = copied()
    monkeypatch.setitem(db.metadatas, None, copy)
    return copy.tables["users"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(MIGRATIONS, tmp_path / "migrations")


@pytest.fixture
def app(empty_url: object, folder: Path) -> Iterator[Flask]:  # noqa: F811
    app = create_app(settings_for(empty_url))  # type: ignore[arg-type]
    migrations.init_app(app)
    with app.app_context():
        flask_migrate.upgrade(directory=str(folder))
        yield app
        db.session.remove()
        db.engine.dispose()


def test_each_difference_is_detected(app: Flask, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flask_migrate.check(directory=str(folder))

    for number, change in enumerate(CHANGES):
        metadata = copied()
        monkeypatch.setitem(db.metadatas, None, metadata)
        change(metadata.tables["users"])
        try:
            flask_migrate.check(directory=str(folder))
        except SystemExit:
            continue
        pytest.fail(f"CHANGES[{number}] was not detected")


def test_a_migration_is_written_that_ends_all_differences(app: Flask, users: Table, folder: Path) -> None:
    for change in TOGETHER:
        change(users)

    flask_migrate.migrate(directory=str(folder), message="end all differences")
    flask_migrate.upgrade(directory=str(folder))
    flask_migrate.check(directory=str(folder))

    flask_migrate.downgrade(directory=str(folder))
    flask_migrate.upgrade(directory=str(folder))
    flask_migrate.check(directory=str(folder))


def test_a_condition_with_percent_signs_is_no_difference(app: Flask, users: Table, folder: Path) -> None:
    if db.engine.dialect.name == "sqlite":
        pytest.skip("SQLite can't add a constraint to a table")
    check = CheckConstraint("username NOT LIKE '%:%'", name="no_colon")
    users.append_constraint(check)

    with db.engine.begin() as connection:
        connection.execute(AddConstraint(check))

    flask_migrate.check(directory=str(folder))


def test_a_new_value_can_be_stored_after_its_migration(app: Flask, users: Table, folder: Path) -> None:
    add_a_role(users)
    astronaut = {"username": "m", "username_key": "m", "password_hash": "x", "role": "astronaut"}
    with pytest.raises(IntegrityError, match="ck_users_role"), db.engine.begin() as connection:
        connection.execute(models.User.__table__.insert().values(astronaut))  # type: ignore[attr-defined]

    flask_migrate.migrate(directory=str(folder), message="add moderators")
    flask_migrate.upgrade(directory=str(folder))

    with db.engine.begin() as connection:
        connection.execute(models.User.__table__.insert().values(astronaut))  # type: ignore[attr-defined]
