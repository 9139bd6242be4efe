"""The types of fields, and how each appears in the model, the schemas, a migration and a test."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from math import isfinite

from kit.web.fields import decimal_form, email, url


@dataclass(frozen=True)
class Kind:
    """A type of field.

    In the templates, `{0}` and `{1}` are its arguments: 10 and 2 in decimal(10,2). `Field.fill` has the other
    placeholders.
    """

    python: str  # the type in the model
    column: str  # SQLAlchemy's type in the model
    migration_type: str  # SQLAlchemy's type in a migration
    schema: str  # the type in bodies and queries
    parse_default: Callable[..., object]  # takes the text and the arguments; raises ValueError
    value: str  # an expression for the factory: a JSON value that differs for each `number`
    example: object
    invalid: tuple[tuple[object, str], ...]  # invalid JSON values, each with its error code
    operators: tuple[str, ...] = ("",)  # of the filters of a list; "" is equality
    is_sortable: bool = False
    can_be_unique: bool = True
    can_have_default: bool = True
    query: str = ""  # the type in queries, if it differs
    parameters: tuple[tuple[int, int], ...] = ()  # minimum and maximum of each argument


ORDERED = ("", "gte", "lte")
INVALID_TEXT = ((5, "wrong_type"), ("", "too_short"), ("a\0b", "invalid_format"))


def _bool(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError
    return text == "true"


def _matching(pattern: str) -> Callable[..., str]:
    def read(text: str, *_: object) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError
        return text

    return read


def _unchanged(text: str, *_: object) -> str:
    return text


def _date(text: str) -> str:
    return date.fromisoformat(text).isoformat()


def _int(text: str) -> int:
    if not -(2**31) <= int(text) < 2**31:
        raise ValueError
    return int(text)


def _float(text: str) -> float:
    if not isfinite(float(text)):
        raise ValueError
    return float(text)


def _decimal(text: str, digits: int, places: int) -> str:
    if not re.fullmatch(decimal_form(digits, places), text, re.ASCII):
        raise ValueError
    return f"{Decimal(text):.{places}f}"


KINDS = {
    "str": Kind(
        "str",
        "String({0})",
        "sa.String(length={0})",
        "Annotated[Line, StringConstraints(max_length={0})]",
        _matching(r"[^\x00-\x1f\x7f-\x9f]+"),
        'f"{name} {number}"[-{0}:]',
        "Example {words}",
        (*INVALID_TEXT, ("x" * 256, "too_long")),
        is_sortable=True,
        parameters=((1, 255),),  # an index entry has at most 2,700 bytes
    ),
    "text": Kind(
        "str",
        "Text",
        "sa.Text()",
        "LongText",
        _matching(r"[^\x00-\x1f\x7f-\x9f]*"),
        'f"{name} {number}\\nand another line"',
        "Example {words}\nwith several lines",
        ((5, "wrong_type"), ("a\0b", "invalid_format"), ("x" * 10_001, "too_long")),
        operators=(),
        can_be_unique=False,
    ),
    "int": Kind(
        "int",
        "Integer",
        "sa.Integer()",
        "Integer",
        _int,
        "number",
        3,
        (("3", "wrong_type"), (1.5, "wrong_type"), (2**31, "too_large"), (-(2**31) - 1, "too_small")),
        operators=ORDERED,
        is_sortable=True,
    ),
    "decimal": Kind(
        "Decimal",
        "Amount({0}, {1})",
        "sa.Numeric({0}, {1})",
        "Annotated[Decimal, *amount({0}, {1})]",
        _decimal,
        'f"{number % 10:.{1}f}"',
        "5",
        (
            (5, "wrong_type"),
            ("five", "invalid_format"),
            ("1" * 20, "invalid_format"),
            ("NaN", "invalid_format"),
        ),
        operators=ORDERED,
        is_sortable=True,
        can_be_unique=False,
        parameters=((1, 15), (0, 14)),
    ),
    "float": Kind(
        "float",
        "Float",
        "sa.Float()",
        "Number",
        _float,
        "number + 0.5",
        1.5,
        (("1.5", "wrong_type"), (True, "wrong_type")),
        operators=("gte", "lte"),
        is_sortable=True,
        can_be_unique=False,
    ),
    "bool": Kind(
        "bool",
        "Boolean",
        "sa.Boolean()",
        "bool",
        _bool,
        "number % 2 == 0",
        True,
        (("true", "wrong_type"), (1, "wrong_type")),
        can_be_unique=False,
        query="Flag",
    ),
    "date": Kind(
        "date",
        "Date",
        "sa.Date()",
        "Date",
        _date,
        'f"2026-01-{number % 28 + 1:02}"',
        "2026-11-22",
        ((20261122, "wrong_type"), ("2026-02-30", "invalid_format"), ("22.11.2026", "invalid_format")),
        operators=ORDERED,
        is_sortable=True,
        can_be_unique=False,
    ),
    "datetime": Kind(
        "datetime",
        "UtcDateTime",
        "sa.DateTime(timezone=True)",
        "DateTime",
        str,
        'f"2026-01-{number % 28 + 1:02}T08:45:00Z"',
        "2026-11-22T08:45:00Z",
        (
            (1, "wrong_type"),
            ("2026-11-22T08:45:00", "invalid_format"),
            ("0001-01-01T00:00:00+14:00", "invalid_format"),
        ),
        operators=ORDERED,
        is_sortable=True,
        can_be_unique=False,
        can_have_default=False,
    ),
    "uuid": Kind(
        "UUID",
        "Uuid",
        "sa.Uuid()",
        "Reference",
        str,
        "str(UUID(int=number))",
        "8b2f9e0c-3c53-4c35-9a7c-1f2f6ad2f9a1",
        ((1, "wrong_type"), ("8b2f9e0c3c534c359a7c1f2f6ad2f9a1", "invalid_format")),
        can_have_default=False,
    ),
    "enum": Kind(
        "str",
        "String({longest})",
        "sa.String(length={longest})",
        "Annotated[str, *value_of({enum})]",
        _unchanged,
        "[{choices}][number % {count}]",
        "{choice}",
        ((5, "wrong_type"), ("not a choice", "invalid_format")),
        can_be_unique=False,
    ),
    "json": Kind(
        "Any",
        "JSON(none_as_null=True)",
        "sa.JSON()",
        "Json",
        str,
        '{"number": number}',
        {"key": ["value"]},
        (({"key": "a\0b"}, "invalid_format"),),
        operators=(),
        can_be_unique=False,
        can_have_default=False,
    ),
    "email": Kind(
        "str",
        "String(254)",
        "sa.String(length=254)",
        "Email",
        email,
        'f"ann-{number}@example.com"',
        "ann@example.com",
        (
            (5, "wrong_type"),
            ("ann", "invalid_format"),
            ("a..b@example.com", "invalid_format"),
            ("ann@example.com\n", "invalid_format"),
        ),
        is_sortable=True,
    ),
    "url": Kind(
        "str",
        "String(2000)",
        "sa.String(length=2000)",
        "Url",
        url,
        'f"https://example.com/{number}"',
        "https://example.com/",
        (
            (5, "wrong_type"),
            ("javascript:alert(1)", "invalid_format"),
            ("https://example.com/ ", "invalid_format"),
        ),
    ),
    "file": Kind(
        "",
        "",
        "",
        "",
        str,
        "",
        None,
        (),
        operators=(),
        can_be_unique=False,
        can_have_default=False,
    ),
    "ref": Kind(
        "UUID",
        "Uuid",
        "sa.Uuid()",
        "Reference",
        str,
        "",
        "8b2f9e0c-3c53-4c35-9a7c-1f2f6ad2f9a1",
        ((1, "wrong_type"), ("8b2f9e0c3c534c359a7c1f2f6ad2f9a1", "invalid_format")),
        can_have_default=False,
    ),
}
