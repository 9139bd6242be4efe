"""Ranges, enum values and defaults of fields, as people type them."""

import ast
from typing import Any

import pytest

from tools.scaffold.arguments import members_of, written
from tools.scaffold.ranges import outside
from tools.scaffold.resource import Resource, parse_field
from tools.scaffold.views import FieldView, ResourceView


def field(spec: str) -> FieldView:
    resource = Resource("book", "books", "public", False, (parse_field(spec, "books"),))
    return ResourceView(resource, {}).fields[0]


@pytest.mark.parametrize(
    ("spec", "condition", "schema"),
    [
        ("rating:int(1..5)", "rating BETWEEN 1 AND 5", "Annotated[int, *integer(1, 5)]"),
        ("rating:int(0..)", "rating >= 0", "Annotated[int, *integer(0)]"),
        ("rating:int(..9)", "rating <= 9", "Annotated[int, *integer(most=9)]"),
        ("rating:int(3..3)", "rating = 3", "Annotated[int, *integer(3, 3)]"),
        ("order:int(1..5)", '"order" BETWEEN 1 AND 5', "Annotated[int, *integer(1, 5)]"),
        ("share:float(0..1)", "share BETWEEN 0.0 AND 1.0", "Annotated[float, *number(0.0, 1.0)]"),
        ("price:decimal(9,2,0..)", "price >= 0.00", 'Annotated[Decimal, *amount(9, 2, "0.00")]'),
        ("price:decimal(9,2,..5)", "price <= 5.00", 'Annotated[Decimal, *amount(9, 2, most="5.00")]'),
        ("day:date(2000-01-01..)", "day >= '2000-01-01'", 'Annotated[date, *day("2000-01-01")]'),
        (
            "title:str(3..200)",
            "length(title) BETWEEN 3 AND 200",
            "Annotated[Line, StringConstraints(min_length=3, max_length=200)]",
        ),
        (
            "note:text(..500)",
            "length(note) <= 500",
            "Annotated[LongText, StringConstraints(max_length=500)]",
        ),
    ],
)
def test_a_range_is_a_check_and_a_limit_of_the_schema(spec: str, condition: str, schema: str) -> None:
    view = field(spec)

    assert (view.check, view.schema) == (condition, schema)


@pytest.mark.parametrize(
    "spec",
    [
        "n:int(1..5)", "n:int(0..)", "n:int(..100)", "n:int(3..3)", "n:int(-2147483648..-2147483640)",
        "n:int(2147483600..)", "n:int(..-2147483640)", "n:float(0..1)", "n:float(2..2)", "n:float(..-1)",
        "n:decimal(10,2,0..)", "n:decimal(4,2,0.05..0.07)", "n:decimal(3,1,..-99)", "n:decimal(2,1,9.9..)",
        "n:date(2000-01-01..2000-01-03)", "n:date(..0001-01-02)", "n:date(9999-12-31..)", "n:str(3..3)",
        "n:str(50..60)", "n:str(2..255)", "n:text(1..5)", "n:text(5..5)", "n:text(..500)", "n:text(9000..)",
    ],
)  # fmt: skip
def test_the_values_of_factories_and_examples_are_in_the_range(spec: str) -> None:
    view = field(spec)
    names: dict[str, Any] = {}
    exec("from datetime import date, timedelta\nfrom decimal import Decimal", names)

    values = [eval(view.factory_value, names | {"number": number}) for number in range(1, 300)]

    read = {"decimal": names["Decimal"], "date": names["date"].fromisoformat, "str": len, "text": len}
    measure = read.get(view.type, lambda value: value)
    for value in [*values, view.example]:
        assert view.range.contains(measure(value)), value
    assert (
        len(set(values)) > 1 or view.range.least == view.range.most or spec.endswith(("9.9..)", "12-31..)"))
    )
    for value, _ in outside(view.type, view.range, view.arguments):
        assert not view.range.contains(measure(value)), value


def test_enum_values_can_be_any_text() -> None:
    values = (
        "novel",
        "Science Fiction",
        "a, b",
        "100%",
        "C++",
        "C--",
        "it's",
        'a "b"',
        "(x)",
        "a:b",
        "日本",
        "+",
    )

    parsed = parse_field(f"genre:enum({written(values)})=a, b", "books")

    assert (parsed.arguments, parsed.default) == (values, "a, b")
    assert list(members_of(values)) == [
        "NOVEL", "SCIENCE_FICTION", "A_B", "_100", "C", "C_2", "IT_S", "A_B_2", "X", "A_B_3", "日本",
        "PLUS_SIGN",
    ]  # fmt: skip
    assert all(name.isidentifier() for name in members_of(values))


@pytest.mark.parametrize(
    ("spec", "default"),
    [
        ("active:bool=yes", True),
        ("active:bool=OFF", False),
        ("price:decimal(10,2)=9.5", "9.50"),
        ("price:decimal(10,2)=-1e1", "-10.00"),
        ("count:int=1_000", 1000),
        ("count:int=-5", -5),
        ("ratio:float=1e3", 1000.0),
        ("day:date=2026-01-02", "2026-01-02"),
        ("due:datetime=2026-01-02", "2026-01-02T00:00:00Z"),
        ("due:datetime=2026-01-02T10:00:00+02:00", "2026-01-02T08:00:00Z"),
        ('title:str(50)=it\'s 100% "ok" ü', 'it\'s 100% "ok" ü'),
        ("note:text=", ""),
    ],
)
def test_defaults_are_read_as_people_type_them(spec: str, default: object) -> None:
    assert parse_field(spec, "books").default == default


@pytest.mark.parametrize(
    ("spec", "function"),
    [("day:date=today", "today"), ("due:datetime=now", "now"), ("code:uuid^=random", "uuid4")],
)
def test_a_default_can_be_computed_for_each_row(spec: str, function: str) -> None:
    view = field(spec)

    assert view.column_arguments.endswith(f"default={function}")
    assert view.body_default == f" = Field(default_factory={function})"
    ast.parse(view.column_arguments.join(("f(", ")")))
