"""The cells of an export, and the names of files in headers."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from kit.web.csv_export import _cells, _lines
from kit.web.responses import disposition
from kit.web.schemas import ResponseBody

pytestmark = pytest.mark.any_database


class Row(ResponseBody):
    value: Any


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (None, "\r\n"),
        (True, "true\r\n"),
        (-5, "-5\r\n"),
        (Decimal("-5.50"), "-5.50\r\n"),
        (datetime(2026, 11, 22, tzinfo=UTC), "2026-11-22T00:00:00Z\r\n"),
        ("a,b", '"a,b"\r\n'),
        ('say "hi"\nbob', '"say ""hi""\nbob"\r\n'),
        ("=1+1", "'=1+1\r\n"),
        ("\uff1d1+1", "'\uff1d1+1\r\n"),
        ("+49 30", "'+49 30\r\n"),
        ("-1", "'-1\r\n"),
        ("@sum", "'@sum\r\n"),
        ("\t=1", "'\t=1\r\n"),
        ({"ä": [1]}, '"{""ä"": [1]}"\r\n'),
    ],
    ids=repr,
)
def test_a_value_is_written_as_in_json_and_never_as_a_formula(value: object, line: str) -> None:
    assert _lines([["x", *_cells(Row(value=value))]]) == f"x,{line}"


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("books.csv", 'attachment; filename="books.csv"'),
        ("Bücher.csv", "attachment; filename=\"B_cher.csv\"; filename*=UTF-8''B%C3%BCcher.csv"),
        ('a"\r\n;b', "attachment; filename=\"a____b\"; filename*=UTF-8''a%22%0D%0A%3Bb"),
        ("", 'attachment; filename="file"'),
    ],
    ids=["plain", "umlaut", "quotes", "empty"],
)
def test_a_file_name_is_safe_in_a_header(name: str, header: str) -> None:
    assert disposition(name) == header
