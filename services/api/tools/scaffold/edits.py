"""Edits of Python files that may have been changed by hand.

`merge` applies the difference between two generated texts to a third one. It compares statements, and items
of collections, instead of lines. So it finds their places in a file that was reordered, extended or formatted
in another way, and changes nothing else in it.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher, unified_diff
from typing import Any

import libcst as cst

from tools.scaffold.syntax import (
    ASSIGNMENTS,
    COLLECTIONS,
    Source,
    code,
    form,
    imported,
    is_docstring,
    is_import,
    key,
    matched,
    parts,
    statement_code,
)

COMMA = re.compile(rb"(?:\s|\\\r?\n|#[^\n]*\n)*,")


class PlaceNotFoundError(Exception):
    """The code to change was removed, renamed or rewritten."""


@dataclass(frozen=True)
class Step:
    """A change that is left to the user: its place in a file, and a diff."""

    place: str
    lines: list[str]


@dataclass
class Merged:
    text: str
    left: list[Step] = field(default_factory=list)
    present: list[str] = field(default_factory=list)  # the additions that the file already had


def merge(mine: str, old: str, new: str, *, keep: Collection[str] = ()) -> Merged:
    """Apply the difference between `old` and `new` to `mine`. Code in `keep` isn't removed."""
    if mine == old:
        return Merged(new)
    run = _Merge(Source(old), Source(new), Source(mine), keep)
    try:
        text = run.text()
        cst.parse_module(text)
    except (PlaceNotFoundError, cst.ParserSyntaxError):
        return Merged(mine, steps(old, new))
    return Merged(text, run.left, run.present)


def steps(old: str, new: str) -> list[Step]:
    """Return the difference of two generated texts, by statement."""
    before, after = cst.parse_module(old).body, cst.parse_module(new).body
    pairs = _paired(before, after)
    found = [
        _step(before[pairs[index]] if index in pairs else None, each)
        for index, each in enumerate(after)
        if index not in pairs or form(before[pairs[index]]) != form(each)
    ]
    gone = (each for index, each in enumerate(before) if index not in set(pairs.values()))
    return [*found, *(_step(each, None) for each in gone)]


def _step(old: cst.CSTNode | None, new: cst.CSTNode | None) -> Step:
    before, after = (
        [] if each is None else statement_code(each, "").strip("\n").splitlines() for each in (old, new)
    )
    lines = list(unified_diff(before, after, n=1, lineterm=""))[2:]
    return Step(_name(new or old), [line for line in lines if not line.startswith("@@")])


def _name(statement: cst.CSTNode | None) -> str:
    match statement:
        case cst.ClassDef(cst.Name(name)):
            return f"class {name}"
        case cst.FunctionDef(cst.Name(name)):
            return f"{name}()"
        case cst.SimpleStatementLine(body=[cst.Import() | cst.ImportFrom()]):
            return "imports"
        case cst.SimpleStatementLine(body=[cst.Assign(targets=[cst.AssignTarget(target)])]):
            return code(target)
        case cst.SimpleStatementLine(body=[cst.AnnAssign(target)]):
            return code(target)
    return "module"


class _Merge:
    def __init__(self, old: Source, new: Source, mine: Source, keep: Collection[str]) -> None:
        self.old, self.new, self.mine, self.keep = old, new, mine, keep
        self.edits: list[tuple[int, int, bytes]] = []
        self.left: list[Step] = []
        self.present: list[str] = []

    def text(self) -> str:
        """Return the merged text. What can't be merged is in `left`, by statement of the module."""
        self._sequence(self.old.module.body, self.new.module.body, self.mine.module.body, self.mine.module)
        content, done = b"", 0
        for start, end, inserted in sorted(self.edits, key=lambda edit: edit[0]):
            if start < done:
                raise PlaceNotFoundError
            content += self.mine.content[done:start] + inserted
            done = end
        return (content + self.mine.content[done:]).decode()

    def _sequence(
        self, old: Sequence[Any], new: Sequence[Any], mine: Sequence[Any], owner: cst.CSTNode
    ) -> None:
        """Merge statements, or items between commas."""
        pairs, places = _paired(old, new), matched(old, mine)
        self._refuse_rewritten(old, new, pairs, places)
        taken = set(places.values())
        others = [each for index, each in enumerate(mine) if index not in taken]
        of_new = {index: mine[places[pair]] for index, pair in pairs.items() if pair in places}
        anchor = None
        for index, item in enumerate(new):
            before = old[pairs[index]] if index in pairs else None
            with_undo = len(self.edits)
            try:
                if index in of_new:
                    self._node(before, item, of_new[index])
                    anchor = of_new[index]
                elif before is None:
                    following = next(
                        (of_new[later] for later in range(index, len(new)) if later in of_new), None
                    )
                    anchor = self._add(item, others, anchor, following, mine, owner)
                elif form(before) != form(item) and form(item) not in map(form, others):
                    raise PlaceNotFoundError
            except PlaceNotFoundError:
                if owner is not self.mine.module:
                    raise
                del self.edits[with_undo:]
                self.left.append(_step(before, item))
        for index, item in enumerate(old):
            if index in places and index not in set(pairs.values()):
                self._remove(item, mine, places[index])

    def _refuse_rewritten(
        self, old: Sequence[Any], new: Sequence[Any], pairs: dict[int, int], places: dict[int, int]
    ) -> None:
        """Refuse to add the replacement of an item that the user has rewritten, beside it."""
        for start, end, added in _replaced(old, new):
            if added and any(
                index not in places for index in range(start, end) if index not in set(pairs.values())
            ):
                raise PlaceNotFoundError

    def _node(self, old: Any, new: Any, mine: Any) -> None:
        if form(old) == form(new) or form(mine) == form(new):
            return
        with_undo = len(self.edits)
        try:
            self._inside(old, new, mine)
        except PlaceNotFoundError:
            del self.edits[with_undo:]
            if form(mine) == form(old):
                self._replace(mine, new)
            elif not is_docstring(new):
                raise

    def _inside(self, old: Any, new: Any, mine: Any) -> None:
        if all(isinstance(each, COLLECTIONS) for each in (old, new, mine)):
            self._sequence(old.elements, new.elements, mine.elements, mine)
        elif all(isinstance(each, ASSIGNMENTS) for each in (old, new, mine)) and type(old) is not type(mine):
            self._node(old.value, new.value, mine.value)
        elif type(old) is type(new) is type(mine):
            other = dict(parts(mine))
            after = dict(parts(new))
            for name, part in parts(old):
                self._part(part, after[name], other[name], mine)
        else:
            raise PlaceNotFoundError

    def _part(self, old: Any, new: Any, mine: Any, owner: cst.CSTNode) -> None:
        if form(old) == form(new):
            return
        if all(isinstance(each, cst.CSTNode) for each in (old, new, mine)):
            self._node(old, new, mine)
        elif not all(isinstance(each, list | tuple) for each in (old, new, mine)):
            raise PlaceNotFoundError
        elif all(_is_statement(each) or hasattr(each, "comma") for each in (*old, *new, *mine)):
            self._sequence(old, new, mine, owner)
        else:
            self._changed(old, new, mine)

    def _changed(self, old: Sequence[Any], new: Sequence[Any], mine: Sequence[Any]) -> None:
        """Merge items to which none is added, such as decorators."""
        places = matched(old, mine)
        if len(old) == len(mine):
            places = {index: index for index in range(len(old))} | places
        if len(old) != len(new) or len(places) < len(old):
            raise PlaceNotFoundError
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            self._node(before, after, mine[places[index]])

    def _add(
        self,
        item: Any,
        others: list[Any],
        anchor: Any,
        following: Any,
        mine: Sequence[Any],
        owner: cst.CSTNode,
    ) -> Any:
        """Add an item after `anchor` or before `following`, and return the anchor of the next item."""
        if same := next((each for each in others if key(each) == key(item)), None):
            self._add_to(same, item)
            return same
        if is_import(item) and (anchor is None or not is_import(anchor)):
            anchor = _last_import(mine, item)
        elif anchor is None and following is None and mine:
            anchor = mine[-1]
        if _is_statement(item):
            self._add_statement(item, anchor, following or next(iter(mine), None))
        elif anchor is not None:
            self._add_after(item, anchor)
        elif following is not None:
            self._add_before(item, following)
        else:
            self._add_first(item, owner)
        return anchor

    def _add_to(self, same: Any, item: Any) -> None:
        """Add the names of an import to one that exists. Other items must be the same."""
        module, wanted = imported(item)
        _, existing = imported(same)
        if wanted and existing:
            known = {form(each) for each in existing}
            for name in wanted:
                if form(name) in known:
                    self.present.append(_import_of(module, name))
                else:
                    self._add_after(name, existing[-1])
        elif form(same) == form(item):
            self.present.append(code(item))
        else:
            raise PlaceNotFoundError

    def _add_statement(self, item: Any, anchor: Any, following: Any) -> None:
        mine = self.mine
        if anchor is None and following is None:
            raise PlaceNotFoundError
        indent = mine.indent(anchor if anchor is not None else following)
        if is_import(item):
            item = item.with_changes(leading_lines=())  # ruff groups sorted imports
        text = statement_code(item, indent.decode()).encode().replace(b"\n", mine.newline)
        if anchor is None:
            blank_and_comments = len(getattr(following, "leading_lines", ()))
            place = mine.line_start(mine.start(following))
            for _ in range(blank_and_comments):
                place = mine.line_start(place - 1)
            self._edit(place, place, text)
            return
        place = mine.next_line(mine.end(anchor))
        is_unfinished = place == len(mine.content) and not mine.content.endswith(b"\n")
        self._edit(place, place, mine.newline + text if is_unfinished else text)

    def _add_after(self, item: Any, anchor: Any) -> None:
        mine, end = self.mine, self.mine.end(anchor)
        comma = COMMA.match(mine.content, end)
        place = comma.end() if comma else end
        if mine.is_first_of_line(mine.start(anchor)) and mine.is_last_of_line(place):
            if not comma and (end, end, b",") not in self.edits:
                self._edit(end, end, b",")
            place = mine.line_end(place)
            self._edit(place, place, mine.newline + mine.indent(anchor) + _item(item) + b",")
        else:
            self._edit(place, place, b" " + _item(item) + b"," if comma else b", " + _item(item))

    def _add_before(self, item: Any, following: Any) -> None:
        mine, start = self.mine, self.mine.start(following)
        is_on_its_line = mine.is_first_of_line(start)
        space = mine.newline + mine.indent(following) if is_on_its_line else b" "
        self._edit(start, start, _item(item) + b"," + space)

    def _add_first(self, item: Any, owner: Any) -> None:
        """Add an item to an empty collection."""
        end = self.mine.end(owner)
        if isinstance(owner, cst.Tuple):
            place = self.mine.content.find(b")", end)
        elif isinstance(owner, cst.List | cst.Dict | cst.Call) and not owner.lpar:
            place = end - 1
        else:
            raise PlaceNotFoundError
        self._edit(place, place, _item(item) + b"," * isinstance(owner, cst.Tuple))

    def _replace(self, mine: Any, new: Any) -> None:
        start, end = self.mine.start(mine), self.mine.end(mine)
        if not _is_statement(mine):
            self._edit(start, end, _item(new))
            return
        plain = new.with_changes(leading_lines=())
        text = statement_code(plain, self.mine.indent(mine).decode()).strip()
        self._edit(start, end, text.encode().replace(b"\n", self.mine.newline))

    def _remove(self, old: Any, items: Sequence[Any], index: int) -> None:
        item = items[index]
        if imported(old)[1] and imported(item)[1]:
            self._remove_names(old, item)
        elif code(old) in self.keep:
            return
        elif form(item) != form(old):
            raise PlaceNotFoundError
        elif _is_statement(item):
            self._remove_statement(item)
        else:
            self._remove_item(items, index)

    def _remove_names(self, old: Any, item: Any) -> None:
        (module, names), (_, existing) = imported(old), imported(item)
        unwanted = [form(each) for each in names if _import_of(module, each) not in self.keep]
        removed = [index for index, each in enumerate(existing) if form(each) in unwanted]
        if len(removed) == len(existing):
            self._remove_statement(item)
            return
        for index in removed:
            self._remove_item(existing, index)

    def _remove_statement(self, item: Any) -> None:
        mine = self.mine
        start, end = mine.line_start(mine.start(item)), mine.next_line(mine.end(item))
        lines = list(getattr(item, "leading_lines", ()))
        while lines and lines.pop().comment is None and not isinstance(item, cst.SimpleStatementLine):
            start = mine.line_start(start - 1)
        self._edit(start, end, b"")

    def _remove_item(self, items: Sequence[Any], index: int) -> None:
        mine, item = self.mine, items[index]
        start, end = mine.start(item), mine.end(item)
        comma = COMMA.match(mine.content, end)
        after = comma.end() if comma else end
        if mine.is_first_of_line(start) and mine.is_last_of_line(after):
            self._edit(mine.line_start(start), mine.next_line(after), b"")
        elif index + 1 < len(items):
            self._edit(start, mine.start(items[index + 1]), b"")
        elif index == 0:
            self._edit(start, after, b"")
        else:
            before = mine.end(items[index - 1])
            kept_comma = COMMA.match(mine.content, before)
            needs_comma = len(items) == 2 and kept_comma and isinstance(item, cst.Element) and not comma
            self._edit(kept_comma.end() if needs_comma and kept_comma else before, end, b"")

    def _edit(self, start: int, end: int, content: bytes) -> None:
        self.edits.append((start, end, content))


def _paired(old: Sequence[Any], new: Sequence[Any]) -> dict[int, int]:
    """Return the index in `old` of each item of `new`. An item that replaces another one belongs to it."""
    pairs = {after: before for before, after in matched(old, new).items()}
    for start, end, added in _replaced(old, new):
        if end - start == len(added):
            for before, after in zip(range(start, end), added, strict=True):
                if (
                    after not in pairs
                    and before not in pairs.values()
                    and type(old[before]) is type(new[after])
                ):
                    pairs[after] = before
    return pairs


def _replaced(old: Sequence[Any], new: Sequence[Any]) -> Iterator[tuple[int, int, range]]:
    keys = [key(each) for each in old], [key(each) for each in new]
    for tag, start, end, first, last in SequenceMatcher(None, *keys, autojunk=False).get_opcodes():
        if tag == "replace":
            yield start, end, range(first, last)


def _is_statement(item: Any) -> bool:
    return isinstance(item, cst.SimpleStatementLine | cst.BaseCompoundStatement)


def _last_import(statements: Sequence[Any], wanted: Any) -> Any:
    """Return the import after which another one belongs, if possible the last one of the same package."""
    package = code(wanted).split()[1].split(".")[0]
    imports = [each for each in statements if is_import(each)]
    same = [each for each in imports if code(each).split()[1].split(".")[0] == package]
    docstring = [each for each in statements[:1] if is_docstring(each)]
    return next(reversed([*docstring, *(same or imports)]), None)


def _import_of(module: str, name: cst.ImportAlias) -> str:
    return f"from {module} import {code(name)}"


def _item(item: Any) -> bytes:
    return code(item).encode()
