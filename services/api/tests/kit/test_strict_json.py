"""Strict JSON."""

from math import inf

import pytest

from kit import strict_json


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"{}", {}),
        (b' {"a": [1, 2.5, null, true, "x"]} ', {"a": [1, 2.5, None, True, "x"]}),
        (b'{"a": {"a": {"a": 1}}}', {"a": {"a": {"a": 1}}}),
        (b"1e400", inf),
        (b"9" * 4300, 10**4300 - 1),
        (b"9" * 5000, inf),
        (rb'"\ud83d\ude00"', "\U0001f600"),
        ("\U0001f600".join('""').encode(), "\U0001f600"),
        (b'"' + b"[" * 99 + b'"', "[" * 99),
        (rb'"\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["', '"' + "[" * 37),
        (b"[" * 32 + b"]" * 32, None),
        (b"[" + b"[]," * 99 + b"[]]", [[]] * 100),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_strict_json_is_read(raw: bytes, value: object) -> None:
    assert strict_json.loads(raw) == value or value is None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"NaN",
        b"[Infinity]",
        b"[-Infinity]",
        b'{"a": 1, "a": 2}',
        b'[{"b": {"a": 1, "a": 1}}]',
        rb'{"a": 1, "\u0061": 2}',
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b'"\xff"',
        b'"\xed\xa0\x80"',
        rb'"\ud800"',
        rb'"\uDFFF"',
        rb'{"\udead": 1}',
        b"[" * 33 + b"]" * 33,
        b'{"a":' * 33 + b"1" + b"}" * 33,
        b"[" * 1_000_000,
        b'"' + b'\\"' * 500_000,
        b'"' + b"\\" * 999_999,
    ],
    ids=lambda raw: repr(raw)[:40],
)
def test_anything_else_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the messages differ
        strict_json.loads(raw)
