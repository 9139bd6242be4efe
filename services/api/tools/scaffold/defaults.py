"""The defaults of fields, as people type them."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any, NamedTuple
from uuid import UUID

from kit.web.fields import FLOATS, INTEGERS, decimal_form, email, url
from tools.scaffold.arguments import split

BOOLEANS = {
    "true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False,
}  # fmt: skip
# What each type accepts, for messages.
FORMS = {
    "bool": "yes or no (also true and false, on and off, 1 and 0)",
    "int": "a whole number without commas, such as 1000 or 1_000",
    "float": "a number such as 0.5, -3 or 1e3",
    "decimal": "a number such as 9.5, with the digits and decimal places of the type",
    "date": "a date such as 2026-11-22, or today",
    "datetime": "a time such as 2026-11-22T08:45:00Z, a date, or now; without an offset, it is in UTC",
    "uuid": "random, or a UUID",
    "str": "text of a valid length, without line breaks",
    "text": "text of a valid length; in a shell, put the field in single quotes",
    "enum": "one of the values",
    "email": "an e-mail address",
    "url": "a web address",
}


class Computed(NamedTuple):
    """A default that is computed for each new row."""

    function: str  # in Python


COMPUTED = {("date", "today"): "today", ("datetime", "now"): "now", ("uuid", "random"): "uuid4"}


def parse_default(text: str, type_: str, arguments: tuple[Any, ...]) -> Any:
    """Return a default as a JSON value, or as `Computed`. Raises ArithmeticError or ValueError."""
    if function := COMPUTED.get((type_, text.strip().lower())):
        return Computed(function)
    return READERS[type_](text, arguments)


def _bool(text: str, _: object) -> bool:
    value = BOOLEANS.get(text.strip().lower())
    if value is None:
        raise ValueError
    return value


def _int(text: str, _: object) -> int:
    if not -INTEGERS <= int(text) < INTEGERS:
        raise ValueError
    return int(text)


def _float(text: str, _: object) -> float:
    if not isfinite(float(text)) or abs(float(text)) > FLOATS:
        raise ValueError
    return float(text)


def _decimal(text: str, arguments: tuple[Any, ...]) -> str:
    digits, places = arguments
    try:
        value = Decimal(text.strip())
    except InvalidOperation as error:
        raise ValueError from error
    if not value.is_finite() or value != round(value, places):
        raise ValueError
    shown = f"{round(value, places) + 0:.{places}f}"
    if not re.fullmatch(decimal_form(digits, places), shown, re.ASCII):
        raise ValueError
    return shown


def _date(text: str, _: object) -> str:
    return date.fromisoformat(text.strip()).isoformat()


def _datetime(text: str, _: object) -> str:
    moment = datetime.fromisoformat(text.strip().upper())
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat().replace("+00:00", "Z")


def _uuid(text: str, _: object) -> str:
    return str(UUID(text.strip()))


def _str(text: str, arguments: tuple[Any, ...]) -> str:
    if not re.fullmatch(rf"[^\x00-\x1f\x7f-\x9f]{{1,{arguments[0]}}}", text):
        raise ValueError
    return text


def _text(text: str, _: object) -> str:
    if not re.fullmatch(r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]{0,10000}", text):
        raise ValueError
    return text


def _enum(text: str, arguments: tuple[Any, ...]) -> str:
    if text in arguments:
        return text
    [unquoted] = split(text)
    if unquoted not in arguments:
        raise ValueError
    return unquoted


READERS: dict[str, Any] = {
    "bool": _bool,
    "int": _int,
    "float": _float,
    "decimal": _decimal,
    "date": _date,
    "datetime": _datetime,
    "uuid": _uuid,
    "str": _str,
    "text": _text,
    "enum": _enum,
    "email": lambda text, _: email(text),
    "url": lambda text, _: url(text),
}
