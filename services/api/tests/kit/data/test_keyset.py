"""`read_page`: the pages contain every row once, for any sort, and all of them cost the same."""

import enum
import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import permutations, product
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import (
    Connection,
    Index,
    Integer,
    MetaData,
    String,
    delete,
    event,
    insert,
    select,
    text,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, column_property, mapped_column

from app.database import db
from kit.data.base import NAMING
from kit.data.column_types import UtcDateTime
from kit.data.keyset import Page, filtered, read_page
from kit.errors import InvalidCursor

MANY = 20_000


class Shelf(DeclarativeBase):
    """A separate base: the app's models are compared with the migrations."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: UtcDateTime()}


class Kind(enum.StrEnum):
    NOVEL = "novel"
    POEM = "poem"


class Book(Shelf):
    __tablename__ = "books_of_test_listing"
    # As the scaffolder generates them.
    __table_args__ = (Index("ix_rank", "rank", "id"), Index("ix_year", "year", "id"))

    id: Mapped[UUID] = mapped_column(primary_key=True)
    rank: Mapped[int]
    year: Mapped[int | None]
    place: Mapped[str | None] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(20), default=Kind.NOVEL)
    price: Mapped[float] = mapped_column(default=0)
    is_lent: Mapped[bool] = mapped_column(default=False)
    printed: Mapped[date] = mapped_column(default=date(2026, 11, 22))
    lent_at: Mapped[datetime] = mapped_column(default=datetime(2026, 11, 22, tzinfo=UTC))

    @hybrid_property
    def half(self) -> Any:
        return self.rank / 2

    @half.inplace.expression
    @classmethod
    def _half(cls) -> Any:
        return cls.rank.op("/", return_type=Integer())(2.0)

    @hybrid_property
    def decade(self) -> Any:
        return None if self.year is None else self.year // 10

    @decade.inplace.expression
    @classmethod
    def _decade(cls) -> Any:
        return cls.year.op("/", return_type=Integer())(10)  # integer division in both databases


Book.last_digit = column_property(Book.rank % 10 + 1)


def book(number: int, rank: int = 0, year: int | None = None, place: str | None = None, **more: Any) -> Book:
    return Book(id=UUID(int=number), rank=rank, year=year, place=place, **more)


@pytest.fixture
def shelf(app: Flask) -> Iterator[Connection]:
    """The table, in the transaction of the test."""
    with app.app_context():
        connection: Connection = db.session.connection()
        Shelf.metadata.create_all(connection)
        yield connection


def put(*books: Book) -> None:
    db.session.add_all(books)
    db.session.flush()


def page(sort: str, limit: int, after: list[Any] | None = None) -> Page[Book]:
    return read_page(db.session, select(Book), Book, sort, limit, after)


def pages(sort: str, limit: int) -> Iterator[list[Book]]:
    """Yield all pages. The position goes through JSON, as in a cursor."""
    after = None
    while True:
        found = page(sort, limit, after)
        yield found.rows
        if found.next_values is None:
            return
        after = json.loads(json.dumps(found.next_values))


def in_order(books: Sequence[Book], sort: str) -> list[Book]:
    """Sort in Python by each key, starting with the last, because sorts are stable. NULLs come last."""
    names = sort.split(",")
    ordered = sorted(books, key=lambda book: book.id, reverse=names[-1].startswith("-"))
    for name in reversed(names):
        key = name.removeprefix("-")
        nulls = [book for book in ordered if getattr(book, key) is None]
        rest = [book for book in ordered if getattr(book, key) is not None]
        rest.sort(key=lambda book, key=key: getattr(book, key), reverse=name.startswith("-"))  # type: ignore[misc]
        ordered = rest + nulls
    return ordered


KEYS = ["rank", "year", "place"]  # the last two can be NULL
SORTS = [
    ",".join(sign + key for sign, key in zip(signs, keys, strict=True))
    for count in (1, 2, 3)
    for keys in permutations(KEYS, count)
    for signs in product(["", "-"], repeat=count)
]


@pytest.mark.parametrize("key", KEYS)
def test_the_pages_contain_every_row_once_for_each_sort(shelf: Connection, key: str) -> None:
    books = [
        book(number, rank, year, place)
        for number, (rank, year, place) in enumerate(
            [
                (1, 1813, "a"), (1, None, "b"), (2, 1813, None), (2, None, None), (1, 1813, "b"),
                (1, 1813, "b"), (2, None, "a"), (3, 1851, "a"), (1, None, None), (2, None, None),
            ]
        )
    ]  # fmt: skip
    put(*books)
    sorts = [sort for sort in SORTS if sort.removeprefix("-").startswith(key)]
    assert len(sorts) == 26

    for sort in sorts:
        expected = [book.id.int for book in in_order(books, sort)]
        for limit in (1, 2, 3):
            found = [[book.id.int for book in rows] for rows in pages(sort, limit)]

            assert [number for rows in found for number in rows] == expected, (sort, limit)
            assert {len(rows) for rows in found[:-1]} <= {limit}
            assert 0 < len(found[-1]) <= limit


@pytest.mark.parametrize(
    "sort",
    [
        "decade",
        "-decade,rank",
        "rank,-decade",
        "last_digit,decade",
        "-last_digit",
        "is_lent,-rank",
        "rank,-is_lent",
        "-is_lent,year",
    ],
)
def test_a_list_is_sorted_by_computed_columns(shelf: Connection, sort: str) -> None:
    years = [1813, None, 1819, 1851, None, 1851, 1813]
    put(
        *(
            book(number, rank=number % 2, year=year, is_lent=number % 3 == 0)
            for number, year in enumerate(years)
        )
    )
    db.session.expire_all()

    for limit in (1, 2, 7):
        found = [each.id.int for rows in pages(sort, limit) for each in rows]

        assert found == [each.id.int for each in in_order(list(db.session.scalars(select(Book))), sort)]


def test_a_value_of_another_type_than_its_expression_is_refused(shelf: Connection) -> None:
    put(*(book(number, rank=number) for number in range(3)))

    with pytest.raises(TypeError, match=r"Book.half.*Integer.*0\.5.*cast\(..., Float\)"):
        list(pages("-half", 2))


def test_a_list_is_filtered_by_a_computed_column(shelf: Connection) -> None:
    put(book(1, year=1813), book(2, year=1851), book(3))

    found = db.session.scalars(filtered(select(Book), Book, {"decade__gte": 185}))

    assert [each.id.int for each in found] == [2]


VALUES: dict[str, list[Any]] = {
    "rank": [-(2**31), -1, 0, 2**31 - 1],
    "year": [-5, 0, 7, None, None],
    "place": ["", "a", "a b", "\u00e9", "\u65e5\u672c", "\U0001f600", "%", "'", '"', None],
    "kind": [Kind.NOVEL, Kind.POEM],
    "price": [-1.5, 0.1, 0.1 + 0.2, 0.3, 1e-300, 1e300, 5e-324],
    "is_lent": [False, True, True],
    "printed": [date(1, 1, 1), date(1813, 1, 28), date(9999, 12, 31)],
    "lent_at": [
        datetime(1813, 1, 28, tzinfo=UTC),
        datetime(2026, 11, 22, 8, 45, 28, 1, tzinfo=UTC),
        datetime(2026, 11, 22, 8, 45, 28, 2, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
}


@pytest.mark.parametrize("column", VALUES)
@pytest.mark.parametrize("sign", ["", "-"])
def test_a_page_can_start_after_any_value(shelf: Connection, column: str, sign: str) -> None:
    put(*[book(number, **{"rank": 0, column: value}) for number, value in enumerate(VALUES[column] * 2)])
    expected = [
        row.id for row in page(sign + column, 100).rows
    ]  # the database sorts text differently from Python
    db.session.expunge_all()

    found = list(pages(sign + column, 1))

    assert [row.id for rows in found for row in rows] == expected
    assert len(set(expected)) == 2 * len(VALUES[column])
    values = [getattr(rows[0], column) for rows in found]
    if column != "place":
        assert values == [
            getattr(row, column) for row in in_order([rows[0] for rows in found], sign + column)
        ]


@pytest.mark.parametrize("sort", ["rank", "-rank", "year", "-year", "year,rank", "-rank,year"])
def test_inserted_and_deleted_rows_do_not_shift_the_pages(shelf: Connection, sort: str) -> None:
    def year(number: int) -> int | None:
        return None if number % 3 == 0 else number % 7

    books = [book(number, number % 5, year(number)) for number in range(0, 40, 2)]
    put(*books)
    staying = [row.id.int for row in in_order(books, sort) if row.id.int % 8]
    found: list[int] = []
    after = None
    for number in range(
        1, 40, 2
    ):  # on each page, insert a row and delete the row that the next page starts after
        read = page(sort, 2, after)
        found += [row.id.int for row in read.rows]
        if read.next_values is None:
            break
        after = read.next_values
        if (last := read.rows[-1]).id.int % 8 == 0:
            db.session.execute(delete(Book).where(Book.id == last.id))
        put(book(number, number % 5, year(number)))

    assert [number for number in found if number in staying] == staying
    assert len(set(found)) == len(found)


def test_there_is_a_next_page_only_if_there_are_more_rows(shelf: Connection) -> None:
    assert page("rank", 3) == ([], "rank", None)
    put(*[book(number, number) for number in range(3)])
    assert (len(page("rank", 3).rows), page("rank", 3).next_values) == (3, None)
    assert (len(page("rank", 2).rows), page("rank", 2).next_values) == (2, [1, str(UUID(int=1))])
    assert page("rank", 2, [2, str(UUID(int=2))]) == ([], "rank", None)


@pytest.mark.parametrize(
    "place",
    [
        ["x", str(UUID(int=0))],
        [0, "x"],
        [0],
        [0, str(UUID(int=0)), 0],
        [[], str(UUID(int=0))],
        [{}, str(UUID(int=0))],
        [0, 0],
        [None, str(UUID(int=0))],
    ],
    ids=str,
)
def test_a_position_with_other_columns_is_refused(shelf: Connection, place: list[Any]) -> None:
    """A cursor that was signed before a column got another type."""
    put(book(1))

    with pytest.raises(InvalidCursor):
        page("rank", 1, place)


FILTERS: list[tuple[dict[str, Any], list[int]]] = [
    ({}, [1, 2, 3, 4]),
    ({"rank": 2}, [2, 3]),
    ({"rank__gte": 2}, [2, 3, 4]),
    ({"rank__gt": 2}, [4]),
    ({"rank__lte": 2}, [1, 2, 3]),
    ({"rank__lt": 2}, [1]),
    ({"rank__gte": 2, "rank__lt": 3}, [2, 3]),
    ({"year__lte": 1900}, [1, 3]),  # NULL doesn't match
    ({"rank": 2, "place": "100% b_c"}, [2]),
    ({"place__contains": "B_C"}, [2]),
    ({"place__contains": "%"}, [2]),
    ({"place__contains": "b"}, [2, 3]),
    ({"place__contains": "\\"}, [4]),
    ({"place__contains": "/"}, [3]),
    ({"place__contains": "//"}, []),
    ({"lent_at__gte": datetime(2026, 11, 22, 1, tzinfo=UTC)}, [4]),
    ({"is_lent": True}, [4]),
]


def test_filters_are_combined_with_and(shelf: Connection) -> None:
    later = datetime(2026, 11, 22, tzinfo=UTC) + timedelta(hours=1)
    put(
        book(1, 1, 1813, None),
        book(2, 2, None, "100% b_c"),
        book(3, 2, 1851, "bxc /"),
        book(4, 3, 2001, "\\", lent_at=later, is_lent=True),
    )

    found = [
        [row.id.int for row in db.session.scalars(filtered(select(Book), Book, conditions).order_by(Book.id))]
        for conditions, _ in FILTERS
    ]

    assert found == [expected for _, expected in FILTERS]


class Reading:
    """The database's plan of a page's statements, with the number of rows that they read."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.statements: list[tuple[str, Any]] = []
        event.listen(connection, "before_cursor_execute", self._remember)

    def _remember(self, _: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        if statement.startswith("SELECT"):
            self.statements.append((statement, parameters))

    def of(self, sort: str, limit: int, after: list[Any] | None) -> list[tuple[str, Any]]:
        self.statements.clear()
        assert len(page(sort, limit, after).rows) == limit
        return list(self.statements)

    def rows(self, sort: str, limit: int, after: list[Any] | None) -> int:
        """Return PostgreSQL's count."""
        return sum(
            _scanned(
                self.connection.exec_driver_sql(
                    f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters
                ).scalar_one()[0]["Plan"]
            )
            for statement, parameters in self.of(sort, limit, after)
        )

    # part: sqlite
    def steps(self, sort: str, limit: int, after: list[Any] | None) -> list[str]:
        """Return SQLite's plan."""
        return [
            str(row[-1])
            for statement, parameters in self.of(sort, limit, after)
            for row in self.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]

    # end of part


def _scanned(plan: dict[str, Any]) -> int:
    inner = sum(_scanned(part) for part in plan.get("Plans", ()))
    if "Plans" in plan:
        return inner
    return int(plan["Actual Rows"] * plan["Actual Loops"]) + int(plan.get("Rows Removed by Filter", 0))


# A position in the middle of the list. `year` has another one among its NULLs.
DEEP: list[tuple[str, list[Any]]] = [
    ("rank", [15_000, str(UUID(int=15_000))]),
    ("-rank", [5_000, str(UUID(int=5_000))]),
    ("rank,year", [15_000, None, str(UUID(int=15_000))]),
    ("-rank,place", [5_000, None, str(UUID(int=5_000))]),
    ("year", [7_500, str(UUID(int=7_500))]),
    ("-year", [2_500, str(UUID(int=2_500))]),
    ("year", [None, str(UUID(int=15_000))]),
    ("-year", [None, str(UUID(int=15_000))]),
]


def test_every_page_costs_the_same(shelf: Connection) -> None:
    rows = [
        {"id": UUID(int=number), "rank": number, "year": number if number < MANY // 2 else None}
        for number in range(MANY)
    ]
    shelf.execute(insert(Book), rows)
    shelf.execute(text(f"ANALYZE {Book.__tablename__}"))
    reading = Reading(shelf)

    for sort, place in DEEP:
        # part: sqlite
        if shelf.dialect.name == "sqlite":
            for step in reading.steps(sort, 20, place):
                # It sorts at most rows that are equal in the index. SQLite's wording depends on its version.
                assert re.search("^SEARCH|B-TREE FOR (LAST|RIGHT)", step), (sort, step)
            continue
        # end of part
        assert reading.rows(sort, 20, None) < 200, sort
        assert reading.rows(sort, 20, place) < 200, (sort, place)
