"""The lists that name each resource: blueprints, models, events, and the table of permissions."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from tools.scaffold.edits import Merged, Step, merge
from tools.scaffold.resource import Resource

TABLE = "tests/authorization.md"
Rows = Callable[[Sequence[str]], list[str]]  # the rows of the table for its columns, which are callers


@dataclass
class Registration:
    """The changed text of each list, the steps left to the user, and the lines that were there already."""

    texts: dict[str, str] = field(default_factory=dict)
    left: dict[str, list[Step]] = field(default_factory=dict)
    present: dict[str, list[str]] = field(default_factory=dict)

    def add(self, path: str, merged: Merged) -> None:
        self.texts[path] = merged.text
        if merged.left:
            self.left[path] = merged.left
        if merged.present:
            self.present[path] = merged.present


def paths(resource: Resource) -> list[str]:
    return [*_lists(resource), TABLE]


def registered(resource: Resource, rows: Rows, texts: dict[str, str]) -> Registration:
    """Add the resource to the texts of the lists."""
    result = Registration()
    for path, (without, named) in _lists(resource).items():
        result.add(path, merge(texts[path], without, named))
    result.add(TABLE, with_rows(texts[TABLE], rows))
    return result


def unregistered(
    resource: Resource, rows: Rows, texts: dict[str, str], keep: dict[str, list[str]]
) -> Registration:
    """Remove the resource from the texts of the lists, except the lines to keep."""
    result = Registration()
    for path, (without, named) in _lists(resource).items():
        result.add(path, merge(texts[path], named, without, keep=keep.get(path, ())))
    result.add(TABLE, _without_rows(texts[TABLE], rows, keep.get(TABLE, ())))
    return result


def _lists(resource: Resource) -> dict[str, tuple[str, str]]:
    """Return two excerpts of each list: one without the resource, and one that names it.

    Other items in them say where the new ones belong, if the list has these.
    """
    name, class_name = resource.name, resource.class_name
    lists = {
        "app/blueprint/__init__.py": (
            "BLUEPRINTS = (problem_pages.blueprint,)\n",
            f"from app.blueprint import {name}\nBLUEPRINTS = ({name}.blueprint, problem_pages.blueprint)\n",
        ),
        "app/model/__init__.py": (
            "MODELS = (StoredResponse,)\n",
            f"from app.model.{name} import {class_name}\nMODELS = ({class_name}, StoredResponse)\n",
        ),
    }
    if resource.events:
        members = "".join(f'    {event.upper()} = "{event}"\n' for event in resource.events)
        empty = "class Event(StrEnum):\n    pass\n"
        lists["app/events.py"] = (empty, empty + members)
    return lists


def routes(text: str, rows: Rows) -> set[str]:
    """Return the routes of the rows, such as GET /books."""
    lines = text.splitlines()
    table = _rows(lines)
    return {route_of(row) for row in rows(_cells(lines[table[0]])[1:])} if table else set()


def route_of(row: str) -> str:
    return _cells(row)[0]


def with_rows(text: str, rows_of: Rows) -> Merged:
    """Add rows at the end of the table, except those whose routes it has."""
    lines = text.splitlines(keepends=True)
    rows = _rows(lines)
    if not rows:
        line = "| route | anonymous | owner | ..."
        return Merged(text, [Step("the table of permissions, which is missing", [f"+{line}"])])
    wanted = rows_of(_cells(lines[rows[0]])[1:])
    known = {route_of(lines[row]) for row in rows}
    new = [row for row in wanted if route_of(row) not in known]
    last = lines[rows[-1]]
    newline = "\r\n" if last.endswith("\r\n") else "\n"
    lines[rows[-1]] = "".join([last.rstrip("\r\n"), newline, *(f"{row}{newline}" for row in new)])
    present = [route_of(row) for row in wanted if route_of(row) in known]
    return Merged("".join(lines), present=present)


def _without_rows(text: str, rows_of: Rows, keep: Collection[str]) -> Merged:
    lines = text.splitlines(keepends=True)
    rows = _rows(lines)
    own = routes(text, rows_of) - set(keep)
    gone = {row for row in rows if route_of(lines[row]) in own}
    return Merged("".join(line for number, line in enumerate(lines) if number not in gone))


def _rows(lines: Sequence[str]) -> list[int]:
    """Return the numbers of the lines of the table of routes."""
    rows: list[int] = []
    for number, line in enumerate(lines):
        if (rows and line.lstrip().startswith("|")) or route_of(line) == "route":
            rows.append(number)
        elif rows:
            break
    return rows


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().removeprefix("|").removesuffix("|").split("|")]
