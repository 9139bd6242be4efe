"""Read-only copies of rows: every column of a model for the cost of a plain SELECT, without an ORM entity."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import inspect

from kit.data.base import Base

Model = TypeVar("Model", bound=Base)


@cache
def columns_of(model: type[Base]) -> dict[str, Any]:
    """Return the mapped columns by attribute name. Call it when all models are loaded."""
    return {attribute.key: getattr(model, attribute.key) for attribute in inspect(model).column_attrs}


def snapshot(model: type[Model], values: Iterable[Any]) -> Model:
    """Return an instance of a model with these values of `columns_of`.

    SQLAlchemy doesn't track it. It has the columns, properties and methods; setting a column, reading a
    relationship and adding it to a session raise an error that says so.
    """
    return snapshot_of(model, dict(zip(columns_of(model), values, strict=True)))


def snapshot_of(model: type[Model], fields: Mapping[str, Any]) -> Model:
    """Return an instance of a model with some of its columns, such as those of a row that was inserted."""
    copy = model.__new__(model)
    vars(copy).update(fields)
    return copy
