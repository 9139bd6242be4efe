"""Constraint violations are a 409 or 422, never a 500, on both databases."""

import logging
from collections.abc import Iterator
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import CheckConstraint, ForeignKey, MetaData, String, UniqueConstraint, delete, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.blueprint.schemas import UserAccountChange
from app.database import db
from app.model.models import Role, User
from kit.data.base import NAMING
from kit.data.violations import domain_error
from kit.errors import AlreadyExists, CallerGone, StillReferenced, UnknownReference, ValueRefused
from tests.support.people import People, Person
from tests.support.problems import errors, problem


class Yard(DeclarativeBase):
    """A separate base: the app's models are compared with the migrations."""

    metadata = MetaData(naming_convention=NAMING)


class Pen(Yard):
    __tablename__ = "pens_of_test_violations"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)


class Animal(Yard):
    __tablename__ = "animals_of_test_violations"
    __table_args__ = (
        UniqueConstraint("kind", "name"),
        CheckConstraint("legs >= 0", name="legs"),
        CheckConstraint("kind <> 'unicorn'", name="real"),
        CheckConstraint("legs < 1000 OR kind = name", name="several"),
        CheckConstraint(
            "kind IN ('cat', 'dog', 'unicorn', 'elephants')", name="kind", info={"columns": ["kind"]}
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    kind: Mapped[str] = mapped_column(String(8), default="cat")
    name: Mapped[str] = mapped_column(String(20))
    legs: Mapped[int] = mapped_column(default=4)
    pen_id: Mapped[UUID | None] = mapped_column(ForeignKey(Pen.id, ondelete="RESTRICT"))


class Plot(Yard):
    __tablename__ = "plots_of_test_violations"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    owner_id: Mapped[UUID] = mapped_column(ForeignKey(Pen.id))


@pytest.fixture
def yard(app: Flask) -> Iterator[None]:
    """The tables, in the transaction of the test."""
    with app.app_context():
        Yard.metadata.create_all(db.session.connection())
        # part: sqlite
        if db.engine.dialect.name == "sqlite":  # foreign keys are enabled only once for each connection
            db.session.execute(text("PRAGMA foreign_keys = ON"))
        # end of part
        yield


def refusal(statement: Any) -> Any:
    with pytest.raises((IntegrityError, DataError)) as refused:
        db.session.execute(statement)
    return domain_error(refused.value, Yard.metadata)


def refused_row(row: Any) -> Any:
    db.session.add(row)
    with pytest.raises((IntegrityError, DataError)) as refused:
        db.session.flush()
    return domain_error(refused.value, Yard.metadata)


@pytest.mark.parametrize(
    ("row", "kind", "field"),
    [
        ({"legs": -1}, ValueRefused, "legs"),
        ({"kind": "unicorn"}, ValueRefused, "kind"),
        ({"legs": 1000}, ValueRefused, ""),
        ({"kind": "bird"}, ValueRefused, "kind"),
        ({"name": None}, ValueRefused, "name"),
        ({"pen_id": UUID(int=1)}, UnknownReference, "pen_id"),
    ],
)
def test_a_violation_names_its_field(
    yard: None, row: dict[str, Any], kind: type[Exception], field: str
) -> None:
    error = refused_row(Animal(**{"name": "Tom"} | row))

    assert (type(error), error.field) == (kind, field)


def test_a_unique_violation_names_its_columns(yard: None) -> None:
    db.session.add(Animal(name="Tom"))
    db.session.flush()

    error = refused_row(Animal(name="Tom"))

    assert (type(error), error.field, error.fields) == (AlreadyExists, "name", ("kind", "name"))
    assert str(error) == "This combination of kind and name is already in use."


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ((), "This value is already in use."),
        (("isbn",), "This isbn is already in use."),
        (("owner_id", "book_id"), "The owner already has a row with this book id."),
        (
            ("owner_id", "book_id", "kind"),
            "The owner already has a row with this combination of book id and kind.",
        ),
        (("day", "room_id", "floor"), "This combination of day, room id and floor is already in use."),
    ],
)
def test_a_unique_violation_names_what_the_caller_chose(columns: tuple[str, ...], message: str) -> None:
    assert str(AlreadyExists(*columns)) == message


def test_a_deleted_owner_has_no_valid_token(yard: None) -> None:
    assert type(refused_row(Plot(owner_id=UUID(int=1)))) is CallerGone


def test_a_referenced_row_cannot_be_deleted(yard: None) -> None:
    db.session.add(pen := Pen())
    db.session.flush()
    db.session.add(Animal(name="Tom", pen_id=pen.id))
    db.session.flush()

    assert type(refusal(delete(Pen))) is StillReferenced


def test_a_text_too_long_for_its_column_is_refused(yard: None) -> None:
    if db.engine.dialect.name == "sqlite":  # part: sqlite
        pytest.skip("SQLite doesn't limit the length of a text")  # part: sqlite

    assert type(refused_row(Animal(name="Tom", kind="elephants"))) is ValueRefused


TRIGGER = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN RAISE EXCEPTION 'no more pens'; END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON pens_of_test_violations FOR EACH ROW EXECUTE FUNCTION refuse()
"""


def test_a_trigger_that_refuses_a_row_refuses_its_value(yard: None) -> None:
    if db.engine.dialect.name == "sqlite":  # part: sqlite
        pytest.skip("SQLite doesn't say that the message is a trigger's")  # part: sqlite
    db.session.execute(text(TRIGGER))

    db.session.add(Pen())
    with pytest.raises(DBAPIError) as refused:
        db.session.flush()

    error = domain_error(refused.value, Yard.metadata)
    assert type(error) is ValueRefused
    assert "no more pens" in error.reason


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT CAST('x' AS integer)",
        "SELECT CAST('2026-02-30' AS date)",
        "SELECT CAST(repeat('x', 9) AS integer)",
        "INSERT INTO wide SELECT string_agg(md5(random()::text), '') FROM generate_series(1, 9999)",
        "INSERT INTO apart VALUES (int4range(1, 5)), (int4range(2, 9))",
    ],
)
def test_other_data_errors_of_postgresql_are_client_errors(yard: None, statement: str) -> None:
    if db.engine.dialect.name == "sqlite":  # part: sqlite
        pytest.skip("of PostgreSQL")  # part: sqlite
    db.session.execute(text("CREATE TEMPORARY TABLE wide (name text UNIQUE)"))
    db.session.execute(
        text("CREATE TEMPORARY TABLE apart (span int4range, EXCLUDE USING gist (span WITH &&))")
    )

    with pytest.raises(DBAPIError) as refused:
        db.session.execute(text(statement))

    assert type(domain_error(refused.value, Yard.metadata)) in (ValueRefused, AlreadyExists)


def test_a_bug_is_not_reported_as_a_client_error(yard: None) -> None:
    if db.engine.dialect.name == "sqlite":  # part: sqlite
        pytest.skip("SQLite divides by zero to NULL")  # part: sqlite

    with pytest.raises(DBAPIError) as refused:
        db.session.execute(text("SELECT 1 / 0"))

    assert domain_error(refused.value, Yard.metadata) is None


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        ({"role": "astronaut"}, (422, "validation_failed")),
        ({"username_key": "ann"}, (409, "already_exists")),
        ({"username": None}, (422, "validation_failed")),
    ],
)
def test_a_view_without_a_repository_handles_violations(
    app: Flask, ann: Person, row: dict[str, Any], answer: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def add() -> str:
        new = {"username": "bob", "username_key": "bob", "password_hash": "x"} | row
        db.session.add(User(**new))
        db.session.commit()
        return ""

    monkeypatch.setitem(app.view_functions, "documentation.show_docs", add)  # not in the document

    assert problem(ann.client.get("/docs")) == answer


def test_a_refused_value_is_logged_with_its_constraint(
    app: Flask, people: People, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, bob = people("root", Role.ADMIN), people("bob")
    # As if a value had been added to the enum without a migration.
    Roles = StrEnum("Roles", ["user", "admin", "astronaut"])  # noqa: N806
    monkeypatch.setattr("app.blueprint.users.Role", Roles)
    monkeypatch.setattr(UserAccountChange.model_fields["role"], "metadata", [])
    UserAccountChange.model_rebuild(force=True)

    with caplog.at_level(logging.WARNING, "app.error"):
        response = root.patch(f"/users/{bob.id}", {"role": "astronaut"})
    monkeypatch.undo()
    UserAccountChange.model_rebuild(force=True)

    assert errors(response) == {("/role", "invalid_format")}
    assert any("ck_users_role" in message for message in caplog.messages)
