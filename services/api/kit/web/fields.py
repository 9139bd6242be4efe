"""Types for fields of a resource. They work in JSON bodies and in queries, where every value is text."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any, LiteralString
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError
from pydantic_core import Url as ParsedUrl

from kit.email_address import is_email_address
from kit.uuids import ANY_CASE
from kit.web.schemas import matching

WHOLE = re.compile(r"-?[0-9]{1,10}", re.ASCII)
NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)
WEB_URL = re.compile(
    r"https?://[^\s/?#\\@]+([/?#][^\s\\]*)?", re.IGNORECASE
)  # without user name and password
INTEGERS = 2**31  # the range of INTEGER columns is -INTEGERS to INTEGERS - 1
FLOATS = 1.7e308


def _reads(
    form: re.Pattern[str], convert: Callable[[str], Any], sentence: LiteralString
) -> Callable[[Any], Any]:
    """Return a validator that converts text of one form, and refuses anything else."""

    def read(value: Any) -> Any:
        if not isinstance(value, str):
            raise PydanticCustomError("wrong_type", sentence)
        try:
            if form.fullmatch(value):
                return convert(value)
        except (ArithmeticError, ValueError):
            pass
        raise PydanticCustomError("invalid_format", sentence)

    return read


def _reads_queries(form: re.Pattern[str], convert: Callable[[str], Any], sentence: LiteralString) -> Any:
    """Return a validator that converts text from a query. In JSON the value has its type already."""
    read = _reads(form, convert, sentence)

    def validate(value: Any, info: ValidationInfo) -> Any:
        return read(value) if info.mode == "python" and isinstance(value, str) else value

    return BeforeValidator(validate)


def _utc(text: str) -> datetime:
    return datetime.fromisoformat(text.upper()).astimezone(UTC)  # cuts the fraction to microseconds


def email(text: str) -> str:
    """Return an e-mail address as it was sent (RFC 5321 and 6531). Raises PydanticCustomError."""
    if not is_email_address(text):
        raise PydanticCustomError("invalid_format", "Give an e-mail address such as ann@example.com.")
    return text


def url(text: str) -> str:
    """Return a web address as it was sent (WHATWG URL). Raises PydanticCustomError."""
    try:
        if WEB_URL.fullmatch(text) and text.isprintable():
            ParsedUrl(text)
            return text
    except ValueError:
        pass
    raise PydanticCustomError("invalid_format", "Give a web address such as https://example.com/path.")


def _storable(value: Any) -> Any:
    """Refuse JSON values that databases can't store."""
    parts = [value]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            parts += [*part, *part.values()]
        elif isinstance(part, list):
            parts += part
        elif isinstance(part, str) and "\0" in part:
            raise PydanticCustomError("invalid_format", "The character NUL isn't allowed.")
        elif isinstance(part, float | int) and not -FLOATS <= part <= FLOATS:  # SQLite stores a float
            raise PydanticCustomError("too_large", "This number is too large.")
    return value


def _distinct(ids: list[UUID]) -> list[UUID]:
    if len(set(ids)) < len(ids):
        raise PydanticCustomError("invalid_format", "Give each id once.")
    return ids


def _not_null(value: Any) -> Any:
    if value is None:
        raise PydanticCustomError("wrong_type", "This must not be null.")
    return value


def _text(form: str, shortest: int, longest: int, **more: Any) -> WithJsonSchema:
    return WithJsonSchema(
        {"type": "string", "pattern": f"^{form}$", "minLength": shortest, "maxLength": longest} | more
    )


def decimal_form(digits: int, places: int) -> str:
    """Return the pattern of a number with at most `digits` digits, `places` of them after the point."""
    return rf"-?[0-9]{{1,{digits - places}}}" + (rf"(\.[0-9]{{1,{places}}})?" if places else "")


def _within(least: Any, most: Any) -> AfterValidator:
    """Return a validator for values whose limits aren't numbers in JSON."""

    def check(value: Any) -> Any:
        if least is not None and value < least:
            raise PydanticCustomError("too_small", "Give at least {least}.", {"least": str(least)})
        if most is not None and value > most:
            raise PydanticCustomError("too_large", "Give at most {most}.", {"most": str(most)})
        return value

    return AfterValidator(check)


def _limits(least: str | None, most: str | None) -> dict[str, str]:
    """Describe limits. JSON Schema has keywords only for those of numbers."""
    parts = [f"at least {least}"] * (least is not None) + [f"at most {most}"] * (most is not None)
    return {"description": f"{' and '.join(parts).capitalize()}."} if parts else {}


def amount(
    digits: int, places: int, least: str | None = None, most: str | None = None
) -> tuple[BeforeValidator, AfterValidator, WithJsonSchema]:
    """Annotate a Decimal. In JSON it is text too, because a JSON number may lose digits."""
    form = decimal_form(digits, places)
    step = Decimal(1).scaleb(-places)  # 5 becomes 5.00, as the database returns it

    def exact(text: str) -> Decimal:
        return Decimal(text).quantize(step) + 0  # makes -0.00 0.00

    read = _reads(re.compile(form, re.ASCII), exact, "Give a decimal number as text, in quotes.")
    within = _within(least and exact(least), most and exact(most))
    return BeforeValidator(read), within, _text(form, 1, digits + 2, **_limits(least, most))


def integer(least: int = -INTEGERS, most: int = INTEGERS - 1) -> tuple[Any, ...]:
    """Annotate an int within limits: `Annotated[int, *integer(1, 5)]`."""
    return Field(ge=least, le=most), _reads_queries(WHOLE, int, "Give a whole number.")


def number(least: float = -FLOATS, most: float = FLOATS) -> tuple[Any, ...]:
    """Annotate a float within limits: `Annotated[float, *number(0, 1)]`."""
    return Field(ge=least, le=most), _reads_queries(NUMBER, float, "Give a number.")


def day(
    least: str | None = None, most: str | None = None
) -> tuple[BeforeValidator, AfterValidator, WithJsonSchema]:
    """Annotate a date within limits: `Annotated[date, *day("2000-01-01")]`."""
    read = _reads(DAY, date.fromisoformat, "Give a date such as 2026-11-22.")
    within = _within(least and date.fromisoformat(least), most and date.fromisoformat(most))
    return BeforeValidator(read), within, _text(DAY.pattern, 10, 10, format="date", **_limits(least, most))


Line = Annotated[
    str,
    StringConstraints(min_length=1),
    *matching(r"^[^\x00-\x1f\x7f-\x9f]*$", "Line breaks, tabs and other control characters aren't allowed."),
]
LongText = Annotated[
    str,
    StringConstraints(max_length=10_000),
    *matching(
        r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$",
        "Control characters other than line breaks and tabs aren't allowed.",
    ),
]
Email = Annotated[
    str,
    StringConstraints(max_length=254),
    AfterValidator(email),
    Field(json_schema_extra={"format": "idn-email"}),
]
# For addresses that people type. Phones add a space after a completed word.
TrimmedEmail = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=254),
    AfterValidator(email),
    Field(json_schema_extra={"format": "idn-email"}),
]
Url = Annotated[
    str, StringConstraints(max_length=2000), AfterValidator(url), Field(json_schema_extra={"format": "iri"})
]
Integer = Annotated[int, *integer()]
Number = Annotated[float, *number()]
Date = Annotated[date, *day()]
DateTime = Annotated[
    datetime,
    BeforeValidator(_reads(MOMENT, _utc, "Give a time with its offset, such as 2026-11-22T08:45:00Z.")),
    _text(MOMENT.pattern, 20, 35, format="date-time"),
]
Reference = Annotated[
    UUID,
    BeforeValidator(_reads(ANY_CASE, UUID, "Give a UUID such as 8b2f9e0c-3c53-4c35-9a7c-1f2f6ad2f9a1.")),
    _text(ANY_CASE.pattern, 36, 36, format="uuid"),
]
# The ids of linked rows.
References = Annotated[
    list[Reference],
    Field(max_length=100, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_distinct),
]
NotNull = AfterValidator(_not_null)
Json = Annotated[Any, AfterValidator(_storable)]
