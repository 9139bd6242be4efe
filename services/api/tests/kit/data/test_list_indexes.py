"""Which lists the indexes of a table serve, and that these have the right rows in the right order."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import Connection, Index, MetaData, String, UniqueConstraint, event, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.database import db
from app.model.models import Role, User
from kit.data.base import NAMING, one_of, trigram_index
from kit.data.column_types import UtcDateTime
from kit.data.list_indexes import choices_of, filters_of, find_order, has_trigrams, indexes_of
from kit.data.resource_repository import ResourceRepository

LATER = "created_at", "id"


class Shop(DeclarativeBase):
    """A separate base: the app's models are compared with the migrations."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: UtcDateTime()}


class Item(Shop):
    __tablename__ = "items_of_test_list_indexes"
    __table_args__ = (
        Index(None, *LATER),
        Index(None, "price", *LATER),
        Index(None, "sold", *LATER),
        Index(None, "kind", *LATER),
        Index(None, "shop", "sold", *LATER),
        Index(None, "shop", "kind", "price", *LATER),
        Index(None, "weight", postgresql_where=text("weight > 5")),
        UniqueConstraint("code"),
        one_of("kind", Role),
        trigram_index("name"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))
    code: Mapped[int | None]
    kind: Mapped[str] = mapped_column(String(8))
    shop: Mapped[int]
    price: Mapped[int]
    sold: Mapped[int | None]
    weight: Mapped[int]
    created_at: Mapped[datetime]


SERVED: list[tuple[dict[str, Any], str, str]] = [
    ({}, "-created_at", "-created_at,-id"),
    ({}, "price", "price,created_at,id"),
    ({}, "-price,-created_at", "-price,-created_at,-id"),
    ({}, "price,price,-price", "price,created_at,id"),
    ({}, "sold", "sold,created_at,id"),
    ({"price": 3}, "created_at", "created_at,id"),
    ({"price": 3}, "-price", "-created_at,-id"),
    ({"price": 3, "price__gte": 2}, "created_at", "created_at,id"),
    ({"price__gte": 2, "price__lte": 4}, "-price", "-price,-created_at,-id"),
    ({"kind": "user"}, "-created_at", "-created_at,-id"),
    ({"kind__in": ["user", "admin"]}, "created_at", "created_at,id"),
    ({"kind__not": "admin"}, "-created_at", "-created_at,-id"),
    ({"sold__null": True}, "-created_at", "-created_at,-id"),
    ({"sold__null": False}, "sold", "sold,created_at,id"),
    ({"shop": 1}, "sold", "sold,created_at,id"),
    ({"shop": 1, "sold__null": True}, "created_at", "created_at,id"),
    ({"shop__in": [0, 2], "sold__null": True}, "created_at", "created_at,id"),
    ({"kind": "user", "shop": 1}, "-price", "-price,-created_at,-id"),
    ({"kind": "user", "shop": 1, "price__gte": 2}, "price", "price,created_at,id"),
    ({"kind__not": "admin", "shop": 1}, "price", "price,created_at,id"),
    ({"kind": "user", "shop__in": [0, 1, 2]}, "-price", "-price,-created_at,-id"),
    ({"code": 7}, "weight,-price", "weight,-price,id"),
    ({"code__in": [7, 8, 9], "weight__gte": 1}, "-weight", "-weight,id"),
    ({"name__contains": "ite"}, "-created_at", "-created_at,-id"),
]
NOT_SERVED: list[tuple[dict[str, Any], str]] = [
    ({}, "weight"),
    ({}, "created_at,price"),
    ({}, "price,-created_at"),
    ({}, "kind,price"),
    ({"weight": 6}, "created_at"),
    ({"price__gte": 2}, "created_at"),
    ({"sold__null": False}, "-created_at"),
    ({"price": 3, "kind": "user"}, "created_at"),
    ({"shop": 1}, "created_at"),
    ({"shop": 1}, "sold,created_at,weight"),
    ({"kind": "user", "shop": 1}, "created_at"),
    ({"kind__in": ["user"], "shop__in": [1]}, "price"),
    ({"kind__in": ["user"]}, "kind,created_at"),
    ({"price__gte": 2, "sold__gte": 1}, "price"),
    ({"code__null": True}, "created_at"),
]


@pytest.mark.parametrize(("conditions", "sort", "order"), SERVED, ids=str)
def test_an_index_serves_a_list(conditions: dict[str, Any], sort: str, order: str) -> None:
    found = find_order(Item, filters_of(conditions), sort)

    assert found
    assert found.sort == order


@pytest.mark.parametrize(("conditions", "sort"), NOT_SERVED, ids=str)
def test_no_index_serves_a_list(conditions: dict[str, Any], sort: str) -> None:
    assert find_order(Item, filters_of(conditions), sort) is None


def test_the_columns_that_the_view_fixes_are_part_of_the_index() -> None:
    assert find_order(Item, filters_of({}, ("shop",)), "sold")
    assert find_order(Item, filters_of({}, ("shop",)), "created_at") is None
    assert find_order(Item, filters_of({"kind": "user"}, ("shop",)), "price")


def test_only_indexes_on_plain_columns_count() -> None:
    assert ("weight",) not in indexes_of(Item)
    assert ("name",) not in indexes_of(Item)
    assert has_trigrams(Item, "name")
    assert not has_trigrams(Item, "kind")


def test_the_choices_of_a_column_are_known() -> None:
    assert choices_of(User, "role") == [role.value for role in Role]
    assert choices_of(User, "username") == []


@pytest.fixture
def items(app: Flask) -> Iterator[list[Item]]:
    with app.app_context():
        connection: Connection = db.session.connection()
        if connection.dialect.name == "postgresql":
            connection.execute(text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
        Shop.metadata.create_all(connection)
        start = datetime(2026, 11, 22, tzinfo=UTC)
        rows = [
            Item(
                id=UUID(int=number * 7919 % 1009),
                name=f"Item {number}",
                code=number if number % 3 else None,
                kind=["user", "admin", "user"][number % 3],
                shop=number % 4,
                price=number * 5 % 7,
                sold=None if number % 5 == 0 else number % 4,
                weight=number % 11,
                created_at=start + timedelta(seconds=number // 3),
            )
            for number in range(80)
        ]
        db.session.add_all(rows)
        db.session.flush()
        yield rows


class Items(ResourceRepository[Item]):  # type: ignore[type-var]  # not on the app's Base
    model = Item


def matches(item: Item, conditions: Mapping[str, Any]) -> bool:
    tests: dict[str, Callable[[Any, Any], bool]] = {
        "": lambda value, given: value == given,
        "in": lambda value, given: value in given,
        "not": lambda value, given: value != given,
        "null": lambda value, given: (value is None) == given,
        "gte": lambda value, given: value >= given,
        "lte": lambda value, given: value <= given,
        "contains": lambda value, given: given in value.lower(),
    }
    parts = [(*condition.partition("__"), given) for condition, given in conditions.items()]
    return all(tests[operator](getattr(item, name), given) for name, _, operator, given in parts)


def pages(conditions: Mapping[str, Any], sort: str, limit: int) -> Iterator[list[Item]]:
    """Yield all pages. The position goes through JSON, as in a cursor."""
    after = None
    while True:
        page = Items(db.session).page(sort, conditions, limit, after)
        yield page.rows
        if page.next_values is None:
            return
        after = json.loads(json.dumps(page.next_values))


@pytest.mark.parametrize(("conditions", "sort", "order"), SERVED, ids=str)
def test_the_pages_of_a_served_list_contain_every_row_once(
    items: list[Item], conditions: dict[str, Any], sort: str, order: str
) -> None:
    expected = [item for item in items if matches(item, conditions)]
    for key in reversed(order.split(",")):
        name, descending = key.removeprefix("-"), key.startswith("-")
        given = [item for item in expected if getattr(item, name) is not None]
        without = [item for item in expected if getattr(item, name) is None]
        expected = sorted(given, key=attrgetter(name), reverse=descending) + without
    assert expected

    for limit in (1, 2, 7, 100):
        found = list(pages(conditions, sort, limit))

        assert [item.id.int for rows in found for item in rows] == [item.id.int for item in expected]
        assert {len(rows) for rows in found[:-1]} <= {limit}


def test_a_filter_without_any_possible_value_finds_nothing(items: list[Item]) -> None:
    assert items
    assert list(pages({"kind__in": ["none"]}, "created_at", 5)) == [[]]


IN_ORDER = [
    (conditions, sort) for conditions, sort, _ in SERVED if not {"code", "code__in"} & set(conditions)
]


@pytest.mark.parametrize(("conditions", "sort"), IN_ORDER, ids=str)
@pytest.mark.usefixtures("items")
def test_a_served_list_is_read_in_the_order_of_an_index(conditions: dict[str, Any], sort: str) -> None:
    """With a million rows, and PostgreSQL's own choice: proof/plans."""
    connection = db.session.connection()
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off"))

    for statement, parameters in statements_of(connection, conditions, sort):
        plan = "\n".join(
            str(row[-1])
            for row in connection.exec_driver_sql(
                f"{EXPLAIN[connection.dialect.name]} {statement}", parameters
            )
        )
        assert not re.search(r"Seq Scan|Sort|SCAN items\S*$|USE TEMP B-TREE", plan), plan


EXPLAIN = {
    "postgresql": "EXPLAIN",
    "sqlite": "EXPLAIN QUERY PLAN",  # part: sqlite
}


def statements_of(connection: Connection, conditions: Mapping[str, Any], sort: str) -> list[tuple[str, Any]]:
    """Return the statements that read the first page. Several values are merged, so take one."""
    found: list[tuple[str, Any]] = []

    def remember(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        found.append((statement, parameters))

    one = {each: value[:1] if each.endswith("__in") else value for each, value in conditions.items()}
    event.listen(connection, "before_cursor_execute", remember)
    next(pages(one, sort, 100))
    event.remove(connection, "before_cursor_execute", remember)
    return found
