"""New values of enum fields."""

import ast
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tools.scaffold.changes import Changes
from tools.scaffold.render import render
from tools.scaffold.resource import FIELD, Field, Resource, ScaffoldError, parse_field
from tools.scaffold.tree import Tree
from tools.scaffold.views import FieldView


def with_choice(resource: Resource, name: str, value: str) -> Resource:
    """Return the resource with a further value of an enum field. Raises ScaffoldError."""
    field = next((each for each in resource.fields if each.name == name), None)
    if field is None or field.type != "enum":
        enums = ", ".join(each.name for each in resource.fields if each.type == "enum") or "none"
        raise ScaffoldError(f"{resource.name} has no enum field {name!r}. Its enum fields: {enums}.")
    if value in field.arguments:
        raise ScaffoldError(f"{name!r} already has the value {value!r}.")
    match = FIELD.fullmatch(field.spec)
    assert match is not None  # noqa: S101 (it was parsed before)
    end = match.end("inside")
    written = '"{}"'.format(value.replace('"', '""')) if re.search(r'[,()"]', value) else value
    new = parse_field(f"{field.spec[:end]},{written}{field.spec[end:]}", resource.plural)
    return replace(resource, fields=tuple(new if each is field else each for each in resource.fields))


def choice_migration(
    tree: Tree, before: Resource, after: Resource, name: str, changes: Changes, revision: str, down: str
) -> str:
    """Return the migration that replaces the CHECK constraint with one that allows the new value.

    It lists the values in the order of the model, which may have further ones that were added by hand.
    """
    model = f"app/model/{after.name}.py"
    mine = tree.read(model) if (tree.api / model).exists() else ""
    old, new = (next(each for each in resource.fields if each.name == name) for resource in (before, after))
    [value] = set(new.arguments) - set(old.arguments)
    enum = FieldView(new, tree.view(after)).enum
    values = _values_in(mine, enum) or list(old.arguments)
    if value in values:
        raise ScaffoldError(f"{enum} in {model} already has the value {value!r}. Run make migration instead.")
    with_value = _values_in(changes.texts.get(model, ""), enum)
    if value not in with_value:
        with_value = [*values, value]
    old, new = replace(old, arguments=tuple(values)), replace(new, arguments=tuple(with_value))
    width = _width_in(mine, after.class_name, new.column_name) or _width(old)
    return render(
        "choice_migration.py",
        message=f"Allow another {new.words} of {after.plural_words}.",
        revision=revision,
        down_revision=down,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"),
        table=after.plural,
        column=new.column_name,
        constraint=f"ck_{after.plural}_{new.column_name}",
        old_condition=repr(_condition(tree, before, old)),
        new_condition=repr(_condition(tree, after, new)),
        value_condition=repr(_condition(tree, after, replace(new, arguments=(value,)))),
        old_width=width,
        new_width=max(width, _width(new)),
        nullable=new.is_nullable,
        refusal=repr(f"Rows of {after.plural} have the {new.words} {value!r}. Change or delete them first."),
    )


def _values_in(model: str, enum: str) -> list[str]:
    """Return the values of an enum class in the order of the code."""
    statements = _body(model, enum)
    values = (each.value for each in statements if isinstance(each, ast.Assign))
    return [each.value for each in values if isinstance(each, ast.Constant) and isinstance(each.value, str)]


def _width_in(model: str, class_name: str, column: str) -> int | None:
    """Return the length of the column's type in the code, such as 32 for String(32)."""
    for each in _body(model, class_name):
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and each.target.id == column:
            calls = (call for call in ast.walk(each) if isinstance(call, ast.Call))
            lengths = [call.args[0] for call in calls if ast.unparse(call.func) == "String" and call.args]
            return next((each.value for each in lengths if isinstance(each, ast.Constant)), None)  # type: ignore[return-value]
    return None


def _body(module: str, class_name: str) -> Sequence[Any]:
    classes = (each for each in ast.parse(module).body if isinstance(each, ast.ClassDef))
    return next((each.body for each in classes if each.name == class_name), [])


def _width(field: Field) -> int:
    return int(field.fill("{longest}"))


def _condition(tree: Tree, resource: Resource, field: Field) -> str:
    """Return the condition of the CHECK constraint for this version of a field."""
    fields = tuple(field if each.name == field.name else each for each in resource.fields)
    return dict(tree.view(replace(resource, fields=fields)).checks)[field.column_name]
