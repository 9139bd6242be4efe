"""SELECTs that go straight to the driver give the same rows and errors as those of SQLAlchemy."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask, g
from sqlalchemy import (
    Connection,
    Engine,
    ForeignKey,
    MetaData,
    Select,
    String,
    Text,
    bindparam,
    event,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship

from app.database import db
from app.model.models import User
from app.model.user_repository import UserRepository
from kit.data import snapshot
from kit.data.base import NAMING
from kit.data.column_types import Amount, UtcDateTime
from kit.data.kept_statement import KeptStatement
from kit.data.resource_repository import ResourceRepository
from tests.support.people import People


class Garage(DeclarativeBase):
    """A separate base: the app's models are compared with the migrations."""

    metadata = MetaData(naming_convention=NAMING)


class Car(Garage):
    __tablename__ = "cars_of_test_kept_statement"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(String(20))
    seats: Mapped[int | None] = mapped_column(onupdate=lambda: 5)
    price: Mapped[Decimal | None] = mapped_column(Amount(10, 2))
    weight: Mapped[float | None]
    electric: Mapped[bool | None]
    built: Mapped[date | None]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Key(Garage):
    __tablename__ = "keys_of_test_kept_statement"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    car_id: Mapped[UUID] = mapped_column(ForeignKey(Car.id))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    car: Mapped[Car] = relationship()


class Manual(Garage):
    __tablename__ = "manuals_of_test_kept_statement"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    text: Mapped[str] = mapped_column(Text, deferred=True)


class CarRepository(ResourceRepository[Car]):  # type: ignore[type-var]  # not on the app's Base
    model = Car


class KeyRepository(ResourceRepository[Key]):  # type: ignore[type-var]
    model = Key


TIME = datetime(2026, 11, 27, 12, 30, 15, 999, tzinfo=UTC)
CARS = [
    Car(id=UUID(int=1), name="100% \"o'k\"", seats=5, price=Decimal("1.50"), weight=0.1, electric=True,
        built=date(2026, 2, 28), created_at=TIME),
    Car(id=UUID(int=2), name="日本", seats=None, price=None, weight=None, electric=None, built=None,
        created_at=TIME),
]  # fmt: skip


@pytest.fixture
def connection(app: Flask) -> Iterator[Connection]:
    """The connection of the session, with cars."""
    with app.app_context():
        Garage.metadata.create_all(db.session.connection())
        for car in CARS:
            db.session.merge(car)
        db.session.flush()
        yield db.session.connection()


def by_name() -> Select[Any]:
    return select(*Car.__table__.columns).where(Car.name == bindparam("name"))


@pytest.mark.parametrize("car", CARS, ids=["values", "NULLs"])
def test_a_row_has_the_values_that_sqlalchemy_reads(connection: Connection, car: Car) -> None:
    query = KeptStatement(by_name())

    first, again = (query.all(connection, {"name": car.name}) for _ in range(2))

    expected = connection.execute(by_name(), {"name": car.name}).one()
    assert [tuple(row) for row in first] == [tuple(row) for row in again] == [tuple(expected)]
    assert [type(value) for value in again[0]] == [type(value) for value in expected]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (Car.id, UUID(int=1)),
        (Car.name, '100% "o\'k"'),
        (Car.price, Decimal("1.5")),
        (Car.electric, True),
        (Car.built, date(2026, 2, 28)),
        (Car.created_at, TIME.astimezone(timezone(timedelta(hours=9)))),
    ],
)
def test_a_value_is_compared_as_sqlalchemy_compares_it(
    connection: Connection, column: Any, value: object
) -> None:
    statement = select(Car.id).where(column == bindparam("value"), Car.seats == 5)

    assert KeptStatement(statement).first(connection, {"value": value}) is not None


def test_no_row_is_none(connection: Connection) -> None:
    assert KeptStatement(by_name()).first(connection, {"name": "none"}) is None


@pytest.mark.parametrize("given", [{}, {"other": "Emma"}])
def test_a_missing_value_is_an_error(connection: Connection, given: dict[str, str]) -> None:
    with pytest.raises((StatementError, KeyError)):
        KeptStatement(by_name()).all(connection, given)


def test_a_statement_that_depends_on_its_values_has_the_same_rows(connection: Connection) -> None:
    some = KeptStatement(select(Car.id).where(Car.name.in_(["日本", "none"])))

    assert [tuple(row) for row in some.all(connection, {})] == [(UUID(int=2),)]


def test_a_value_that_sqlalchemy_computes_is_written(connection: Connection) -> None:
    touched = update(Car).where(Car.name == "日本").values(name=bindparam("new")).returning(Car.seats)

    assert KeptStatement(touched).first(connection, {"new": "Emma"}) == (5,)


def test_a_parameter_that_is_called_has_its_present_value(connection: Connection) -> None:
    wanted = ["日本"]
    query = KeptStatement(select(Car.id).where(Car.name == bindparam("name", callable_=lambda: wanted[0])))

    first = query.first(connection, {})
    wanted[0] = CARS[0].name

    assert (first, query.first(connection, {})) == ((UUID(int=2),), (UUID(int=1),))


def test_a_connection_that_was_closed_is_an_error_of_sqlalchemy(committed_app: Flask) -> None:
    with committed_app.app_context(), db.engine.connect() as connection:
        connection.connection.dbapi_connection.close()  # type: ignore[union-attr]

        with pytest.raises(DBAPIError):
            KeptStatement(select(literal_column("1"))).all(connection, {})


def test_an_error_is_that_of_sqlalchemy(connection: Connection) -> None:
    wrong = select(Car.id).where(Car.name == bindparam("name"), literal_column("no_such_column") == 1)
    values = {"name": "Emma"}

    with pytest.raises(DBAPIError) as raised, connection.begin_nested():
        KeptStatement(wrong).all(connection, values)

    with pytest.raises(type(raised.value)) as expected, connection.begin_nested():
        connection.execute(wrong, values)
    assert str(raised.value) == str(expected.value)
    assert connection.scalar(text("SELECT 1")) == 1


def test_a_broken_connection_is_replaced(committed_app: Flask) -> None:
    query = KeptStatement(select(literal_column("1")))
    with committed_app.app_context():
        engine = db.engine
        if engine.dialect.name == "sqlite":  # part: sqlite
            pytest.skip("SQLite has no connection that can break")  # part: sqlite
        with engine.connect() as connection:
            server = connection.scalar(text("SELECT pg_backend_pid()"))
            with engine.connect() as other:
                other.execute(text("SELECT pg_terminate_backend(:server)"), {"server": server})
            with pytest.raises(DBAPIError) as raised:
                query.all(connection, {})

        assert raised.value.connection_invalidated
        with engine.connect() as connection:
            assert query.all(connection, {}) == [(1,)]


@pytest.mark.parametrize(
    "name", ["before_execute", "after_execute", "before_cursor_execute", "after_cursor_execute"]
)
def test_a_listener_is_called(connection: Connection, name: str) -> None:
    seen: list[object] = []
    query = KeptStatement(by_name())

    def note(*arguments: object) -> None:
        seen.append(arguments)

    event.listen(connection, name, note)
    query.all(connection, {"name": "日本"})
    event.remove(connection, name, note)
    query.all(connection, {"name": "日本"})

    assert len(seen) == 1


def test_a_listener_of_the_engine_is_called(connection: Connection) -> None:
    seen: list[object] = []
    engine: Engine = connection.engine.execution_options(is_read_only=True)  # a separate engine

    event.listen(engine, "before_execute", lambda *arguments: seen.append(arguments))
    with engine.connect() as observed:
        KeptStatement(select(literal_column("1"))).all(observed, {})

    assert len(seen) == 1


def test_the_schema_of_the_connection_is_used(connection: Connection) -> None:
    elsewhere = connection.execution_options(schema_translate_map={None: "nowhere"})

    with pytest.raises(DBAPIError, match="nowhere"), connection.begin_nested():
        KeptStatement(by_name()).all(elsewhere, {"name": "Emma"})


def test_the_statement_is_in_the_log_of_the_engine(
    connection: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    engine: Engine = connection.engine.execution_options(is_read_only=True)
    query = KeptStatement(by_name())

    query.all(connection, {"name": "日本"})
    with caplog.at_level("INFO", "sqlalchemy.engine.Engine"), engine.connect() as observed:
        KeptStatement(select(literal_column("'observed'"))).all(observed, {})

    assert ["observed" in record.getMessage() for record in caplog.records].count(True) == 1


def test_a_list_has_read_only_copies(connection: Connection) -> None:
    page = CarRepository(db.session).page("-created_at", {}, 20, None)

    assert [row.name for row in page.rows] == ["日本", '100% "o\'k"']
    assert not any(row in db.session for row in page.rows if hasattr(row, "_sa_instance_state"))
    with pytest.raises(AttributeError):
        page.rows[0].name = "new"


def test_rows_of_a_list_are_changed_behind_their_locks(connection: Connection) -> None:
    cars = CarRepository(db.session)

    for each in cars.page("-created_at", {}, 20, None).rows:
        car = cars.lock(each.id)
        if car:
            car.price = Decimal(0)
    db.session.commit()

    assert set(db.session.scalars(select(Car.price))) == {Decimal(0)}


def test_a_list_has_changes_that_are_not_flushed(connection: Connection) -> None:
    car = db.session.get_one(Car, UUID(int=2))
    car.name = "changed"

    page = CarRepository(db.session).page("-created_at", {}, 20, None)

    assert page.rows[0].name == "changed"


def test_a_list_in_a_transaction_has_its_changes(committed_app: Flask) -> None:
    with committed_app.app_context():
        ann = User(username="ann", username_key="ann", password_hash="none", role="user")
        UserRepository(db.session).add(ann)

        page = UserRepository(db.session).page("-created_at", {}, 20, None)

        assert [user.username for user in page.rows] == ["ann"]
        db.session.rollback()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_only_a_view_that_reads_lists_without_a_transaction(committed_app: Flask, method: str) -> None:
    with committed_app.test_request_context(method=method):
        g.is_read_only = method == "GET"

        page = UserRepository(db.session).page("-created_at", {}, 20, None)

        assert page.rows == []
        assert db.session().in_transaction() == (method == "POST")


def test_a_list_of_a_model_with_relationships_can_read_them(connection: Connection) -> None:
    db.session.add(Key(car_id=UUID(int=1), created_at=TIME))

    page = KeyRepository(db.session).page("-created_at", {}, 20, None)

    assert page.rows[0].car.seats == 5


def test_a_hook_of_the_session_filters_a_list(connection: Connection) -> None:
    session: Session = db.session()

    def only_with_seats(state: Any) -> None:
        state.statement = state.statement.where(Car.seats.is_not(None))

    event.listen(session, "do_orm_execute", only_with_seats)
    page = CarRepository(session).page("-created_at", {}, 20, None)
    event.remove(session, "do_orm_execute", only_with_seats)

    assert [row.seats for row in page.rows] == [5]


@pytest.mark.parametrize("name", ["after_begin", "loaded_as_persistent"])
def test_a_listener_of_the_session_is_called_for_a_list(
    committed_app: Flask, password_hash: Any, name: str
) -> None:
    People(committed_app, password_hash)("ann")
    calls: list[object] = []

    def note(*arguments: object) -> None:
        calls.append(arguments)

    with committed_app.test_request_context():
        g.is_read_only = True
        session: Session = db.session()
        event.listen(session, name, note)
        UserRepository(session).page("-created_at", {}, 20, None)

    assert calls


def test_a_column_that_is_loaded_later_is_not_in_a_list(connection: Connection) -> None:
    assert snapshot.is_plain(Car)  # type: ignore[arg-type]
    assert not snapshot.is_plain(Manual)  # type: ignore[arg-type]


def test_a_model_that_is_told_of_its_loading_is_not_copied() -> None:
    def note(*_: object) -> None:
        pass

    assert snapshot.is_plain(Car)  # type: ignore[arg-type]
    event.listen(Car, "load", note)
    is_plain = snapshot.is_plain(Car)  # type: ignore[arg-type]
    event.remove(Car, "load", note)

    assert not is_plain
