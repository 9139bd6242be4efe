"""Read-only copies of rows."""

from functools import cached_property
from typing import cast

import pytest
from sqlalchemy import String, Table, create_engine, insert, select
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, column_property, mapped_column, relationship

from app.blueprint import schemas
from app.model.list import MODELS
from app.model.models import Base, User
from app.model.snapshot import Snapshot, columns_of, snapshot_of


class Person(Base):
    """A model with everything that a model may have."""

    __tablename__ = "snapshot_people"

    name: Mapped[str] = mapped_column("called", String(20))
    town: Mapped[str | None] = mapped_column(String(20))
    shout = column_property(name + "!")
    friends: Mapped[list["Person"]] = relationship(
        primaryjoin="foreign(Person.town) == remote(Person.name)", viewonly=True
    )

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
def ann() -> Snapshot:
    engine = create_engine("sqlite://")
    PEOPLE.create(engine)
    columns = columns_of(Person)
    with engine.connect() as connection:
        connection.execute(insert(PEOPLE).values(called="ann", town=None))
        row = connection.execute(select(*columns.values())).one()
    engine.dispose()
    return snapshot_of(Person)(columns, row)


def test_a_snapshot_has_columns_properties_and_methods(ann: Person) -> None:
    assert (ann.name, ann.town, ann.shout) == ("ann", None, "ann!")
    assert (ann.label, ann.initial, ann.home) == ("ann of None", "a", "nowhere")
    assert ann.greet("bob") == "ann greets bob"


def test_a_snapshot_says_what_it_cannot_do(ann: Person) -> None:
    with pytest.raises(AttributeError, match=r"PersonSnapshot is read-only.*'town'.*lock\(id\)"):
        ann.town = "Bath"
    with pytest.raises(AttributeError, match=r"PersonSnapshot has no attribute 'friends'.*get\(id\)"):
        _ = ann.friends


def test_every_column_of_a_user_is_in_its_snapshot() -> None:
    assert set(User.__table__.columns.keys()) <= set(columns_of(User))


@pytest.mark.parametrize("schema", [schemas.Account, schemas.UserAccount])
def test_each_field_of_an_account_is_a_column_or_a_property_of_user(
    schema: type[schemas.StoredAnswer],
) -> None:
    missing = [
        name for name in schema.model_fields if name not in columns_of(User) and not hasattr(User, name)
    ]
    assert missing == [], f"Add these fields of schemas.{schema.__name__} to User in app/model/models.py"


def test_every_model_can_be_copied() -> None:
    for model in MODELS:
        assert issubclass(snapshot_of(model), Snapshot)
