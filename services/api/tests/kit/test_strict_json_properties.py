"""Strict JSON compared with a simple implementation of RFC 8259, with generated texts."""

import json
import re
from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st
from pydantic_core import from_json

from kit import strict_json
from tests.support.examples import examples

SPACE = re.compile(r"[ \t\n\r]*")
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
STRING = re.compile(r'"([^"\\\x00-\x1f]|\\(["\\/bfnrt]|u[0-9a-fA-F]{4}))*"')

# Pieces of texts: valid ones, almost valid ones, and any bytes.
PIECES = [
    b"{", b"}", b"[", b"]", b":", b",", b" ", b"\n", b"0", b"-0", b"01", b"1.5", b"1.", b"1e9", b"1E400",
    b"-", b"NaN",
    b"-Infinity", b"true", b"false", b"null", b"nul", b'""', b'"a"', rb'"\u0061"', b'"b"',
    rb'"\ud83d\ude00"', rb'"\ud800"',
    rb'"\udc00\ud800"', rb'"\u0000"', rb'"\x41"', b'"\xc3\xa9"', b'"\xff"', b'"\xed\xa0\x80"', b'"\\"',
    b'"[{"', b'"', b"\\",
    b"\x00", b"\xef\xbb\xbf", b"\x0b", b"'", b"//", b"{}", b"[]", b'"a":', b'"b":', b"[" * 31, b"]" * 31,
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)
STRINGS = st.text('a"\\/[{\0\n\x7f\u00e9\u2028\ud7ff\ue000\uffff\U0001f600', max_size=4)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.sampled_from([None, True, False]) | NUMBERS | STRINGS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(STRINGS, inner, max_size=3),
    max_leaves=8,
)


class Naive:
    """A parser that reads one character at a time and only checks whether a text is strict JSON."""

    def __init__(self, raw: bytes) -> None:
        self.text = raw.decode("utf-8")
        self.place = 0
        self.value(0)
        self.skip(SPACE)
        self.demand(self.place == len(self.text))

    def demand(self, condition: object) -> None:
        if not condition:
            raise ValueError

    def skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.place)
        self.demand(match)
        assert match
        self.place = match.end()
        return match[0]

    def take(self, *choices: str) -> str:
        self.skip(SPACE)
        for choice in choices:
            if self.text.startswith(choice, self.place):
                self.place += len(choice)
                return choice
        return ""

    def value(self, depth: int) -> None:
        if self.take("["):
            self.members(depth + 1, "]", lambda: self.value(depth + 1))
        elif self.take("{"):
            names: list[str] = []
            self.members(depth + 1, "}", lambda: self.pair(names, depth + 1))
            self.demand(len(names) == len(set(names)))
        elif self.text.startswith('"', self.place):
            self.string()
        elif not self.take("true", "false", "null"):
            self.skip(NUMBER)

    def members(self, depth: int, end: str, member: Any) -> None:
        self.demand(depth <= 32)
        if self.take(end):
            return
        member()
        while self.take(","):
            member()
        self.demand(self.take(end))

    def pair(self, names: list[str], depth: int) -> None:
        self.skip(SPACE)
        names.append(self.string())
        self.demand(self.take(":"))
        self.value(depth)

    def string(self) -> str:
        read = str(json.loads(self.skip(STRING)))
        read.encode("utf-8")  # no lone surrogate
        return read


def is_accepted(read: Any, raw: bytes) -> bool:
    try:
        read(raw)
    except ValueError:
        return False
    return True


@examples(300)
@given(TEXTS)
@example(b"[" * 32 + b"]" * 32)
@example(b"[" * 33 + b"]" * 33)
@example(b'{"a": 1, "\\u0061": 1}')
@example(b'"\\ud800"')
@example(b"")
def test_a_text_is_accepted_if_and_only_if_it_is_strict_json(raw: bytes) -> None:
    assert is_accepted(strict_json.loads, raw) == is_accepted(Naive, raw)


@examples(100)
@given(st.binary(max_size=20))
def test_both_parsers_agree_on_any_bytes(raw: bytes) -> None:
    assert is_accepted(strict_json.loads, raw) == is_accepted(Naive, raw)


@examples(60)
@given(VALUES, st.booleans(), st.sampled_from([None, 2]))
def test_serialized_values_are_parsed(value: Any, ascii_only: bool, indent: int | None) -> None:
    raw = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()

    assert strict_json.loads(raw) == value
    assert from_json(raw) == value  # pydantic must parse the same value


@examples(80)
@given(VALUES, st.data())
def test_both_parsers_agree_on_mutated_texts(value: Any, data: st.DataObject) -> None:
    raw = json.dumps(value).encode()
    place = data.draw(st.integers(0, len(raw)))
    piece = data.draw(st.sampled_from([*PIECES, b""]))
    changed = raw[:place] + piece + raw[place + data.draw(st.integers(0, 1)) :]
    assume(changed != raw)

    assert is_accepted(strict_json.loads, changed) == is_accepted(Naive, changed)
    if is_accepted(Naive, changed):
        assert strict_json.loads(changed) == from_json(changed)
