"""Refuses the names that something else has already: found by asking the app and the generated code."""

import ast
import inspect
import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from flask import Flask
from pydantic import BaseModel, create_model
from sqlalchemy.orm import DeclarativeBase

from app.events import Event
from app.model import MODELS
from kit.data.ownership import OWNER_NAMES
from kit.web.openapi import build
from kit.web.schemas import RequestBody, ResponseBody
from tools.scaffold.resource import Field, Resource, ScaffoldError
from tools.scaffold.shadowing import PREFIX, attributes

# PostgreSQL has these columns in every table, and SQLite the last one.
SYSTEM_COLUMNS = {"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid", "oid", "rowid"}
MODULES = ("app/blueprint/__init__.py", "app/model/__init__.py")  # they import each generated module


def refuse_taken_resource(api: Path, app: Flask, resource: Resource, tables: Iterable[str]) -> None:
    """Raise ScaffoldError if the app has something else with one of the names of a resource."""
    for what, names, taken in (
        ("The event {!r}", resource.events, {event.value for event in Event}),
        ("A model {}", [resource.class_name], {model.__name__ for model in MODELS}),
        ("A table {!r}", [resource.plural], {*tables, "alembic_version"}),
        ("A blueprint {!r}", [resource.name], set(app.blueprints)),
        ("The path {}", [resource.path], _paths(app)),
        ("The scope {}:read", [resource.plural], _scopes(app)),
    ):
        if found := [name for name in names if name in taken]:
            hint = ", or pass --plural" if names[0] in (resource.plural, resource.path) else ""
            raise ScaffoldError(f"{what.format(found[0])} already exists. Choose another name{hint}.")
    # part: sqlite
    if resource.plural.startswith("sqlite_"):
        raise ScaffoldError(f"SQLite reserves table names such as {resource.plural}. Choose another name.")
    # end of part
    if resource.plural.startswith("pg_"):  # without a schema, pg_class means the catalog's table
        raise ScaffoldError(
            f"PostgreSQL reserves table names such as {resource.plural}. Choose another name."
        )
    for module in MODULES:
        bound = _bound_names((api / module).read_text(encoding="utf-8"))
        if found := [name for name in (resource.name, resource.class_name) if name in bound]:
            raise ScaffoldError(f"{module} has another {found[0]!r}. Choose another name.")


def refuse_taken_schemas(app: Flask, schemas: str) -> None:
    """Raise ScaffoldError if a class in the text of a schemas module has the name of another schema."""
    bodies = (*_subclasses(RequestBody), *_subclasses(ResponseBody))
    taken = _documented(app) | {each.__name__ for each in bodies}
    for node in ast.parse(schemas).body:
        if isinstance(node, ast.ClassDef) and node.name in taken:
            raise ScaffoldError(f"A schema {node.name} already exists. Choose another name.")


def refuse_taken_fields(resource: Resource, stand_ins: Mapping[str, str]) -> None:
    """Raise ScaffoldError if a field has the name of an attribute that its model or a schema has already."""
    for field in resource.fields:
        _refuse_column(field)
    specs = {field.column_name: field.spec for field in resource.fields}
    for path, text in stand_ins.items():
        found = list(attributes(text)) if path.startswith("app/") else []
        for node, name, is_field in found:
            bases = [_object(text, base) for base in node.bases] if is_field else []
            others = {other for each, other, is_of_field in found if each is node and not is_of_field}
            if is_field and (name in others or any(_has(base, name) for base in bases if base)):
                described = _described(_real(node.name), bases)
                raise ScaffoldError(
                    f"{specs.get(name, name)!r}: {described} has {name!r} already. Choose another name."
                )


def _real(class_name: str) -> str:
    """Return the name of the class that the stand-in's class stands for."""
    return class_name.replace(PREFIX.strip("_").capitalize(), "", 1)


def _refuse_column(field: Field) -> None:
    name = field.column_name
    if name in SYSTEM_COLUMNS:
        raise ScaffoldError(f"{field.spec!r}: every table has a column {name!r}. Choose another name.")
    is_reference_to_user = field.target == "user" and name != OWNER_NAMES[0]
    if name in OWNER_NAMES and not is_reference_to_user:
        raise ScaffoldError(
            f"{field.spec!r}: {name!r} names the owner of a row. Use --owned, or choose another name."
        )


def _has(base: Any, name: str) -> bool:
    """Return whether a class with this base can't have an attribute of this name."""
    if issubclass(base, BaseModel):
        if name in base.model_fields or hasattr(base, name):
            return True
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                fields: Any = {name: (int, 0)}
                create_model("Trial", __base__=base, **fields)
            except (NameError, TypeError, UserWarning, ValueError):
                return True
        return False
    if issubclass(base, DeclarativeBase) and name in inspect.signature(base.__init__).parameters:
        return True
    return hasattr(base, name)


def _described(name: str, bases: list[Any]) -> str:
    if any(issubclass(base, BaseModel) for base in bases if base):
        return f"the schema {name}"
    return f"the model {name}"


def _object(text: str, expression: ast.expr) -> Any:
    """Return the class that an imported name means in the text of a module, or None."""
    if isinstance(expression, ast.Name):
        for node in (each for each in ast.parse(text).body if isinstance(each, ast.ImportFrom)):
            for alias in node.names:
                if (alias.asname or alias.name) == expression.id:
                    found = getattr(import_module(str(node.module)), alias.name)
                    return found if isinstance(found, type) else None
    return None


@cache
def _documented(app: Flask) -> frozenset[str]:
    return frozenset(build(app)["components"]["schemas"])


def _paths(app: Flask) -> set[str]:
    """Return the first segments of all routes, such as /users."""
    return {"/" + rule.rule.split("/")[1] for rule in app.url_map.iter_rules()}


def _scopes(app: Flask) -> set[str]:
    declarations = (getattr(view, "declaration", None) for view in app.view_functions.values())
    return {str(each.scope).partition(":")[0] for each in declarations if each and each.scope}


def _bound_names(text: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def _subclasses(base: type[Any]) -> Iterator[type[Any]]:
    for each in base.__subclasses__():
        yield each
        yield from _subclasses(each)
