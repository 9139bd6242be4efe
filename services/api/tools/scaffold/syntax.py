"""Python source whose parts can be compared without their layout, and found by their place in the text."""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from difflib import SequenceMatcher
from typing import Any

import libcst as cst
from libcst.metadata import ByteSpanPositionProvider, MetadataWrapper

LAYOUT = {
    "comma", "semicolon", "equal", "lpar", "rpar", "lbracket", "rbracket", "lbrace", "rbrace", "indent",
    "header", "footer", "leading_lines", "lines_after_decorators", "trailing_whitespace", "encoding",
    "default_indent", "default_newline", "has_trailing_newline",
}  # fmt: skip
COLLECTIONS = (cst.Tuple, cst.List, cst.Set)
ASSIGNMENTS = (cst.Assign, cst.AnnAssign)


class Source:
    """A parsed module, with the bytes of each part."""

    def __init__(self, text: str) -> None:
        wrapper = MetadataWrapper(cst.parse_module(text), unsafe_skip_copy=True)
        self.module = wrapper.module
        self.content = text.encode()
        self.newline = self.module.default_newline.encode()
        self._spans = wrapper.resolve(ByteSpanPositionProvider)

    def start(self, node: cst.CSTNode) -> int:
        decorators = getattr(node, "decorators", ())
        return min(self._spans[each].start for each in (*decorators, node))

    def end(self, node: cst.CSTNode) -> int:
        span = self._spans[node]
        return span.start + span.length

    def line_start(self, place: int) -> int:
        return self.content.rfind(b"\n", 0, place) + 1

    def line_end(self, place: int) -> int:
        """Return where the line ends, before its line break."""
        end = self.content.find(b"\n", place)
        end = len(self.content) if end < 0 else end
        return end - 1 if self.content[place:end].endswith(b"\r") else end

    def next_line(self, place: int) -> int:
        end = self.content.find(b"\n", place)
        return len(self.content) if end < 0 else end + 1

    def is_first_of_line(self, place: int) -> bool:
        return not self.content[self.line_start(place) : place].strip()

    def is_last_of_line(self, place: int) -> bool:
        """Return whether only a comment follows."""
        rest = self.content[place : self.line_end(place)].strip()
        return not rest or rest.startswith(b"#")

    def indent(self, node: cst.CSTNode) -> bytes:
        start = self.start(node)
        return self.content[self.line_start(start) : start]


def form(part: Any) -> Any:
    """Return what a part of the code says, without its layout and comments."""
    if isinstance(part, cst.SimpleString):
        return ("string", part.evaluated_value)
    if isinstance(part, cst.CSTNode):
        names = (field.name for field in fields(part))
        return (type(part).__name__, *(form(getattr(part, name)) for name in names if not _is_layout(name)))
    if isinstance(part, list | tuple):
        return tuple(form(each) for each in part)
    return part


def _is_layout(name: str) -> bool:
    return name in LAYOUT or name.startswith("whitespace")


def parts(node: cst.CSTNode) -> Iterator[tuple[str, Any]]:
    """Yield the attributes of a node that aren't layout."""
    for field in fields(node):
        if not _is_layout(field.name):
            yield field.name, getattr(node, field.name)


def key(item: cst.CSTNode) -> tuple[Any, ...]:
    """Return what identifies an item among its neighbors: its name, or its form if it has none."""
    found: tuple[Any, ...] = ("form", form(item))
    match item:
        case cst.ClassDef() | cst.FunctionDef():
            found = (type(item), item.name.value)
        case (
            cst.SimpleStatementLine(body=[cst.Assign(targets=[cst.AssignTarget(target)])])
            | cst.SimpleStatementLine(body=[cst.AnnAssign(target)])
        ):
            found = ("=", form(target))
        case cst.SimpleStatementLine(body=[cst.ImportFrom(module)]):
            found = ("from", form(module))
        case cst.SimpleStatementLine() if is_docstring(item):
            found = ("docstring",)
        case cst.Arg(keyword=cst.Name(name)) | cst.Param(cst.Name(name)):
            found = (type(item), name)
        case cst.DictElement():
            found = ("key", form(item.key))
    return found


def is_docstring(node: cst.CSTNode) -> bool:
    match node:
        case cst.SimpleStatementLine(body=[cst.Expr(cst.SimpleString() | cst.ConcatenatedString())]):
            return True
    return False


def is_import(node: cst.CSTNode) -> bool:
    match node:
        case cst.SimpleStatementLine(body=[cst.Import() | cst.ImportFrom()]):
            return True
    return False


def imported(node: cst.CSTNode) -> tuple[str, Sequence[cst.ImportAlias]]:
    """Return the module and the names of a `from ... import ...`, or nothing for another statement."""
    match node:
        case cst.SimpleStatementLine(body=[cst.ImportFrom(module, [*names], relative=())]) if module:
            return code(module), names
    return "", ()


def code(node: cst.CSTNode) -> str:
    """Return the code of an item, without its comma."""
    if hasattr(node, "comma"):
        node = node.with_changes(comma=cst.MaybeSentinel.DEFAULT)
    return cst.Module([]).code_for_node(node).strip()


def statement_code(statement: Any, indent: str) -> str:
    """Return the lines of a statement at this indentation, with the comments and blank lines above it."""
    if not indent:
        return cst.Module([]).code_for_node(statement)
    block = cst.If(cst.Name("x"), cst.IndentedBlock([statement], indent=indent))
    return cst.Module([]).code_for_node(block).partition("\n")[2]


def matched(first: Sequence[cst.CSTNode], second: Sequence[cst.CSTNode]) -> dict[int, int]:
    """Return the index in `second` of each item of `first`, wherever it was moved to."""
    keys, others = [key(each) for each in first], [key(each) for each in second]
    blocks = SequenceMatcher(None, keys, others, autojunk=False).get_matching_blocks()
    found = {block.a + step: block.b + step for block in blocks for step in range(block.size)}
    free = [index for index in range(len(second)) if index not in set(found.values())]
    for index, each in enumerate(keys):
        if (
            index not in found
            and (moved := next((place for place in free if others[place] == each), None)) is not None
        ):
            found[index] = moved
            free.remove(moved)
    return found
