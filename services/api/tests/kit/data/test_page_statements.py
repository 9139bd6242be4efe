"""The statements of pages are kept without their values: each page has the rows that its request asks for."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from flask import Flask
from sqlalchemy import Index, MetaData, Select, String, func, select
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.database import db
from kit.clock import now
from kit.data.base import NAMING
from kit.data.column_types import Amount, UtcDateTime
from kit.data.keyset import filtered
from kit.data.page_statements import kept_statements
from kit.data.resource_repository import ResourceRepository

ANN, BOB = uuid4(), uuid4()


class Cellar(DeclarativeBase):
    """A separate base: the app's models are compared with the migrations."""

    metadata = MetaData(naming_convention=NAMING)


class Wine(Cellar):
    __tablename__ = "wines_of_test_page_statements"
    __table_args__ = (
        Index(None, "owner_id", "created_at", "id"),
        Index(None, "owner_id", "grape", "created_at", "id"),
        Index(None, "owner_id", "year", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    owner_id: Mapped[UUID]
    grape: Mapped[str] = mapped_column(String(20))
    year: Mapped[int | None]
    price: Mapped[Decimal] = mapped_column(Amount(10, 2))
    weight: Mapped[float]
    opened: Mapped[bool]
    bought: Mapped[date]
    seller: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)

    @hybrid_property
    def is_past(self) -> bool:
        return self.created_at <= now()

    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class WineRepository(ResourceRepository[Wine]):  # type: ignore[type-var]  # not on the app's Base
    model = Wine


SELLERS = [UUID(int=number) for number in range(3)]
GRAPES = ["gamay", '100% "o\'k"', "日本"]


@pytest.fixture
def wines(app: Flask) -> Iterator[list[Wine]]:
    """Rows of two owners, with each combination of some values."""
    with app.app_context():
        Cellar.metadata.create_all(db.session.connection())
        rows = [
            Wine(
                owner_id=(ANN, BOB)[number % 2],
                grape=GRAPES[number % 3],
                year=[1999, 2005, None][number // 2 % 3],
                price=Decimal(number) / 4,
                weight=number / 8,
                opened=number % 5 == 0,
                bought=date(2026, 1, 1 + number % 4),
                seller=SELLERS[number // 3 % 3],
                created_at=datetime(2026, 11, 22, number // 4, tzinfo=UTC),
            )
            for number in range(36)
        ]
        db.session.add_all(rows)
        db.session.flush()
        yield rows


def ids(wines: ResourceRepository[Any], conditions: dict[str, Any], sort: str, limit: int = 4) -> list[UUID]:
    """Return the ids on all pages."""
    found: list[UUID] = []
    after = None
    while True:
        page = wines.page(sort, conditions, limit, after)
        found += [row.id for row in page.rows]
        if page.next_values is None:
            return found
        after = page.next_values


# Each column has filters of the same shape with different values.
FILTERS: list[dict[str, Any]] = [
    *({"grape": grape} for grape in GRAPES),
    *({"grape__not": grape} for grape in GRAPES),
    *({"grape__in": grapes} for grapes in (GRAPES[:2], GRAPES[1:], GRAPES, ["none"], [GRAPES[0]] * 3)),
    *({"grape__contains": part} for part in ("gam", "%", "本")),
    *({"year": year} for year in (1999, 2005, None)),
    *({"year__null": is_null} for is_null in (True, False)),
    *({"year__gte": year, "year__lt": 2005} for year in (1999, 2001)),
    *({"price__gt": price} for price in (Decimal("1.25"), Decimal(2))),
    *({"weight__lte": weight} for weight in (0.5, 1, 3.25)),
    *({"opened": opened} for opened in (True, False)),
    *({"bought": day} for day in (date(2026, 1, 1), date(2026, 1, 3))),
    *({"created_at__gte": datetime(2026, 11, 22, hour, tzinfo=UTC)} for hour in (2, 5)),
    *({"created_at__gte": func.coalesce(None, time)} for time in (datetime(2026, 11, 22, 2, tzinfo=UTC),)),
    *({"seller": seller} for seller in SELLERS),
    *({"seller__in": sellers} for sellers in (SELLERS[:2], SELLERS[1:])),
]


@pytest.mark.any_database
@pytest.mark.parametrize("sort", ["-created_at", "year", "-year,grape", "grape,-year", "price"])
def test_each_filter_finds_the_rows_of_its_own_values(wines: list[Wine], sort: str) -> None:
    for owner in (ANN, BOB, None):
        for conditions in FILTERS:
            every = filtered(select(Wine.id), Wine, conditions)
            expected = db.session.scalars(every.where(Wine.owner_id == owner) if owner else every).all()

            found = ids(WineRepository(db.session, owner), conditions, sort)

            assert sorted(found) == sorted(expected), (owner, conditions)


@pytest.mark.any_database
def test_a_subset_has_the_rows_with_its_own_values(wines: list[Wine]) -> None:
    for values in ({"grape": GRAPES[0]}, {"grape": GRAPES[1]}, {"year": 1999}, {"year": None}):
        for opened in (True, False):
            expected = [
                row.id
                for row in wines
                if row.owner_id == ANN
                and row.opened is opened
                and all(getattr(row, name) == value for name, value in values.items())
            ]
            subset = WineRepository(db.session, ANN).filter_by(**values)

            assert sorted(ids(subset, {"opened": opened}, "-created_at")) == sorted(expected)


def misses() -> int:
    return kept_statements.cache_info().misses


def test_lists_of_one_shape_share_their_statements(wines: list[Wine]) -> None:
    kept_statements.cache_clear()

    for owner, grape, limit in ((ANN, "gamay", 1), (BOB, "日本", 2), (BOB, "none", 3)):
        WineRepository(db.session, owner).page("-created_at", {"grape": grape}, limit, None)

    assert misses() == 1


@pytest.mark.parametrize(
    "conditions",
    [{"grape__contains": "gam"}, {"created_at__gte": func.now()}, {"grape__in": select(Wine.grape)}],
)
def test_a_statement_that_contains_a_value_is_not_kept(wines: list[Wine], conditions: dict[str, Any]) -> None:
    kept_statements.cache_clear()

    WineRepository(db.session, ANN).page("price", conditions, 10, None)

    assert misses() == 0


class RecentWines(WineRepository):
    """Has its own rows, as a repository of the app may."""

    since = 0

    def rows(self) -> Select[Any]:
        return super().rows().where(Wine.year >= self.since)


def test_a_repository_with_its_own_rows_lists_only_those(wines: list[Wine]) -> None:
    recent = RecentWines(db.session, ANN)

    for recent.since in (1999, 2005, 2010):
        expected = [row.id for row in wines if row.owner_id == ANN and (row.year or 0) >= recent.since]

        assert sorted(ids(recent, {"opened__null": False}, "-created_at")) == sorted(expected)


def test_a_computed_filter_is_computed_for_each_page(wines: list[Wine]) -> None:
    repository = WineRepository(db.session, ANN)
    middle = sorted(wine.created_at for wine in wines)[len(wines) // 2]

    found = []
    for time in (middle, middle + timedelta(days=1)):
        with time_machine.travel(time, tick=False):
            found.append(len(repository.page("-created_at", {"is_past": True}, 100, None).rows))

    own = [wine for wine in wines if wine.owner_id == ANN]
    assert found == [sum(wine.created_at <= middle for wine in own), len(own)]


def test_no_value_or_a_tuple_of_values_can_be_given(wines: list[Wine]) -> None:
    repository = WineRepository(db.session, ANN)

    def of_grapes(grapes: Sequence[str]) -> set[str]:
        page = repository.page("-created_at", {"grape__in": grapes}, 100, None)
        return {wine.grape for wine in page.rows}

    assert of_grapes([]) == set()
    assert of_grapes(("gamay",)) == {"gamay"}
    assert repository.filter_by(grape__in=[]).page("-created_at", {}, 100, None).rows == []
