"""Detects drift that Alembic doesn't: CHECK conditions, index definitions, server defaults.

Compares definitions as the database prints them. The model's definition is created on a temporary table,
which is rolled back. Used by migrations/env.py.
"""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

from alembic.autogenerate.api import AutogenContext
from alembic.ddl.impl import ComparisonResult
from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from alembic.runtime.plugins import Plugin
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy import (
    CheckConstraint,
    Column,
    Computed,
    Connection,
    Index,
    MetaData,
    Table,
    inspect,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex, CreateTable

from kit.data.database import db
from kit.data.migrations.dialects import exists_on  # part: sqlite
from kit.data.migrations.rendering import condition_of

PROBE = "drift_probe"
TYPE = (
    r"""(?:"[^"]+"|[a-z_][a-z0-9_]*(?: varying| precision)?)(?:\([0-9, ]+\))?(?: with(?:out)? time zone)?"""
)
NOISE = re.compile(rf"""(?P<text>'(?:[^']|'')*')|::{TYPE}(?:\[\])*|[\s"]""")


def arguments() -> dict[str, Any]:
    """Return the arguments for `context.configure`."""
    return {
        "autogenerate_plugins": ["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname", __name__],
        "compare_server_default": _default_differs,
        "include_object": lambda item, *_: _is_for(db.engine.dialect.name, item),  # part: sqlite
    }


# part: sqlite
def _is_for(dialect: str, item: object) -> bool:
    """Return whether this is for a database. `Index(...).ddl_if(dialect="postgresql")` isn't for SQLite."""
    only = getattr(getattr(item, "_ddl_if", None), "dialect", None)
    return only is None or dialect == only or dialect in tuple(only)


# end of part
def compare_conditions(context: MigrationContext) -> None:
    """Let this context compare the conditions of CHECK constraints that have the same name."""
    # part: sqlite
    # SQLAlchemy doesn't reflect indexes on expressions from SQLite; _compare_indexes asks SQLite itself.
    for warning in ("autogenerate skipping metadata-specified", "Skipped unsupported reflection of"):
        warnings.filterwarnings("ignore", f"{warning} expression-based index")
    # end of part
    if connection := context.connection:
        context.impl.compare_check_constraint = partial(_compare_checks, connection)  # type: ignore[method-assign]


def _compare_checks(
    connection: Connection, model: CheckConstraint, database: CheckConstraint
) -> ComparisonResult:
    condition, stored = condition_of(model), str(database.sqltext)
    # part: sqlite
    if connection.dialect.name == "sqlite":
        return _compared(condition, stored)
    # end of part
    with _probe(connection, model.table):
        try:
            connection.execute(text(f"ALTER TABLE {PROBE} ADD CHECK ({_escaped(condition)})"))
            condition = str(inspect(connection).get_check_constraints(PROBE)[0]["sqltext"])
        except DBAPIError:  # a new column, so the condition has changed
            pass
    return _compared(condition, stored)


def _compared(wanted: str, stored: str) -> ComparisonResult:
    if _squeezed(wanted) == _squeezed(stored):
        return ComparisonResult.Equal()
    return ComparisonResult.Different(f"{stored} to {wanted}")


def _default_differs(
    context: MigrationContext, _: Column[Any], model: Column[Any], inspected: str | None, *__: object
) -> bool | None:
    """Return whether the server default of a column differs; None leaves it to Alembic."""
    generated = model.autoincrement is True or model.identity or isinstance(model.server_default, Computed)
    if context.connection is None or generated or "nextval(" in (inspected or ""):
        return None
    if inspected is None or model.server_default is None:
        return (inspected is None) != (model.server_default is None)
    copy = Column("c", model.type, server_default=model.server_default.arg)  # type: ignore[attr-defined]
    probe = Table(PROBE, MetaData(), copy, prefixes=["TEMPORARY"])
    with _undone(context.connection):
        context.connection.execute(CreateTable(probe))
        [found] = inspect(context.connection).get_columns(PROBE)
    return _value(str(found["default"])) != _value(inspected)


def _compare_indexes(
    context: AutogenContext,
    changes: ops.ModifyTableOps,
    _schema: str | None,
    _name: str,
    database: Table | None,
    model: Table | None,
) -> PriorityDispatchResult:
    """Detect an index with another condition, expression or method under the same name."""
    # SQLite's reflection leaves out indexes on expressions, so this also detects a new one.  # part: sqlite
    connection = context.connection
    noticed = {getattr(change, "index_name", None) for change in changes.ops}
    if connection is not None and database is not None and model is not None:
        for index in sorted(model.indexes, key=lambda index: str(index.name)):
            if index.name in noticed:
                continue
            # part: sqlite
            if not exists_on(connection.dialect.name, index):
                continue
            # end of part
            stored, wanted = _stored(connection, index), _wanted(connection, index)
            if wanted and _squeezed(stored) != _squeezed(wanted):
                if stored:
                    changes.ops.append(ops.DropIndexOp.from_index(index))
                changes.ops.append(ops.CreateIndexOp.from_index(index))
    return PriorityDispatchResult.CONTINUE


Plugin(__name__).add_autogenerate_comparator(
    _compare_indexes, "table", "index definitions", priority=DispatchPriority.LAST
)


def _stored(connection: Connection, index: Index) -> str:
    """Return the definition of an index in the database, from its columns on, or nothing."""
    query = "SELECT indexdef FROM pg_indexes WHERE indexname = :name AND schemaname = current_schema()"
    # part: sqlite
    if connection.dialect.name == "sqlite":
        query = "SELECT sql FROM sqlite_master WHERE type = 'index' AND name = :name"
    # end of part
    return _definition(connection.scalar(text(query), {"name": str(index.name)}) or "")


def _wanted(connection: Connection, index: Index) -> str:
    """Return the definition that the database would give an index, or nothing if a column is missing."""
    statement = str(CreateIndex(index).compile(dialect=connection.dialect))
    # part: sqlite
    if connection.dialect.name == "sqlite":
        return _definition(statement)
    # end of part
    own = re.sub(r"INDEX .*? ON \S+ ", f"INDEX {PROBE}_index ON {PROBE} ", statement, count=1)
    with _probe(connection, cast("Table", index.table)):
        try:
            connection.exec_driver_sql(own)
        except DBAPIError:  # on a new column
            return ""
        query = text("SELECT indexdef FROM pg_indexes WHERE indexname = :name")
        return _definition(connection.scalar(query, {"name": f"{PROBE}_index"}) or "")


def _definition(statement: str) -> str:
    """Leave out the names of index and table, which come first."""
    unique, found, definition = re.sub(r"\s+", " ", statement).partition(" ON ")
    return f"{'UNIQUE' if 'UNIQUE' in unique else ''} {definition.partition(' ')[2]}" if found else ""


@contextmanager
def _probe(connection: Connection, table: Table) -> Iterator[None]:
    """Create an empty copy of a table for the block."""
    quoted = connection.dialect.identifier_preparer.format_table(table)
    with _undone(connection):
        connection.execute(text(f"CREATE TEMPORARY TABLE {PROBE} AS TABLE {quoted} WITH NO DATA"))
        yield


@contextmanager
def _undone(connection: Connection) -> Iterator[None]:
    """Roll back the block."""
    savepoint = connection.begin_nested()
    try:
        yield
    finally:
        savepoint.rollback()


def _escaped(condition: str) -> str:
    """Escape colons for `text()`, where they mark parameters."""
    return condition.replace(":", "\\:")


def _squeezed(definition: str) -> str:
    """Normalize a definition: remove white space, quotes of names and casts, but not inside text.

    PostgreSQL places casts differently once a column's type has changed.
    """
    return NOISE.sub(lambda match: match["text"] or "", definition)


def _value(default: str) -> str:
    """Return a default in a form that compares equal for equal values."""
    plain = _squeezed(default)
    # part: sqlite
    if plain.startswith("(") and plain.endswith(")"):  # SQLite requires them around expressions
        plain = plain[1:-1]
    # end of part
    return {"true": "1", "false": "0"}.get(plain, plain)
