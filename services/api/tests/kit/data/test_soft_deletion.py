"""Soft deletion: deleted rows stay in the table, but nothing lists, finds or refers to them."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Blueprint, Flask
from sqlalchemy import URL, Column, ForeignKey, Index, MetaData, String, Table, func, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from app.database import db
from kit.clock import now
from kit.data import soft_deletion
from kit.data.base import NAMING
from kit.data.column_types import UtcDateTime
from kit.data.list_indexes import indexes_of
from kit.data.resource_repository import ResourceRepository
from kit.data.soft_deletion import ONLY_LIVE, SoftDeletion, purge
from kit.errors import AlreadyExists, DomainError, StillReferenced, UnknownReference
from tests.support.concurrency import at_once
from tests.support.extended_app import delete_all_rows, extended_app

blueprint = Blueprint("harbors", __name__)


class Sea(DeclarativeBase):
    """A separate base: the app's models are compared with the migrations."""

    metadata = MetaData(naming_convention=NAMING)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class Harbor(SoftDeletion, Sea):
    __tablename__ = "harbors_of_test_soft_deletion"
    __table_args__ = (
        Index(None, "name", unique=True, **ONLY_LIVE),
        Index(None, "created_at", "id", **ONLY_LIVE),
    )


class Ship(SoftDeletion, Sea):
    __tablename__ = "ships_of_test_soft_deletion"

    harbor_id: Mapped[UUID] = mapped_column(ForeignKey(Harbor.id, ondelete="RESTRICT"))


class Pier(SoftDeletion, Sea):
    __tablename__ = "piers_of_test_soft_deletion"

    harbor_id: Mapped[UUID] = mapped_column(ForeignKey(Harbor.id, ondelete="CASCADE"))


class Buoy(SoftDeletion, Sea):
    __tablename__ = "buoys_of_test_soft_deletion"

    after_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("buoys_of_test_soft_deletion.id", ondelete="CASCADE")
    )


class Lamp(SoftDeletion, Sea):
    __tablename__ = "lamps_of_test_soft_deletion"

    pier_id: Mapped[UUID] = mapped_column(ForeignKey(Pier.id, ondelete="CASCADE"))
    harbor_id: Mapped[UUID | None] = mapped_column(ForeignKey(Harbor.id, ondelete="CASCADE"))
    lamp_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("lamps_of_test_soft_deletion.id", ondelete="CASCADE")
    )
    painter_id: Mapped[UUID | None] = mapped_column(ForeignKey(Buoy.id, ondelete="SET NULL"))


class Crane(Sea):
    __tablename__ = "cranes_of_test_soft_deletion"

    harbor_id: Mapped[UUID] = mapped_column(ForeignKey(Harbor.id, ondelete="CASCADE"))


class Load(Sea):
    __tablename__ = "loads_of_test_soft_deletion"

    crane_id: Mapped[UUID] = mapped_column(ForeignKey(Crane.id, ondelete="RESTRICT"))


class Visitor(Sea):
    __tablename__ = "visitors_of_test_soft_deletion"

    harbor_id: Mapped[UUID | None] = mapped_column(ForeignKey(Harbor.id, ondelete="SET NULL"))
    harbor: Mapped[Harbor | None] = relationship()


chart_harbors = Table(
    "chart_harbors_of_test_soft_deletion",
    Sea.metadata,
    Column("chart_id", ForeignKey("charts_of_test_soft_deletion.id", ondelete="CASCADE"), primary_key=True),
    Column("harbor_id", ForeignKey(Harbor.id, ondelete="CASCADE"), primary_key=True),
)


class Chart(Sea):
    __tablename__ = "charts_of_test_soft_deletion"

    harbors: Mapped[list[Harbor]] = relationship(
        secondary=chart_harbors,
        viewonly=True,
        lazy="selectin",
        order_by=Harbor.id,
        info={"ids": "harbor_ids"},
    )

    @property
    def harbor_ids(self) -> list[UUID]:
        return [harbor.id for harbor in self.harbors]


@pytest.fixture(scope="module")
def sea(migrated_app: Flask, database_url: URL) -> Iterator[Flask]:
    with extended_app(database_url, blueprint, Sea.metadata) as app:
        yield app


@pytest.fixture
def app(sea: Flask) -> Iterator[Flask]:
    with sea.app_context():
        yield sea
        db.session.rollback()
    delete_all_rows(sea, Sea.metadata)


def rows(model: Any) -> ResourceRepository[Any]:
    repository: ResourceRepository[Any] = ResourceRepository(db.session)
    repository.model = model
    return repository


def add(model: Any, name: str = "Kiel", **fields: Any) -> Any:
    row = rows(model).add(model(name=name, **fields))
    db.session.commit()
    return row


def delete(row: Any) -> None:
    assert rows(type(row)).delete(rows(type(row)).find_locked(row.id))
    db.session.commit()


def names(model: Any) -> list[str]:
    page = rows(model).page("-created_at", {}, 10, None)
    return [row.name for row in page.rows]


def stored(model: Any) -> int:
    return db.session.scalar(select(func.count()).select_from(model.__table__)) or 0


@pytest.mark.usefixtures("app")
def test_a_deleted_row_stays_in_the_table_but_is_not_found() -> None:
    kiel, _ = add(Harbor), add(Harbor, "Bergen")

    delete(kiel)

    assert rows(Harbor).get(kiel.id) is None
    assert rows(Harbor).lock(kiel.id) is None
    assert names(Harbor) == ["Bergen"]
    assert stored(Harbor) == 2


@pytest.mark.usefixtures("app")
def test_a_unique_value_can_be_used_again_but_then_the_row_is_not_restored() -> None:
    kiel = add(Harbor)
    delete(kiel)
    add(Harbor)

    with pytest.raises(AlreadyExists) as refused:
        rows(Harbor).restore(kiel.id)
    assert refused.value.field == "name"


@pytest.mark.usefixtures("app")
def test_a_live_row_that_refers_to_it_prevents_a_deletion() -> None:
    kiel = add(Harbor)
    ship = add(Ship, harbor_id=kiel.id)

    with pytest.raises(StillReferenced):
        rows(Harbor).delete(rows(Harbor).find_locked(kiel.id))
    db.session.rollback()

    delete(ship)
    delete(kiel)
    with pytest.raises(UnknownReference):
        rows(Ship).restore(ship.id)


@pytest.mark.usefixtures("app")
def test_rows_that_refer_to_it_with_cascade_are_deleted_and_restored_with_it() -> None:
    kiel = add(Harbor)
    before, _ = add(Pier, "before", harbor_id=kiel.id), add(Pier, "with", harbor_id=kiel.id)
    delete(before)

    delete(kiel)
    assert names(Pier) == []

    assert rows(Harbor).restore(kiel.id)
    assert not rows(Harbor).restore(kiel.id)
    assert names(Pier) == ["with"]


@pytest.mark.usefixtures("app")
def test_rows_that_refer_to_each_other_are_restored_together() -> None:
    kiel = add(Harbor)
    pier = add(Pier, harbor_id=kiel.id)
    first = add(Lamp, "first", pier_id=pier.id, harbor_id=kiel.id)
    add(Lamp, "second", pier_id=pier.id, lamp_id=first.id)
    delete(kiel)

    assert rows(Harbor).restore(kiel.id)

    assert sorted(names(Lamp)) == ["first", "second"]


@pytest.mark.usefixtures("app")
def test_a_cycle_of_rows_and_a_row_that_refers_to_itself_are_restored() -> None:
    one = add(Buoy, "one")
    two, own = add(Buoy, "two", after_id=one.id), add(Buoy, "own")
    rows(Buoy).update(one, {"after_id": two.id})
    rows(Buoy).update(own, {"after_id": own.id})
    db.session.commit()
    for row in (one, own):
        delete(row)

    assert rows(Buoy).restore(two.id)
    assert rows(Buoy).restore(own.id)

    assert sorted(names(Buoy)) == ["one", "own", "two"]


@pytest.mark.usefixtures("app")
def test_rows_that_refer_to_another_deleted_row_stay_deleted() -> None:
    kiel, bergen = add(Harbor), add(Harbor, "Bergen")
    pier = add(Pier, harbor_id=kiel.id)
    dark = add(Lamp, "dark", pier_id=pier.id, harbor_id=bergen.id)
    darker, _ = add(Lamp, "darker", pier_id=pier.id, lamp_id=dark.id), add(Lamp, "lit", pier_id=pier.id)
    for row in (kiel, bergen):
        delete(row)

    restored = soft_deletion.restore(db.session, Harbor.__table__, [kiel.id])  # type: ignore[arg-type]

    assert restored.kept == sorted((Lamp.__tablename__, row.id) for row in (dark, darker))
    assert (names(Pier), names(Lamp)) == (["Kiel"], ["lit"])
    with pytest.raises(UnknownReference) as refused:
        rows(Lamp).restore(darker.id)
    assert refused.value.field == "lamp_id"
    assert rows(Harbor).restore(bergen.id)
    assert rows(Lamp).restore(dark.id)
    assert rows(Lamp).count({}) == 3


@pytest.mark.usefixtures("app")
def test_a_restored_row_may_refer_to_a_deleted_one_with_set_null() -> None:
    painter = add(Buoy)
    lamp = add(Lamp, pier_id=add(Pier, harbor_id=add(Harbor).id).id, painter_id=painter.id)
    for row in (lamp, painter):
        delete(row)

    assert rows(Lamp).restore(lamp.id)

    assert rows(Lamp).find(lamp.id).painter_id == painter.id


@pytest.mark.usefixtures("app")
def test_a_long_chain_of_rows_is_deleted_and_restored_with_its_first_row() -> None:
    ids = [uuid4() for _ in range(600)]
    pairs = zip(ids, [None, *ids], strict=False)
    db.session.execute(insert(Buoy), [{"id": id, "name": "buoy", "after_id": after} for id, after in pairs])
    db.session.commit()

    delete(rows(Buoy).find(ids[0]))

    assert rows(Buoy).count({}) == 0
    rows(Buoy).restore(ids[0])
    assert rows(Buoy).count({}) == 600


@pytest.mark.usefixtures("app")
def test_rows_are_deleted_and_restored_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soft_deletion, "BATCH", 10)
    kiel = add(Harbor)
    db.session.execute(insert(Pier), [{"name": "pier", "harbor_id": kiel.id} for _ in range(25)])
    db.session.commit()

    delete(kiel)

    assert rows(Pier).count({}) == 0
    rows(Harbor).restore(kiel.id)
    assert rows(Pier).count({}) == 25


@pytest.mark.usefixtures("app")
def test_nothing_can_refer_to_a_deleted_row() -> None:
    kiel, bergen = add(Harbor), add(Harbor, "Bergen")
    visitor = add(Visitor, harbor_id=bergen.id)
    delete(kiel)

    for change in (
        lambda: rows(Visitor).add(Visitor(name="Ann", harbor_id=kiel.id)),
        lambda: rows(Visitor).update(visitor, {"harbor_id": kiel.id}),
    ):
        with pytest.raises(UnknownReference) as refused:
            change()
        assert refused.value.field == "harbor_id"
        db.session.rollback()


@pytest.mark.usefixtures("app")
def test_a_relationship_leaves_out_a_deleted_row() -> None:
    kiel = add(Harbor)
    visitor = add(Visitor, harbor_id=kiel.id)
    delete(kiel)

    found = rows(Visitor).page("-created_at", {}, 10, None, ["harbor"]).rows

    assert [(each.harbor_id, each.harbor) for each in found] == [(kiel.id, None)]
    rows(Visitor).update(visitor, {"harbor_id": kiel.id, "name": "Ann"})  # the same reference as before


@pytest.mark.usefixtures("app")
@pytest.mark.parametrize("is_changed", [False, True])
def test_a_restored_row_is_linked_again_unless_the_list_was_replaced(is_changed: bool) -> None:
    kiel, bergen = add(Harbor), add(Harbor, "Bergen")
    chart = rows(Chart).add(Chart(name="North"), harbor_ids=[kiel.id, bergen.id])
    db.session.commit()
    delete(kiel)

    found = rows(Chart).find_locked(chart.id)
    assert found.harbor_ids == [bergen.id]
    rows(Chart).update(found, {"harbor_ids": [] if is_changed else [bergen.id]})
    rows(Harbor).restore(kiel.id)
    db.session.commit()

    expected = [] if is_changed else sorted([kiel.id, bergen.id])
    assert rows(Chart).find_locked(chart.id).harbor_ids == expected


@pytest.mark.usefixtures("app")
def test_old_deleted_rows_are_purged_with_referring_rows_first() -> None:
    kiel, bergen, oslo = add(Harbor), add(Harbor, "Bergen"), add(Harbor, "Oslo")
    ship = add(Ship, harbor_id=kiel.id)
    visitor = add(Visitor, harbor_id=bergen.id)
    for row in (ship, kiel, bergen):
        delete(row)

    assert list(purge(db.session, Sea.metadata, now() - timedelta(days=1))) == []
    purged = dict(purge(db.session, Sea.metadata, now() + timedelta(days=1), limit=1))
    db.session.commit()

    assert sorted(purged) == ["harbors_of_test_soft_deletion", "ships_of_test_soft_deletion"]
    assert (stored(Harbor), stored(Ship)) == (1, 0)
    assert names(Harbor) == [oslo.name]
    assert db.session.scalar(select(Visitor.harbor_id).where(Visitor.id == visitor.id)) is None


@pytest.mark.usefixtures("app")
def test_a_row_to_which_a_row_still_refers_is_not_purged() -> None:
    kiel = add(Harbor)
    delete(add(Ship, harbor_id=kiel.id))
    delete(kiel)
    db.session.execute(Ship.__table__.update().values(deleted_at=now() + timedelta(days=9)))  # type: ignore[attr-defined]

    assert list(purge(db.session, Sea.metadata, now() + timedelta(days=1))) == []


@pytest.mark.usefixtures("app")
def test_a_row_that_cannot_be_purged_does_not_keep_others() -> None:
    harbors = [add(Harbor, name) for name in ("Kiel", "Bergen", "Oslo", "Riga")]
    for harbor in harbors[:2]:
        add(Load, crane_id=add(Crane, harbor_id=harbor.id).id)
    for harbor in harbors:
        delete(harbor)

    assert sum(count for _, count in purge(db.session, Sea.metadata, now() + timedelta(days=1), limit=3)) == 2
    db.session.commit()

    left = db.session.scalars(select(Harbor.name)).all()
    assert sorted(left) == ["Bergen", "Kiel"]
    assert (stored(Crane), stored(Load)) == (2, 2)


def test_a_deletion_and_a_new_reference_at_once_never_both_succeed(app: Flask) -> None:
    kiel = add(Harbor)
    id = kiel.id
    db.session.remove()

    def delete_harbor() -> str:
        rows(Harbor).delete(rows(Harbor).find_locked(id))
        db.session.commit()
        return "deleted"

    def add_ship() -> str:
        rows(Ship).add(Ship(name="Gorch", harbor_id=id))
        db.session.commit()
        return "added"

    def run(work: Callable[[], str]) -> Any:
        with app.app_context():
            try:
                return work()
            except DomainError as error:
                db.session.rollback()
                return type(error).__name__

    for _ in range(5):
        results: Any = at_once(lambda: run(delete_harbor), lambda: run(add_ship))
        assert sorted(results) in (["StillReferenced", "added"], ["UnknownReference", "deleted"])
        db.session.execute(Ship.__table__.delete())  # type: ignore[attr-defined]
        db.session.execute(Harbor.__table__.update().values(deleted_at=None))  # type: ignore[attr-defined]
        db.session.commit()


@pytest.mark.any_database
@pytest.mark.usefixtures("app")
def test_an_index_of_live_rows_serves_lists() -> None:
    assert indexes_of(Harbor) == [("created_at", "id"), ("id",), ("name",)]
