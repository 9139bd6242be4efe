"""Drift between models and database: detected, and fixed by the migration that `make migration` writes."""

import shutil
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path

import flask_migrate
import pytest
from flask import Flask
from sqlalchemy import (
    JSON,
    URL,
    Boolean,
    CheckConstraint,
    Column,
    DefaultClause,
    ForeignKeyConstraint,
    Index,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    false,
    func,
    insert,
    inspect,
    or_,
    select,
    text,
    true,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError

from app import create_app
from app.database import db
from app.model import models
from kit.data.base import Base, one_of
from kit.data.migrations import commands as migrations
from tests.support.databases import another_database
from tests.support.paths import MIGRATIONS
from tests.support.settings import settings_for

pytestmark = pytest.mark.long
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


def key_of_sessions(users: Table) -> ForeignKeyConstraint:
    [key] = users.metadata.tables["sessions"].foreign_key_constraints
    return key


CHANGES: list[Change] = [
    add_a_role,
    add_a_column_to_a_check,
    lambda users: users.append_constraint(
        CheckConstraint("username NOT IN ('a  b', 'a b') AND \"role\" <> 'it''s'", name="text")
    ),
    lambda users: users.append_constraint(CheckConstraint(users.c.username != "root", name="not_root")),
    lambda users: users.append_constraint(CheckConstraint("username NOT LIKE '%a%b%'", name="percent")),
    lambda users: users.append_constraint(CheckConstraint(r"username <> '\:red'", name="colon")),
    lambda users: users.append_constraint(
        CheckConstraint(or_(users.c.disabled.is_(False), ~users.c.disabled), name="boolean")
    ),
    lambda users: users.constraints.remove(named(users, "ck_users_role")),
    lambda users: setattr(users.c.disabled, "server_default", DefaultClause(true())),
    lambda users: setattr(users.c.disabled, "server_default", None),
    lambda users: setattr(users.c.role, "server_default", DefaultClause("user")),
    lambda users: setattr(users.c.username, "server_default", DefaultClause("it's")),
    lambda users: setattr(users.c.username_key, "server_default", DefaultClause("")),
    lambda users: users.append_column(Column("news", Boolean, nullable=False, server_default=true())),
    lambda users: users.append_column(Column("quiet", Boolean, nullable=False, server_default=false())),
    lambda users: users.append_column(Column("options", JSON, nullable=False, server_default="{}")),
    lambda users: users.append_constraint(UniqueConstraint("created_at", "username")),
    lambda users: users.indexes.remove(next(iter(users.indexes))),
    lambda users: Index(None, users.c.role, users.c.disabled),
    lambda users: Index("ix_lower", func.lower(users.c.username), unique=True),
    lambda users: Index(
        "ix_partial",
        users.c.role,
        sqlite_where=text("disabled"),  # part: sqlite
        postgresql_where=text("disabled"),
    ),
    lambda users: setattr(users.c.role, "type", String(40)),
    lambda users: setattr(users.c.role, "nullable", True),
    lambda users: setattr(key_of_sessions(users), "ondelete", "SET NULL"),
]
# Changes that only PostgreSQL sees.
POSTGRESQL_CHANGES: list[Change] = [
    lambda users: Index(
        "ix_words", func.to_tsvector(text("'simple'"), users.c.username), postgresql_using="gin"
    ).ddl_if(dialect="postgresql"),
    lambda users: Index("ix_hash", users.c.username, postgresql_using="hash"),
    lambda users: Index("ix_covering", users.c.username, postgresql_include=["role"]),
    lambda users: Index("ix_pattern", users.c.username, postgresql_ops={"username": "varchar_pattern_ops"}),
    lambda users: setattr(users, "comment", "The accounts."),
    lambda users: setattr(users.c.username, "comment", "As it was registered."),
    lambda users: users.append_column(
        Column("tags", JSON().with_variant(postgresql.JSONB(), "postgresql"), comment="Words.")
    ),
]
ON_SQLITE_TOO = (1, 2, 3, 6)  # without their method, included columns and types  # part: sqlite
ALTERNATIVES = (1, 7, 9)  # of changes 0 and 8, which exclude them
# Changes that can be combined in one table.
TOGETHER = [change for number, change in enumerate(CHANGES) if number not in ALTERNATIVES]


def copied() -> MetaData:
    copy = MetaData(naming_convention=Base.metadata.naming_convention)
    for table in Base.metadata.sorted_tables:
        copied_indexes = {index.name: index for index in table.to_metadata(copy).indexes}
        for index in table.indexes:
            copied_indexes[index.name]._ddl_if = index._ddl_if  # to_metadata() leaves it out
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
def app(empty_url: object, folder: Path) -> Iterator[Flask]:
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


@pytest.fixture(
    params=[
        "on sqlite",  # part: sqlite
        "on postgresql",
    ]
)
def generated(
    request: pytest.FixtureRequest, database_urls: dict[str, URL], folder: Path, tmp_path: Path
) -> Iterator[Callable[[], None]]:
    """Write a migration on one of the databases, as `make migration` does."""
    name = request.param.removeprefix("on ")
    if name not in database_urls:
        pytest.skip("TEST_DATABASE_URL isn't set")
    with another_database(database_urls[name], tmp_path) as url:
        app = create_app(settings_for(url))
        migrations.init_app(app)

        def generate() -> None:
            with app.app_context():
                flask_migrate.upgrade(directory=str(folder))
                flask_migrate.migrate(directory=str(folder), message="end all differences")
                db.engine.dispose()

        yield generate


# part: sqlite
def test_what_only_postgresql_has_is_no_difference_on_sqlite(
    app: Flask, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, change in enumerate(POSTGRESQL_CHANGES):
        if number in ON_SQLITE_TOO:
            continue
        metadata = copied()
        monkeypatch.setitem(db.metadatas, None, metadata)
        change(metadata.tables["users"])
        try:
            flask_migrate.check(directory=str(folder))
            is_detected = False
        except SystemExit:
            is_detected = True
        assert is_detected == (db.engine.dialect.name == "postgresql"), f"POSTGRESQL_CHANGES[{number}]"


# end of part


def test_a_generated_migration_fixes_every_difference(
    app: Flask, users: Table, folder: Path, generated: Callable[[], None]
) -> None:
    with db.engine.begin() as connection:
        ann = {"username": "ann", "username_key": "ann", "password_hash": "x"}
        connection.execute(insert(models.User).values(ann))
    for change in TOGETHER:
        change(users)

    generated()
    flask_migrate.upgrade(directory=str(folder))
    flask_migrate.check(directory=str(folder))

    flask_migrate.downgrade(directory=str(folder))
    flask_migrate.upgrade(directory=str(folder))
    flask_migrate.check(directory=str(folder))
    with db.engine.connect() as connection:
        assert connection.scalar(select(users.c.username)) == "ann"


def test_a_migration_generated_on_postgresql_has_what_only_it_sees(
    app: Flask, users: Table, folder: Path, generated: Callable[[], None], request: pytest.FixtureRequest
) -> None:
    if "on sqlite" in request.node.name:  # part: sqlite
        pytest.skip("SQLite doesn't see them")  # part: sqlite
    for change in POSTGRESQL_CHANGES:
        change(users)

    generated()
    flask_migrate.upgrade(directory=str(folder))
    flask_migrate.check(directory=str(folder))
    flask_migrate.downgrade(directory=str(folder))
    flask_migrate.upgrade(directory=str(folder))
    flask_migrate.check(directory=str(folder))

    undo = copied()
    db.metadatas[None] = undo
    generated()
    flask_migrate.upgrade(directory=str(folder))
    flask_migrate.check(directory=str(folder))
    flask_migrate.downgrade(directory=str(folder))


def test_a_dropped_table_is_recreated(
    app: Flask, users: Table, folder: Path, generated: Callable[[], None]
) -> None:
    users.metadata.remove(users.metadata.tables["answers"])

    generated()
    flask_migrate.upgrade(directory=str(folder))
    flask_migrate.check(directory=str(folder))
    flask_migrate.downgrade(directory=str(folder))

    assert {each["name"] for each in inspect(db.engine).get_columns("answers")} >= {"user_id", "expires_at"}


def test_a_changed_index_is_replaced(
    app: Flask, users: Table, folder: Path, generated: Callable[[], None]
) -> None:
    index = Index(
        "ix_own",
        func.lower(users.c.username),
        sqlite_where=text("disabled"),  # part: sqlite
        postgresql_where=text("disabled"),
    )
    generated()
    flask_migrate.upgrade(directory=str(folder))
    users.indexes.remove(index)
    Index(
        "ix_own",
        func.lower(users.c.username),
        sqlite_where=text("NOT disabled"),  # part: sqlite
        postgresql_where=text("NOT disabled"),
    )
    with pytest.raises(SystemExit):
        flask_migrate.check(directory=str(folder))

    generated()
    flask_migrate.upgrade(directory=str(folder))

    flask_migrate.check(directory=str(folder))


def test_a_new_value_can_be_stored_after_its_migration(app: Flask, users: Table, folder: Path) -> None:
    add_a_role(users)
    astronaut = {"username": "m", "username_key": "m", "password_hash": "x", "role": "astronaut"}
    with pytest.raises(IntegrityError, match="ck_users_role"), db.engine.begin() as connection:
        connection.execute(insert(models.User).values(astronaut))

    flask_migrate.migrate(directory=str(folder), message="add moderators")
    flask_migrate.upgrade(directory=str(folder))

    with db.engine.begin() as connection:
        connection.execute(insert(models.User).values(astronaut))
