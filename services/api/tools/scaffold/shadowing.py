"""Keeps the names of a resource apart from the names that the templates use.

A resource `date` with a field `text` needs these names, and so does the code around them. To separate them,
each file is also rendered for a resource whose names nothing else uses. Where both versions have the same
name, it comes from the template. Where a name would mean two things, one of them gets another name, as in
`from datetime import date as date_`.
"""

import ast
import builtins
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from tools.scaffold.includes import relation_name
from tools.scaffold.resource import Field, Many, Resource, ScaffoldError

PREFIX = "zq_"  # no other name contains it
FUNCTION = "a function"


@dataclass(frozen=True)
class Use:
    """A name in a file, and where it comes from."""

    name: str
    stand_in: str  # the same as the name if it comes from the template
    kind: str  # load, store, arg, import, def or class
    node: ast.AST
    scope: str  # the class whose body contains it, FUNCTION, or nothing
    text: ast.JoinedStr | None  # the f-string that contains it

    @property
    def is_own(self) -> bool:
        return self.name != self.stand_in

    @property
    def is_attribute(self) -> bool:
        return self.scope not in ("", FUNCTION) and self.kind in ("store", "def")


@dataclass
class Changes:
    """The new names of a file: by place, and those inside f-strings."""

    places: dict[tuple[int, int], tuple[str, str]] = field(default_factory=dict)
    texts: dict[tuple[int, int, int, int], dict[str, str]] = field(default_factory=dict)
    needs_builtins: bool = False


def stand_in_of(resource: Resource) -> Resource:
    """Return a resource with the same properties, but with names that nothing else uses."""
    fields = tuple(_stand_in_of_field(each) for each in resource.fields)
    many = tuple(_stand_in_of_many(each) for each in resource.many)
    pairs = list(zip(resource.fields, fields, strict=True))
    columns = {old.column_name: new.column_name for old, new in pairs}
    relations = {relation_name(old): relation_name(new) for old, new in pairs if old.target}
    relations |= {each.name: PREFIX + each.name for each in resource.many}
    return replace(
        resource,
        name=PREFIX + resource.name,
        plural=PREFIX + resource.plural,
        fields=fields,
        uniques=tuple(tuple(columns.get(name, name) for name in each) for each in resource.uniques),
        many=many,
        includes=tuple(relations[name] for name in resource.includes),
        indexes=tuple(tuple(columns.get(name, name) for name in each) for each in resource.indexes),
    )


def stand_ins_of_tables(tables: dict[str, str]) -> dict[str, str]:
    return tables | {PREFIX + name: PREFIX + table for name, table in tables.items()}


def without_shadowing(path: str, text: str, stand_in: str) -> str:
    """Return the text of a file with distinct names. `stand_in` is the text for the stand-in.

    Raises ScaffoldError if two things must have the same name.
    """
    uses = list(_uses(ast.parse(text), ast.parse(stand_in), "", None))
    _refuse_repeated_definitions(path, uses)
    taken = {use.name for use in uses} | {use.stand_in for use in uses}
    changes = Changes()
    for name in sorted(_shadowing_variables(uses)):
        _rename_own(path, name, uses, taken, changes)
    for class_name, name in sorted(_shadowing_attributes(uses)):
        _rename_others(path, name, class_name, uses, taken, changes)
    return _changed(text, changes)


def attributes(stand_in: str) -> Iterator[tuple[ast.ClassDef, str, bool]]:
    """Yield each attribute in the classes of a file, and whether it is the name of a field.

    The name is that of the resource, although the file is that of the stand-in.
    """
    tree = ast.parse(stand_in)
    for node in (each for each in tree.body if isinstance(each, ast.ClassDef)):
        for use in _uses(node, node, "", None):
            if use.is_attribute:
                yield node, use.name.removeprefix(PREFIX), use.name.startswith(PREFIX)


def _stand_in_of_field(each: Field) -> Field:
    arguments = each.arguments
    if each.target not in ("", "user"):
        arguments = (PREFIX + each.target, *arguments[1:])
    return replace(each, name=PREFIX + each.name, arguments=arguments)


def _stand_in_of_many(each: Many) -> Many:
    return replace(
        each, name=PREFIX + each.name, target=PREFIX + each.target, singular=PREFIX + each.singular
    )


def _uses(node: ast.AST, other: ast.AST, scope: str, text: ast.JoinedStr | None) -> Iterator[Use]:
    """Yield the names in both versions of a file, which differ only in the names of the resource."""
    children, other_children = list(ast.iter_child_nodes(node)), list(ast.iter_child_nodes(other))
    if type(node) is not type(other) or len(children) != len(other_children):
        if not _has_names(node) and not _has_names(other):
            return  # data of a test, which may depend on a name
        raise RuntimeError("The template depends on a name, so the two versions of a file differ.")
    named: Any = other
    inner = scope
    match node:
        case ast.Name():
            kind = "store" if isinstance(node.ctx, ast.Store) else "load"
            yield Use(node.id, named.id, kind, node, scope, text)
        case ast.arg():
            yield Use(node.arg, named.arg, "arg", node, scope, text)
        case ast.alias():
            yield Use(node.asname or node.name, named.asname or named.name, "import", node, scope, text)
        case ast.FunctionDef():
            yield Use(node.name, named.name, "def", node, scope, text)
            inner = FUNCTION
        case ast.ClassDef():
            yield Use(node.name, named.name, "class", node, scope, text)
            inner = node.name
        case ast.JoinedStr():
            text = node
    for child, other_child in zip(children, other_children, strict=True):
        is_outside = isinstance(node, ast.ClassDef) and child in (*node.bases, *node.decorator_list)
        yield from _uses(child, other_child, scope if is_outside else inner, text)


def _has_names(node: ast.AST) -> bool:
    kinds = (ast.Name, ast.arg, ast.alias, ast.FunctionDef, ast.ClassDef)
    return any(isinstance(each, kinds) for each in ast.walk(node))


def _refuse_repeated_definitions(path: str, uses: list[Use]) -> None:
    defined = [use for use in uses if use.kind in ("def", "class") and use.scope == ""]
    names = [use.name for use in defined]
    for use in defined:
        if use.is_own and names.count(use.name) > 1:
            raise ScaffoldError(f"{path} would define {use.name!r} twice. Choose another name.")


def _shadowing_variables(uses: list[Use]) -> set[str]:
    """Return the names outside of class bodies that would mean two things."""
    own = {use.name for use in uses if use.is_own and not use.is_attribute}
    others = {use.name for use in uses if not use.is_own and not use.is_attribute}
    stand_ins: dict[str, set[str]] = {}
    for use in uses:
        if use.is_own and not use.is_attribute:
            stand_ins.setdefault(use.name, set()).add(use.stand_in)
    others |= set(dir(builtins))  # a reader takes them for the built-in ones
    return own & others | {name for name, different in stand_ins.items() if len(different) > 1}


def _shadowing_attributes(uses: list[Use]) -> set[tuple[str, str]]:
    """Return the attributes whose names other code in the same class body uses."""
    own = {(use.scope, use.name) for use in uses if use.is_own and use.is_attribute}
    others = {(use.scope, use.name) for use in uses if not use.is_own and use.kind == "load"}
    return own & others


def _rename_own(path: str, name: str, uses: list[Use], taken: set[str], changes: Changes) -> None:
    """Rename variables and imports of the resource. If one is a class, rename what else has its name."""
    own: dict[str, list[Use]] = {}
    for use in uses:
        if use.is_own and use.name == name and not use.is_attribute:
            own.setdefault(use.stand_in, []).append(use)
    kinds = {stand_in: {use.kind for use in same} for stand_in, same in own.items()}
    fixed = [stand_in for stand_in, found in kinds.items() if found & {"def", "arg", "class"}]
    is_of_template = hasattr(builtins, name) or any(
        not use.is_own and use.name == name and not use.is_attribute for use in uses
    )
    if len(fixed) > 1 or (is_of_template and any("class" not in kinds[stand_in] for stand_in in fixed)):
        raise ScaffoldError(f"{path} uses the name {name!r} for something else. Choose another name.")
    if fixed and is_of_template:
        _rename_others(path, name, None, uses, taken, changes)
    variables = [same for stand_in, same in own.items() if stand_in not in fixed]
    if is_of_template and not any(use.kind in ("load", "store") for same in variables for use in same):
        _rename_others(
            path, name, None, uses, taken, changes
        )  # the import is for text such as "Author | None"
        variables = []
    for same in variables if fixed or is_of_template else variables[1:]:
        is_class = "import" in kinds[same[0].stand_in] and name[0].isupper()
        new = _free(f"{name}Model" if is_class else f"{name}_", taken)
        for use in same:
            _rename(use, new, changes)


def _rename_others(
    path: str, name: str, class_name: str | None, uses: list[Use], taken: set[str], changes: Changes
) -> None:
    """Import the template's name under another one, in a class body or in the whole file."""
    others = [use for use in uses if not use.is_own and use.name == name and not use.is_attribute]
    imports = [use for use in others if use.kind == "import"]
    if any(use.kind in ("store", "def", "class", "arg") and use.scope == "" for use in others):
        raise ScaffoldError(f"{path} uses the name {name!r} for something else. Choose another name.")
    if not imports and not hasattr(builtins, name):
        raise ScaffoldError(f"{path} uses the name {name!r} for something else. Choose another name.")
    changes.needs_builtins |= not imports
    new = _free(f"{name}_", taken) if imports else f"builtins.{name}"
    for use in others:
        if imports or class_name in (None, use.scope):
            _rename(use, new, changes)


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name


def _rename(use: Use, new: str, changes: Changes) -> None:
    node: Any = use.node
    if use.text is not None:  # before Python 3.12, nodes in f-strings have no usable position
        text = use.text
        place = (text.lineno, text.col_offset, text.end_lineno or 0, text.end_col_offset or 0)
        changes.texts.setdefault(place, {})[use.name] = new
        return
    changes.places[node.lineno, node.col_offset] = (
        use.name,
        f"{use.name} as {new}" if use.kind == "import" else new,
    )


def _changed(text: str, changes: Changes) -> str:
    lines = [line.encode() for line in text.splitlines(keepends=True)]
    edits = [((line, column), (line, column + len(old.encode())), old, {old: new})
             for (line, column), (old, new) in changes.places.items()]  # fmt: skip
    edits += [((a, b), (c, d), "", names) for (a, b, c, d), names in changes.texts.items()]
    for (line, column), (end_line, end), old, names in sorted(edits, key=lambda edit: edit[0], reverse=True):
        if line != end_line:
            raise RuntimeError("An f-string in a template spans several lines.")
        content = lines[line - 1]
        part = content[column:end].decode()
        new = names[old] if old else _renamed_in_f_string(part, names)
        lines[line - 1] = content[:column] + new.encode() + content[end:]
    result = b"".join(lines).decode()
    if changes.needs_builtins:
        result = re.sub(r"^(?=from |import )", "import builtins\n", result, count=1, flags=re.MULTILINE)
    return result


def _renamed_in_f_string(text: str, names: dict[str, str]) -> str:
    words = re.compile(rf"(?<![\w.'\"])({'|'.join(map(re.escape, names))})\b(?!['\"])")
    return re.sub(r"\{[^{}]*\}", lambda part: words.sub(lambda word: names[word[1]], part[0]), text)
