"""Hostile JSON: hundreds of bodies that must be refused, derived from a valid one.

Each has a name and its expected status: 400 if it isn't strict JSON, 422 if it is, but isn't valid for the
operation.
"""

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from gzip import compress
from typing import Any, NamedTuple

MAX_BYTES = 65_536
MAX_DEPTH = 32

# Invalid UTF-8: overlong, truncated or misplaced sequences, surrogates, beyond U+10FFFF.
NO_UTF8 = [
    b"\xc0\x80", b"\xc0\xaf", b"\xc1\xbf", b"\xe0\x80\xaf", b"\xe0\x9f\xbf", b"\xf0\x80\x80\xaf",
    b"\xf0\x8f\xbf\xbf", b"\x80", b"\xbf", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xff", b"\xfe",
    b"\xf5\x80\x80\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xed\xa0\x80", b"\xed\xbf\xbf",
    b"\xed\xa0\xbd\xed\xb8\x80", b"\xe9", b"a\xcc",
]  # fmt: skip
NO_ESCAPE = [
    r"\x41", r"\0", r"\a", r"\v", r"\e", r"\'", r"\ ", r"\u", r"\u12", r"\u123g", r"\u-041", r"\u 041",
    r"\U00000041", r"\u{41}", r"\N{DIGIT ONE}", "\\\n", "\\\x00", r"\u004", r"\u+041", r"\u0x41", r"\u00_1",
    "\\u\u0660\u0660\u0664\u0661",
]  # fmt: skip
LONE_SURROGATE = [
    r"\ud800", r"\uD800", r"\udbff", r"\udc00", r"\uDFFF", r"\udc00\ud800", r"\ud800\ud800", r"\ud800\u0041",
    r"\ud800x\udc00", r"\\\ud800", r"\ud83d\ude00\ud83d",
]  # fmt: skip
NO_NUMBER = [
    "01", "-01", "00", "+1", "1.", ".5", "-.5", "1.e1", "1e", "1e+", "1E-", "1e1.5", "0x10", "0b1", "0o7",
    "1_000", "1 000", "--1", "-", "1f", "1n", "1L", "NaN", "-NaN", "nan", "Infinity", "-Infinity",
    "+Infinity", "inf", "-inf", "\u0661", "\uff11", "1e\u0664", "1..2", "\u00bd", "1/2", "0-1", "- 1",
    "1e 5", "1.0.0", "$1", "1%", "e5", "0x1p3", "#1",
]  # fmt: skip
NO_LITERAL = [
    "True", "TRUE", "False", "None", "NULL", "Null", "undefined", "nil", "yes", "tru", "truex", "nulll",
    "fals", "t", "void", "new Date()", "\\u0074rue", "tr\u200bue", "function(){}", "(1)", "<a/>", "!!1",
    "&x", "*x", "@", "$",
]  # fmt: skip
NO_STRING = [
    "'x'",
    "`x`",
    "\u201cx\u201d",
    '"x',
    'x"',
    '"x"y"',
    '"""x"""',
    'b"x"',
    'u"x"',
    '"a" "b"',
    '"a"+"b"',
    "/x/",
    "x",
    '"\t"',
]
NO_SPACE = [
    "\x00",
    "\x0b",
    "\x0c",
    "\x1e",
    "\x7f",
    "\x85",
    "\xa0",
    "\u1680",
    "\u2003",
    "\u2028",
    "\u3000",
    "\ufeff",
]
COMMENTS = ["// x\n", "/* x */", "/**/", "# x\n", "<!-- x -->", "-- x\n", "; x\n"]
GARBAGE = [
    "x",
    "{}",
    "[]",
    "null",
    "0",
    ",",
    ";",
    ":",
    "]",
    "}",
    "\\",
    '"',
    "'",
    "\n{}",
    ")]}',\n",
    "...",
    "\x1a",
    "\x04",
]

# JSON values that are invalid for every field.
NUMBERS = [
    "0", "-0", "-0.0", "1", "-1", "0.1", "1e400", "-1e400", "1E+2", "1e-400", "1e99999999999999999999",
    "9007199254740993", "9223372036854775808", "18446744073709551616", "-9223372036854775809", "1.0", "0e0",
    "1" + "0" * 400, "9" * 4300, "9" * 4301, "-" + "9" * 4301, "9" * 5000, "9" * 20_000, "0." + "9" * 5000,
    "9" * 5000 + ".5", "9" * 5000 + "e5", "1e" + "9" * 5000,
]  # fmt: skip
COLLECTIONS = [
    "[]", "{}", "[null]", "[[]]", '{"": ""}', '[{"a": 1}, {"a": 1}]', '{"$ne": null}', '{"$gt": ""}',
    '{"__proto__": {}}', '{"a": {"a": {"a": 1}}}', "[1, 2.5, true, null]",
]  # fmt: skip
NAMES = [
    "", " ", "~", "/", "~1", "~0", "a/b", "\\", '"', "\n", "\0", "\x7f", "é", "😀", "\u202e", "x" * 1000,
    "x" * 60_000, "0", "__proto__", "prototype", "constructor", "__class__", "__init__", "__dict__",
    "model_config", "model_fields", "self", "toString", "hasOwnProperty", "$where", "$ref", "role", "id",
    "is_admin", "admin", "password_hash", "password_changed_at", "username_key", "created_at", "updated_at",
    "user_id", "session_id", "token", "_method", "<script>", "'; DROP TABLE users; --", "${7*7}", "{{7*7}}",
    "%s%n", "../../etc/passwd", "null", "true", "errors", "body",
]  # fmt: skip


class Hostile(NamedTuple):
    name: str
    raw: bytes
    status: int


@dataclass(frozen=True)
class ValidBody:
    """A valid body of an operation, with its required fields and invalid values for its fields."""

    body: Mapping[str, Any]
    required: Sequence[str]
    refused: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    ignored: Set[str] = frozenset()  # read-only fields that may be sent back

    def text(self, **changed: str) -> str:
        """Return the body as JSON, with some values replaced by other JSON texts."""
        pairs = {name: json.dumps(value) for name, value in self.body.items()} | changed
        return "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in pairs.items()) + "}"

    def with_suffix(self, text: str) -> str:
        """Return the body as JSON, with a text after its last field."""
        return self.text()[:-1] + text + "}"


def corpus(valid: ValidBody) -> list[Hostile]:
    """Return all hostile bodies, without duplicates."""
    found = {
        hostile.raw: hostile
        for make in (_encodings, _strings, _values, _structure, _cuts, _names, _depths, _shapes, _sizes)
        for hostile in make(valid)
    }
    too_large = [hostile.name for hostile in found.values() if len(hostile.raw) > MAX_BYTES]
    assert not too_large, f"These would get a 413: {too_large}"
    return list(found.values())


def _hostile(name: str, text: str | bytes, status: int) -> Hostile:
    return Hostile(name[:80], text if isinstance(text, bytes) else text.encode(), status)


def _encodings(valid: ValidBody) -> Iterator[Hostile]:
    text = valid.text()
    for codec in (
        "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "utf-8-sig", "cp500", "utf-7",
    ):  # fmt: skip
        raw = text.encode(codec) if codec != "utf-7" else b"+AHs-" + text[1:].encode()
        yield _hostile(f"in {codec}", raw, 400)
    yield _hostile("in base64", b"eyJhIjogMX0=", 400)
    yield _hostile("in gzip", compress(text.encode(), mtime=0), 400)
    for wrong in NO_UTF8:
        yield _hostile(f"{wrong!r} in a value", b'{"x": "' + wrong + b'"}', 400)
        yield _hostile(f"{wrong!r} in a name", b'{"' + wrong + b'": 1}', 400)
        yield _hostile(f"{wrong!r} behind the body", text.encode() + wrong, 400)


def _strings(valid: ValidBody) -> Iterator[Hostile]:
    for escape in NO_ESCAPE + LONE_SURROGATE:
        yield _hostile(f"{escape!r} in a value", valid.with_suffix(f', "x y": "{escape}"'), 400)
        yield _hostile(f"{escape!r} in a name", valid.with_suffix(f', "{escape}": 1'), 400)
    for control in map(chr, range(32)):
        yield _hostile(f"{control!r} in a value", valid.with_suffix(f', "x y": "a{control}b"'), 400)
        yield _hostile(f"{control!r} in a name", valid.with_suffix(f', "a{control}b": 1'), 400)
        if control not in " \t\r\n":
            yield _hostile(f"{control!r} as a space", valid.with_suffix(f", {control}"), 400)
        yield _hostile(
            f"{control!r} escaped in a name", valid.with_suffix(f', "\\u{ord(control):04x}": 1'), 422
        )


def _values(valid: ValidBody) -> Iterator[Hostile]:
    for text in NO_NUMBER + NO_LITERAL + NO_STRING:
        yield _hostile(f"the value {text}", valid.with_suffix(f', "x y": {text}'), 400)
    for name, value in valid.body.items():
        kinds = (
            ["null", "true", "false"]
            if isinstance(value, str)
            else ["null", '"true"', '"false"', '""', '"1"']
        )
        for text in [
            *kinds,
            *NUMBERS,
            *COLLECTIONS,
            f"[{json.dumps(value)}]",
            f'{{"a": {json.dumps(value)}}}',
        ]:
            yield _hostile(f"{name} is {text}", valid.text(**{name: text}), 422)
        for refused in valid.refused.get(name, ()):
            yield _hostile(f"{name} is {refused!r}", valid.text(**{name: json.dumps(refused)}), 422)
    for text in NUMBERS:
        yield _hostile(f"an unknown number {text}", valid.with_suffix(f', "x y": {text}'), 422)


def _structure(valid: ValidBody) -> Iterator[Hostile]:
    text = valid.text()
    for more in GARBAGE + NO_SPACE + COMMENTS:
        yield _hostile(f"{more!r} behind the body", text + more, 400)
        yield _hostile(f"{more!r} before the body", more + text, 400)
        yield _hostile(f"{more!r} before the first name", "{" + more + text[1:], 400)
        yield _hostile(f"{more!r} behind a value", valid.with_suffix(more), 400)
    for wrong in (
        text.replace('"', "'"), text.replace('"', "`"), text.replace('":', '" ='), text.replace('":', '":,'),
        text.replace('":', '" '), text.replace('":', '"::'), text.replace("{", "("), text.replace("{", "["),
        text.replace("}", "]"), text[:-1] + ",}", "{," + text[1:], text[:-1] + ",,}", f"callback({text})",
        f"{text}\n{text}", f"\x1e{text}\n", f"var a = {text}", f"while(1);{text}", f"data: {text}\n\n",
        "username=ann&password=x", "<?xml version='1.0'?><a/>", "--- !!python/object:os.system\n",
        "{username: 'ann'}", "{username: \"ann\"}", '{"a"}', '{"a": }', '{: 1}', '{1: 1}', "{null: 1}",
        '{"a": 1 "b": 2}', '{"a": 1; "b": 2}', '{"a": 1, }', "[1, ]", "[, 1]", "[1 2]", "[1: 2]", "{}}",
        "{{}}", "[}", "{]", "[", "]", "{", "}", '"', ",", ":", "-", " ", "\n", "\t \r\n",
    ):  # fmt: skip
        yield _hostile(f"structure {wrong!r}", wrong, 400)


def _cuts(valid: ValidBody) -> Iterator[Hostile]:
    raw = valid.text().encode()
    for place in range(len(raw)):
        if place:  # an empty body is no body
            yield _hostile(f"cut at byte {place}", raw[:place], 400)
        yield _hostile(f"NUL at byte {place}", raw[:place] + b"\0" + raw[place:], 400)


def _names(valid: ValidBody) -> Iterator[Hostile]:
    for name, value in valid.body.items():
        again = json.dumps(value)
        spellings = {name} | {
            name[:at] + f"\\u{ord(name[at]):04{x}}" + name[at + 1 :]
            for at in {0, min(3, len(name) - 1)}
            for x in "xX"
        }
        spellings.add("".join(f"\\u{ord(character):04x}" for character in name))
        for spelling in sorted(spellings):
            yield _hostile(f"{spelling} again", valid.with_suffix(f', "{spelling}": {again}'), 400)
            yield _hostile(f"{spelling} first", valid.text().replace("{", f'{{"{spelling}": null, ', 1), 400)
        for other in (
            name.upper(),
            name.title(),
            f" {name}",
            f"{name} ",
            f"{name}\0",
            f"{name}[]",
            f"{name}.0",
            f"/{name}",
        ):
            yield _hostile(f"the name {other!r}", valid.with_suffix(f", {json.dumps(other)}: {again}"), 422)
    for twice in (
        ', "x y": {"a": 1, "a": 1}', ', "x y": [{"a": 1, "a": 1}]', r', "x y": {"a": 1, "\u0061": 1}',
        ', "": 1, "": 1', ', "x y": {"a": {"b": 1, "b": 2}}', r', "\u0000": 1, "\u0000": 2',
        r', "😀": 1, "\ud83d\ude00": 2', r', "/": 1, "\/": 2', r', "\n": 1, "\u000a": 2',
        ', "x y": {"": {}, "": {}}', ', "__proto__": 1, "__proto__": 2',
    ):  # fmt: skip
        yield _hostile(f"twice {twice}", valid.with_suffix(twice), 400)
    for name in (name for name in NAMES if name not in {*valid.body, *valid.ignored}):
        yield _hostile(f"the name {name!r}", valid.with_suffix(f", {json.dumps(name)}: 1"), 422)
    for alike in ("é", "e\u0301"), ("a", "A"), ("a", "\u0430"), ("K", "\u212a"), ("x", "x "):
        first, second = map(json.dumps, alike)
        if not set(alike) & set(valid.body):
            yield _hostile(f"alike {alike}", valid.with_suffix(f", {first}: 1, {second}: 1"), 422)


def _depths(valid: ValidBody) -> Iterator[Hostile]:
    for opening, closing in (
        ("[", "]"),
        ('{"a":', "}"),
        ('[{"a":', "}]"),
        (" [ ", " ] "),
        ('{"a": 1, "b":', "}"),
    ):
        levels = opening.count("[") + opening.count("{")
        at_most = (MAX_DEPTH - 1) // levels  # the body itself is one level
        for count, status in ((at_most, 422), (at_most + 1, 400), (100, 400), (1000, 400), (4000, 400)):
            nested = opening * count + "1" + closing * count
            yield _hostile(f"{count} times {opening}", valid.with_suffix(f', "x y": {nested}'), status)
            yield _hostile(
                f"{count} times {opening}, unclosed", valid.with_suffix(f', "x y": {opening * count}1'), 400
            )
    for more, status in ((0, 422), (1, 400)):
        yield _hostile(
            f"an array of {MAX_DEPTH + more} levels",
            "[" * (MAX_DEPTH + more) + "]" * (MAX_DEPTH + more),
            status,
        )
    for text in (
        "[" * 60_000,
        "{" * 60_000,
        '{"":' * 15_000,
        "[{" * 30_000,
        "]" * 60_000,
        "[" * 30_000 + "]" * 30_000,
    ):
        yield _hostile(f"{len(text)} of {text[:4]}", text, 400)
    in_a_string = "[" * 1000 + "{" * 1000
    yield _hostile("brackets in a string", valid.with_suffix(f', "x y": "{in_a_string}"'), 422)
    yield _hostile("brackets behind an escaped quote", valid.with_suffix(rf', "x y": "\"{in_a_string}"'), 422)
    yield _hostile(
        "brackets behind an escaped backslash", valid.with_suffix(rf', "x y": "\\",{in_a_string}"'), 400
    )


def _shapes(valid: ValidBody) -> Iterator[Hostile]:
    text = valid.text()
    for other in (
        *NUMBERS,
        "null",
        "true",
        "false",
        '""',
        '"x"',
        "[]",
        "[null]",
        f"[{text}]",
        json.dumps(text),
        f'{{"body": {text}}}',
    ):
        yield _hostile(f"the body is {other}", other, 422)
    for name in valid.required:
        rest = ValidBody({other: value for other, value in valid.body.items() if other != name}, ())
        yield _hostile(f"without {name}", rest.text(), 422)
        yield _hostile(
            f"with {name} in capitals", rest.with_suffix(f'{", " * bool(rest.body)}"{name.upper()}": ""'), 422
        )


def _sizes(valid: ValidBody) -> Iterator[Hostile]:
    yield _hostile(
        "many names", valid.with_suffix("".join(f', "{number}": 1' for number in range(4000))), 422
    )
    yield _hostile(
        "many names, one twice",
        valid.with_suffix("".join(f', "{number}": 1' for number in [*range(4000), 0])),
        400,
    )
    for what, value in (
        ("a long string", '"' + "x" * 60_000 + '"'), ("many escapes", '"' + r"\u0041" * 10_000 + '"'),
        ("many quotes", '"' + r"\"" * 30_000 + '"'), ("many backslashes", '"' + r"\\" * 30_000 + '"'),
        ("many pairs of surrogates", '"' + r"\ud83d\ude00" * 5000 + '"'), ("many characters of four bytes",
        '"' + "😀" * 15_000 + '"'), ("many numbers", "[" + "0," * 30_000 + "0]"), ("many arrays",
        "[" + "[]," * 20_000 + "[]]"), ("many objects", "[" + "{}," * 20_000 + "{}]"), ("many strings",
        "[" + '"",' * 20_000 + '""]'), ("many floats", "[" + "1e9," * 15_000 + "0]"),
        ("many numbers of 4,000 digits", "[" + ("9" * 4000 + ",") * 15 + "0]"), ("much space",
        " " * 60_000 + "1"),
    ):  # fmt: skip
        yield _hostile(what, valid.with_suffix(f', "x y": {value}'), 422)
        yield _hostile(f"{what}, then an end too soon", valid.with_suffix(f', "x y": {value}')[:-1], 400)
    for what, text in (
        ("spaces", " " * 60_000),
        ("commas", "," * 60_000),
        ("quotes", '"' * 60_000),
        ("NULs", "\0" * 60_000),
    ):
        yield _hostile(f"only {what}", text, 400)
    yield _hostile("an unclosed string of escapes", '{"x": "' + "\\" * 50_001, 400)
    yield _hostile(
        "one lone surrogate after many pairs", '{"x": "' + r"\ud83d\ude00" * 5000 + r'\ud83d"}', 400
    )
