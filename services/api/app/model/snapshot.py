"""Read-only copies of rows: every column of a model for the cost of a plain SELECT, without an ORM entity."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from sqlalchemy import inspect
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import InstrumentedAttribute

from app.model.models import Base


class Snapshot:
    """A copy of one row. It has the model's columns, properties and methods, but no relationships."""

    def __init__(self, names: Iterable[str], values: Iterable[Any]) -> None:
        vars(self).update(zip(names, values, strict=True))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"A {type(self).__name__} has no attribute {name!r}. It is a copy of the columns; "
            "for relationships get the row itself from its repository: get(id)."
        )

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(
            f"A {type(self).__name__} is read-only, so {name!r} can't be set. "
            "To change the row, get it from its repository: lock(id)."
        )


@cache
def columns_of(model: type[Base]) -> dict[str, Any]:
    """Return the mapped columns by attribute name. Call it at run time only, when all models are loaded."""
    return {attribute.key: getattr(model, attribute.key) for attribute in inspect(model).column_attrs}


@cache
def snapshot_of(model: type[Base]) -> type[Snapshot]:
    """Return the snapshot class of a model, with the model's own properties and methods."""
    members: dict[str, Any] = {}
    for parent in reversed(model.__mro__[: model.__mro__.index(Base)]):
        members |= {name: _plain(value) for name, value in vars(parent).items() if _is_own(name, value)}
    return type(f"{model.__name__}Snapshot", (Snapshot,), members)


def _is_own(name: str, value: object) -> bool:
    return not name.startswith("__") and not isinstance(value, InstrumentedAttribute)


def _plain(value: Any) -> Any:
    return property(value.fget) if isinstance(value, hybrid_property) else value
