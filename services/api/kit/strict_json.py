"""Strict JSON: refuses ambiguous texts (RFC 8259; I-JSON, RFC 7493)."""

import json
import re
from typing import Any, NoReturn

MAX_DEPTH = 32
MAX_DIGITS = 4300  # Python and pydantic refuse to convert more
# Possessive, and an unterminated string matches to the end, so the time is linear for any text.
STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
TO_SQUARE = bytes.maketrans(b"{}", b"[]")
ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def loads(raw: bytes) -> Any:
    """Parse UTF-8 JSON. An integer of more than 4,300 digits becomes a float.

    Raises ValueError for NaN, Infinity, repeated names in an object, lone surrogates, a byte order mark, and
    more than 32 levels.
    """
    if not _nests_within(MAX_DEPTH, raw):
        raise ValueError("nested too deeply, or not closed")
    value = DECODER.decode(raw.decode("utf-8"))
    if ESCAPED_SURROGATE.search(raw):
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # raises ValueError for a lone surrogate
    return value


def _nests_within(levels: int, raw: bytes) -> bool:
    """Return whether brackets nest at most this deep. Removes the innermost pairs, level by level.

    This is fast and doesn't recurse. The parser checks that the brackets of a pair match.
    """
    if raw.count(b"[") + raw.count(b"{") <= levels:  # too few brackets to nest deeper, the usual case
        return True
    brackets = STRING.sub(b"", raw).translate(TO_SQUARE, NO_BRACKET)
    for _ in range(levels):
        if not brackets:
            break
        brackets = brackets.replace(b"[]", b"")
    return not brackets


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) < len(pairs):
        raise ValueError("the same name twice in one object")
    return names


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} isn't valid JSON")


DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse, parse_int=_whole)
