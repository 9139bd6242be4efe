"""JSON without its traps: a text has one meaning or is refused (RFC 8259; I-JSON, RFC 7493)."""

import json
import re
from typing import Any, NoReturn

MAX_DEPTH = 32
# Possessive, and matching an unterminated string to its end: linear whatever the text.
STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
ESCAPED_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def check(raw: bytes) -> Any:
    """Parse UTF-8 JSON, numbers left as text. Raises ValueError on NaN and Infinity, a name twice in one
    object, lone surrogates, a byte order mark, and more than 32 levels."""
    if _is_too_deep(raw):
        raise ValueError("nested too deeply")
    value = json.loads(
        raw.decode("utf-8"),
        object_pairs_hook=_unique,
        parse_constant=_refuse,
        parse_int=str,  # Python refuses to convert more than 4,300 digits
        parse_float=str,
    )
    if ESCAPED_SURROGATE.search(raw):
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # raises on a surrogate without its partner
    return value


def _is_too_deep(raw: bytes) -> bool:
    depth = 0
    for bracket in STRING.sub(b"", raw).translate(None, NO_BRACKET):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) < len(pairs):
        raise ValueError("the same name twice in one object")
    return names


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
