"""The arguments of a type, in parentheses: numbers, a range, or the values of an enum."""

import csv
import re
from collections.abc import Iterable, Sequence
from unicodedata import name as name_of_character
from unicodedata import normalize

LONGEST_VALUE = 100  # characters of an enum's value
# Also the marks that change the direction of text: in code, they could hide what it does.
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def split(text: str) -> list[str]:
    """Split at commas, as in a CSV file: `novel,"a, b"` has two parts. Raises ValueError."""
    try:
        [parts] = csv.reader([text], skipinitialspace=True, strict=True)
    except csv.Error as error:
        raise ValueError from error
    return [part.strip() for part in parts]


def read_values(text: str) -> tuple[str, ...]:
    """Return the values of an enum. Raises ValueError with a message for the user."""
    if CONTROLS.search(text):
        raise ValueError("the values have a line break, a tab or another control character")
    try:
        values = tuple(split(text))
    except ValueError:
        raise ValueError(
            'put a value with a comma, a parenthesis or a quotation mark in quotes: "a, b", "5"" disk"'
        ) from None
    if not values or not all(values):
        raise ValueError("list the values, such as enum(novel,Science Fiction)")
    if repeated := [value for value in values if values.count(value) > 1]:
        raise ValueError(f"the value {repeated[0]!r} is repeated")
    if long := [value for value in values if len(value) > LONGEST_VALUE]:
        raise ValueError(f"the value {long[0]!r} has more than {LONGEST_VALUE} characters")
    return values


def members_of(values: Iterable[str]) -> dict[str, str]:
    """Return the values of an enum by the names of its members, which are distinct."""
    members: dict[str, str] = {}
    for value in values:
        base = name = member_of(value)
        number = 2
        while name in members:
            name, number = f"{base}_{number}", number + 1
        members[name] = value
    return members


def member_of(value: str) -> str:
    """Return the name of an enum member: SCIENCE_FICTION for `Science Fiction`, _3D for `3d`."""
    name = normalize("NFKC", re.sub(r"\W+", "_", normalize("NFKC", value).upper()).strip("_"))
    if not name:  # only punctuation: PLUS_SIGN for `+`
        name = re.sub(r"\W+", "_", name_of_character(value[0], "VALUE"))
    return name if name.isidentifier() else f"_{name}"


def written(values: Sequence[str]) -> str:
    """Return enum values as they are written in a field: `novel,"a, b"`."""
    quoted = (
        '"{}"'.format(value.replace('"', '""')) if re.search(r'[,()"]', value) else value for value in values
    )
    return ",".join(quoted)
