"""The lists that name each resource: blueprints, models, events, and the table of permissions."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from tools.scaffold.edits import Merged, Step, merge
from tools.scaffold.permissions import matrix_rows
from tools.scaffold.resource import Resource

TABLE = "tests/authorization.md"


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


def registered(resource: Resource, texts: dict[str, str]) -> Registration:
    """Add the resource to the texts of the lists."""
    result = Registration()
    for path, (without, named) in _lists(resource).items():
        result.add(path, merge(texts[path], without, named))
    result.add(TABLE, _with_rows(texts[TABLE], resource))
    return result


def unregistered(resource: Resource, texts: dict[str, str], keep: dict[str, list[str]]) -> Registration:
    """Remove the resource from the texts of the lists, except the lines to keep."""
    result = Registration()
    for path, (without, named) in _lists(resource).items():
        result.add(path, merge(texts[path], named, without, keep=keep.get(path, ())))
    result.add(TABLE, _without_rows(texts[TABLE], resource, keep.get(TABLE, ())))
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


def _with_rows(text: str, resource: Resource) -> Merged:
    """Add the resource's rows at the end of the table. Rows of the same routes are left alone."""
    lines = text.splitlines(keepends=True)
    rows = _rows(lines)
    if not rows:
        line = "| route | anonymous | owner | ..."
        return Merged(text, [Step("the table of permissions, which is missing", [f"+{line}"])])
    wanted = matrix_rows(resource, _cells(lines[rows[0]])[1:])
    known = {_cells(lines[row])[0] for row in rows}
    new = [row for row in wanted if _cells(row)[0] not in known]
    last = lines[rows[-1]]
    newline = "\r\n" if last.endswith("\r\n") else "\n"
    lines[rows[-1]] = "".join([last.rstrip("\r\n"), newline, *(f"{row}{newline}" for row in new)])
    present = [_cells(row)[0] for row in wanted if _cells(row)[0] in known]
    return Merged("".join(lines), present=present)


def _without_rows(text: str, resource: Resource, keep: Collection[str]) -> Merged:
    lines = text.splitlines(keepends=True)
    rows = _rows(lines)
    if not rows:
        return Merged(text)
    own = {_cells(row)[0] for row in matrix_rows(resource, _cells(lines[rows[0]])[1:])} - set(keep)
    gone = {row for row in rows if _cells(lines[row])[0] in own}
    return Merged("".join(line for number, line in enumerate(lines) if number not in gone))


def _rows(lines: Sequence[str]) -> list[int]:
    """Return the numbers of the lines of the table of routes."""
    rows: list[int] = []
    for number, line in enumerate(lines):
        if (rows and line.lstrip().startswith("|")) or _cells(line)[0] == "route":
            rows.append(number)
        elif rows:
            break
    return rows


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().removeprefix("|").removesuffix("|").split("|")]
