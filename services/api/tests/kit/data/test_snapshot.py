"""Read-only copies of rows."""

from functools import cached_property
from typing import TYPE_CHECKING, cast

import pytest
from sqlalchemy import String, Table, create_engine, insert, select
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, Session, column_property, mapped_column, relationship
from sqlalchemy.orm.exc import UnmappedInstanceError

from kit.data.base import Base
from kit.data.snapshot import columns_of, snapshot


class Named:
    """A mixin."""

    if TYPE_CHECKING:
        name: Mapped[str]

    @property
    def kind(self) -> str:
        return "named"

    def __str__(self) -> str:
        return f"Person {self.name}"


class Person(Named, Base):
    """A model with every kind of attribute."""

    __tablename__ = "snapshot_people"

    name: Mapped[str] = mapped_column("called", String(20))
    town: Mapped[str | None] = mapped_column(String(20))
    shout = column_property(name + "!")
    friends: Mapped[list["Person"]] = relationship(
        primaryjoin="foreign(Person.town) == remote(Person.name)", viewonly=True
    )

    @property
    def kind(self) -> str:
        return f"a {super().kind} person"

    @property
    def label(self) -> str:
        return f"{self.name} of {self.town}"

    @cached_property
    def initial(self) -> str:
        return self.name[0]

    @hybrid_property
    def home(self) -> str:
        return self.town or "nowhere"

    def greet(self, other: str) -> str:
        return f"{self.name} greets {other}"


PEOPLE = cast("Table", Person.__table__)
Base.metadata.remove(PEOPLE)  # the app has no such table


@pytest.fixture
def ann() -> Person:
    engine = create_engine("sqlite://")
    PEOPLE.create(engine)
    columns = columns_of(Person)
    with engine.connect() as connection:
        connection.execute(insert(PEOPLE).values(called="ann", town=None))
        row = connection.execute(select(*columns.values())).one()
    engine.dispose()
    return snapshot(Person, row)


def test_a_snapshot_has_columns_properties_and_methods(ann: Person) -> None:
    assert (ann.name, ann.town, ann.shout) == ("ann", None, "ann!")
    assert (ann.label, ann.initial, ann.home) == ("ann of None", "a", "nowhere")
    assert ann.greet("bob") == "ann greets bob"


def test_a_snapshot_is_an_instance_of_its_model(ann: Person) -> None:
    assert isinstance(ann, Person)
    assert str(ann) == "Person ann"
    assert ann.kind == "a named person"


def test_a_snapshot_is_read_only(ann: Person) -> None:
    read_only = pytest.raises(AttributeError, match=r"This Person is a read-only copy of its row.*lock\(id\)")
    with read_only:
        ann.town = "Bath"
    with read_only:
        del ann.town
    with pytest.raises(UnmappedInstanceError) as refused:
        _ = ann.friends
    assert "read-only" in str(refused.value.__cause__)
    with pytest.raises(AttributeError, match="'Person' object has no attribute 'twon'"):
        _ = ann.twon  # type: ignore[attr-defined]
    with Session() as session, pytest.raises(UnmappedInstanceError):
        session.add(ann)
    assert ann.town is None
