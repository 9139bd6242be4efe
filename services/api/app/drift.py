"""Detects changed conditions of CHECK constraints for migrations/env.py; Alembic compares only names."""

import re
from functools import partial

from alembic.ddl.impl import ComparisonResult
from alembic.runtime.migration import MigrationContext
from sqlalchemy import CheckConstraint, Connection, Dialect, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import AddConstraint

# For `context.configure`: compare CHECK constraints and server defaults too.
COMPARED = {
    "autogenerate_plugins": ["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname"],
    "compare_server_default": True,
}
TYPE = (
    r"""(?:"[^"]+"|[a-z_][a-z0-9_]*(?: varying| precision)?)(?:\([0-9, ]+\))?(?: with(?:out)? time zone)?"""
)
NOISE = re.compile(rf"""(?P<text>'(?:[^']|'')*')|::{TYPE}(?:\[\])*|[\s"]""")
PROBE = "check_constraint_probe"


def compare_conditions(context: MigrationContext) -> None:
    """Let this context compare the conditions of CHECK constraints that have the same name."""
    if connection := context.connection:
        context.impl.compare_check_constraint = partial(_compare, connection)  # type: ignore[method-assign]


def _compare(connection: Connection, model: CheckConstraint, database: CheckConstraint) -> ComparisonResult:
    condition = _compiled(model, connection.dialect)
    if connection.dialect.name == "postgresql":
        condition = _as_written(connection, model, condition)
    stored = str(database.sqltext)
    if _squeezed(condition) == _squeezed(stored):
        return ComparisonResult.Equal()
    return ComparisonResult.Different(f"{stored} to {condition}")


def _compiled(constraint: CheckConstraint, dialect: Dialect) -> str:
    compiler = dialect.ddl_compiler(dialect, AddConstraint(constraint)).sql_compiler
    return str(compiler.process(constraint.sqltext, include_table=False, literal_binds=True))


def _as_written(connection: Connection, constraint: CheckConstraint, condition: str) -> str:
    """Return a condition in PostgreSQL's own words, which differ from what was sent: ask it for the same
    constraint on an empty copy of the table.

    A condition that the table as it is doesn't allow, for instance on a column that is yet to be added,
    is returned as it is: it differs from any that the table has.
    """
    quoted = connection.dialect.identifier_preparer.format_table(constraint.table)
    savepoint = connection.begin_nested()
    try:
        connection.execute(text(f"CREATE TEMPORARY TABLE {PROBE} AS TABLE {quoted} WITH NO DATA"))
        connection.exec_driver_sql(f"ALTER TABLE {PROBE} ADD CONSTRAINT {PROBE} CHECK ({condition})")
        return str(inspect(connection).get_check_constraints(PROBE)[0]["sqltext"])
    except DBAPIError:
        return condition
    finally:
        savepoint.rollback()


def _squeezed(condition: str) -> str:
    """Leave out what a database adds or drops by itself: white space, quotes of names, and casts, which
    PostgreSQL places differently once a column's type has changed. Text in quotes stays as it is."""
    return NOISE.sub(lambda match: match["text"] or "", condition)
