"""Ranges of values, such as `1..5` in `int(1..5)`, and how each appears in the generated code."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any

from kit.data.base import sql_name, sql_text
from kit.web.fields import FLOATS, INTEGERS

ENOUGH = 100  # values of a unique field, so that the generated tests don't run out of them
LONGEST_TEXT = 10_000
FORMS = {
    "int": "int(1..5), int(1..) or int(..5)",
    "float": "float(0..1), float(0..) or float(..1)",
    "decimal": "decimal(10,2,0..100), decimal(10,2,0..) or decimal(10,2,..100)",
    "date": "date(2000-01-01..2099-12-31), date(2000-01-01..) or date(..2099-12-31)",
    "str": "str(200) or str(3..200)",
    "text": "text(1..500), text(1..) or text(..500)",
}  # the types that can have a range
LENGTHS = ("str", "text")


@dataclass(frozen=True)
class Range:
    """The minimum and maximum of a value, or of its length. `None` means no limit."""

    least: Any = None
    most: Any = None

    def contains(self, value: Any) -> bool:
        return not (self.is_below(value) or self.is_above(value))

    def is_below(self, value: Any) -> bool:
        return self.least is not None and bool(value < self.least)

    def is_above(self, value: Any) -> bool:
        return self.most is not None and bool(value > self.most)


def parse_range(text: str, type_: str, places: int = 0) -> Range:
    """Parse a range such as `1..5`. Raises ArithmeticError or ValueError."""
    least, dots, most = (part.strip() for part in text.partition(".."))
    if not dots or not (least or most):
        raise ValueError("write it with two dots")

    def read(limit: str) -> Any:
        return _value(limit, type_, places) if limit else None

    found = Range(read(least), read(most))
    if found.least is not None and found.is_above(found.least):
        raise ValueError("the first limit is greater than the second")
    return found


def check_digits(range_: Range, arguments: Sequence[int]) -> None:
    """Raise ValueError if a limit has more digits than the values of a decimal."""
    digits, places = arguments
    for limit in (range_.least, range_.most):
        if limit is not None and abs(limit) >= Decimal(10) ** (digits - places):
            raise ValueError(f"the limits can have {digits - places} digits before the point")


def _value(text: str, type_: str, places: int) -> Any:
    if type_ == "date":
        return date.fromisoformat(text)
    if type_ == "float":
        if not isfinite(float(text)) or abs(float(text)) > FLOATS:
            raise ValueError("the limits must be numbers")
        return float(text)
    if type_ == "decimal":
        value = Decimal(text)
        if value != round(value, places):
            raise ValueError(f"the limits can have {places} decimal places")
        return round(value, places)
    if not -INTEGERS <= int(text) < INTEGERS:
        raise ValueError("a limit is out of range")
    return int(text)


def value_of(json_value: Any, type_: str) -> Any:
    """Return a JSON value of a field as what its range limits."""
    if json_value is None:
        return None
    readers: dict[str, Any] = {"date": date.fromisoformat, "decimal": Decimal, "str": len, "text": len}
    return readers.get(type_, lambda value: value)(json_value)


def condition(column: str, type_: str, range_: Range) -> str:
    """Return the condition of the CHECK constraint."""
    name = sql_name(column)
    left = f"length({name})" if type_ in LENGTHS else name
    least, most = (_sql(limit) for limit in (range_.least, range_.most))
    if least and most:
        return f"{left} = {least}" if least == most else f"{left} BETWEEN {least} AND {most}"
    return f"{left} >= {least}" if least else f"{left} <= {most}"


def schema(type_: str, range_: Range, arguments: tuple[Any, ...]) -> str:
    """Return the type in the schemas."""
    least, most = range_.least, range_.most
    if type_ in LENGTHS:
        limits = [f"min_length={least}"] * bool(least) + [f"max_length={most}"] * (most is not None)
        base = "Line" if type_ == "str" else "LongText"
        return f"Annotated[{base}, StringConstraints({', '.join(limits)})]"
    function, python = {
        "int": ("integer", "int"), "float": ("number", "float"), "decimal": ("amount", "Decimal"),
        "date": ("day", "date"),
    }[type_]  # fmt: skip
    given = [str(argument) for argument in arguments]
    given += [_python(least)] * (least is not None)
    given += [_python(most) if least is not None else f"most={_python(most)}"] * (most is not None)
    return f"Annotated[{python}, *{function}({', '.join(given)})]"


def edges(type_: str, range_: Range) -> list[Any]:
    """Return the JSON values at the limits."""
    limits = [limit for limit in dict.fromkeys((range_.least, range_.most)) if limit is not None]
    if type_ in LENGTHS:
        return ["x" * limit for limit in limits]
    return [_json(limit) for limit in limits]


def outside(type_: str, range_: Range, arguments: tuple[Any, ...]) -> list[tuple[Any, str]]:
    """Return the JSON values just outside of the limits, each with its error code."""
    least, most = range_.least, range_.most
    if type_ in LENGTHS:
        short = [("x" * (least - 1), "too_short")] if least else []
        return short + ([("x" * (most + 1), "too_long")] if most is not None else [])
    step: Any = timedelta(days=1) if type_ == "date" else _step(arguments) if type_ == "decimal" else 1
    found = []
    if least is not None and (type_ != "date" or least > date.min):
        found.append((_json(least - step), "too_small"))
    if most is not None and (type_ != "date" or most < date.max):
        found.append((_json(most + step), "too_large"))
    if type_ == "decimal":  # a value with more digits has another error
        largest = _largest(arguments)
        found = [(value, code) for value, code in found if abs(Decimal(value)) <= largest]
    return found


def count_of(type_: str, range_: Range) -> int | None:
    """Return how many values an integer can have, or None if there are very many."""
    if type_ != "int" or range_.least is None or range_.most is None:
        return None
    return int(range_.most - range_.least) + 1


def expression(type_: str, range_: Range, arguments: tuple[Any, ...], name: str) -> str:
    """Return an expression for the factory: a JSON value within the range that depends on `number`."""
    least, most = range_.least, range_.most
    if type_ == "str":
        digits = max((least or 0) - len(name) - 1, 1)
        shown = f":0{digits}" if digits > 1 else ""
        return f'f"{name} {{number{shown}}}"[-{most}:]'
    if type_ == "text":
        if most is not None and most < len(name) + 40:
            return f'f"{{number:0{least or 1}}}"[-{most}:]'
        text = f'f"{name} {{number}}\\nand another line"'
        return f'{text}.ljust({least}, ".")' if (least or 0) > len(name) + 19 else text
    writers: dict[str, Callable[[], str]] = {
        "int": lambda: _integers(least, most),
        "float": lambda: _floats(least, most),
        "decimal": lambda: _decimals(range_, arguments),
        "date": lambda: _dates(range_),
    }
    return writers[type_]()


def example(type_: str, range_: Range, usual: Any) -> Any:
    """Return an example within the range, the usual one if possible."""
    if type_ in LENGTHS:
        return usual.ljust(range_.least or 0, "x")[: range_.most]
    if range_.contains(value_of(usual, type_)):
        return usual
    return _json(range_.least if range_.least is not None else range_.most)


def _integers(least: int | None, most: int | None) -> str:
    if most is None and least is not None and least <= 1:
        return "number"
    if least is None or most is None:  # a thousand values next to the limit
        least = max(-INTEGERS, most - 999) if most is not None else least
        most = min(INTEGERS - 1, (least or 0) + 999) if most is None else most
    assert least is not None  # noqa: S101 # nosec B101 (a range has a limit)
    count = most - least + 1
    return _plus(least, f"number % {count}") if count > 1 else str(least)


def _floats(least: float | None, most: float | None) -> str:
    if least is not None and most is not None:
        if least == most:
            return repr(least)
        return _plus(least, f"{most - least!r} * (number % 8) / 8")
    return _plus(least, "number / 2") if least is not None else f"{most!r} - number / 2"


def _decimals(range_: Range, arguments: tuple[Any, ...]) -> str:
    step, largest, places = _step(arguments), _largest(arguments), arguments[1]
    least = range_.least if range_.least is not None else max(-largest, range_.most - 9)
    most = range_.most if range_.most is not None else min(largest, least + 9)
    by_one = most - least >= 1
    count = min(10, int((most - least) / (1 if by_one else step)) + 1)
    if count == 1:
        return f'"{least}"'
    if by_one and least == int(least):
        return f'f"{{{_plus(int(least), f"number % {count}")}:.{places}f}}"'
    return f'str(Decimal("{least}") + Decimal("{1 if by_one else step}") * (number % {count}))'


def _dates(range_: Range) -> str:
    usual = Range(date(2026, 1, 1), date(2026, 1, 28))
    if range_.contains(usual.least) and range_.contains(usual.most):
        return 'f"2026-01-{number % 28 + 1:02}"'
    first_day = (range_.least or date.min).toordinal()
    last_day = (range_.most or date.max).toordinal()
    if range_.least is None:
        first_day = max(first_day, last_day - 27)
    least, count = date.fromordinal(first_day), min(28, last_day - first_day + 1)
    first = f'date.fromisoformat("{least}")'
    return f"str({first} + timedelta(days=number % {count}))" if count > 1 else f'"{least}"'


def _plus(least: Any, rest: str) -> str:
    return f"{least!r} + {rest}" if least else rest


def _step(arguments: tuple[Any, ...]) -> Decimal:
    return Decimal(1).scaleb(-arguments[1])


def _largest(arguments: tuple[Any, ...]) -> Decimal:
    digits, places = arguments
    return Decimal("9" * digits).scaleb(-places)


def _json(value: Any) -> Any:
    return str(value) if isinstance(value, date | Decimal) else value


def _python(value: Any) -> str:
    return f'"{value}"' if isinstance(value, date | Decimal) else repr(value)


def _sql(limit: Any) -> str:
    """Return a limit as SQL, or an empty string for None."""
    if limit is None:
        return ""
    return sql_text(str(limit)) if isinstance(limit, date) else str(limit)
