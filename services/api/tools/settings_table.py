"""Writes the tables of settings into a Markdown file: `python -m tools.settings_table FILE`.

Names, defaults and allowed values come from app.config.Settings, the explanations from .env.example. That
file also has the settings that only Compose and the scripts read. With --check, it writes nothing, and exits
with 1 if the file is out of date.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from annotated_types import Ge, Le, MaxLen
from pydantic.fields import FieldInfo

from app.config import Settings
from kit import setting_types as types

EXAMPLE = Path(__file__).parents[3] / ".env.example"
BEGIN, END = "<!-- settings: written by make docs -->\n", "<!-- end of settings -->\n"
SECTION = re.compile(r"^# --- (.+) ---\n", re.MULTILINE)
COMMENT = r"(?:^# .*\n)+"
INTRODUCTION = re.compile(rf"\A{COMMENT}", re.MULTILINE)
ENTRY = re.compile(rf"({COMMENT})^#([A-Z_]+)=(.*)$", re.MULTILINE)
MARK = re.compile(r"part: .*|end of part")  # of what make without removes
REQUIRED = " Required."
ALLOWED = {
    types.DatabaseUrl: "a PostgreSQL or SQLite URL",
    types.SigningKey: "at least 32 bytes",
    types.SigningKeys: "keys of at least 32 bytes",
    types.HostNames: "host names without ports",
    types.Networks: "networks",
    types.OptionalAppUrl: "a URL",
    types.OptionalRateLimit: "a limit, or `off`",
    types.OptionalSender: "an address, or `Name <address>`",
    types.OptionalSmtpUrl: "`smtp://...`, `smtps://...`, `file:...`",
    types.StorageUrl: "`file:...`, `s3://...`",
    types.Origins: "origins",
    types.Words: "words, or `off`",
    types.HeaderNames: "names of headers",
    types.Boolean: "`true`, `false`",
}


class Row(NamedTuple):
    name: str
    default: str
    allowed: str
    meaning: str


def render(example: str) -> str:
    """Return the tables in Markdown, one for each section of .env.example.

    Raises KeyError if a setting isn't explained there.
    """
    _, *parts = SECTION.split(example)
    titles, texts = parts[::2], parts[1::2]
    entries = [name for text in texts for _, name, _ in ENTRY.findall(text)]
    if missing := {name.upper() for name in Settings.model_fields} - set(entries):
        raise KeyError(f"Explain these settings in .env.example: {', '.join(sorted(missing))}")
    sections = ("".join(_section(title, text)) for title, text in zip(titles, texts, strict=True))
    names = re.compile(rf"(?<![`\w])({'|'.join(entries)})(?![`\w])")
    text = names.sub(r"`\1`", "\n".join(sections))
    return re.sub(r"docs/(\S+\.md)", r"[\1](../\1)", text)


def _section(title: str, text: str) -> Iterator[str]:
    yield f"## {title}\n\n"
    if introduction := INTRODUCTION.match(text):
        yield f"{_paragraph(introduction[0])}\n\n"
    yield "| setting | default | allowed | explanation |\n|---|---|---|---|\n"
    for comment, name, value in ENTRY.findall(text):
        row = _row(name, value, _paragraph(comment))
        yield f"| `{row.name}` | {row.default} | {row.allowed} | {row.meaning} |\n"


def _row(name: str, value: str, meaning: str) -> Row:
    default = f"`{value}`" if value else "unset"
    if REQUIRED in meaning:
        default, meaning = "required", f"{meaning.replace(REQUIRED, '')} Example: `{value}`."
    field = Settings.model_fields.get(name.lower())
    if field is None:  # of Compose or a script
        return Row(name, default, "", meaning)
    return Row(
        name, default, _allowed(get_type_hints(Settings, include_extras=True)[name.lower()], field), meaning
    )


def _allowed(hint: Any, field: FieldInfo) -> str:
    choices = [
        arg for each in (hint, *get_args(hint)) if get_origin(each) is Literal for arg in get_args(each)
    ]
    bounds = [str(value) for each in field.metadata for value in _bounds(each)]
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices)
    if len(bounds) == 2:
        return f"{bounds[0]} to {bounds[1]}"
    longest = [each.max_length for each in field.metadata if isinstance(each, MaxLen)]
    return ALLOWED.get(hint, f"text of at most {longest[0]} characters" if longest else "text")


def _bounds(constraint: object) -> Iterator[object]:
    if isinstance(constraint, Ge):
        yield constraint.ge
    if isinstance(constraint, Le):
        yield constraint.le


def _paragraph(comment: str) -> str:
    lines = (line.removeprefix("# ") for line in comment.splitlines())
    text = " ".join(line for line in lines if not MARK.fullmatch(line))
    return text.replace("|", r"\|")


def main(arguments: list[str]) -> None:
    *options, name = arguments
    file = Path(name)
    old = file.read_text(encoding="utf-8")
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        sys.exit(f"{file} must have the lines {BEGIN.strip()} and {END.strip()}.")
    try:
        tables = render(EXAMPLE.read_text(encoding="utf-8"))
    except KeyError as error:
        sys.exit(error.args[0])
    new = f"{before}{begin}\n{tables}\n{end}{after}"
    if "--check" not in options:
        file.write_text(new, encoding="utf-8")
    elif new != old:
        sys.exit(f"{file} is out of date. Run make docs and commit the result.")


if __name__ == "__main__":
    main(sys.argv[1:])
