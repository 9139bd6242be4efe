"""Renders generated migrations so that they run on both databases, whichever they were generated on."""

import re
from collections.abc import Iterator
from typing import Any

from alembic.operations import ops
from alembic.runtime.migration import MigrationContext
from sqlalchemy import (
    CHAR,
    DOUBLE_PRECISION,
    UUID,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    DefaultClause,
    false,
    true,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.schema import AddConstraint
from sqlalchemy.sql.elements import ClauseElement, False_, True_
from sqlalchemy.types import TypeEngine

from kit.data.column_types import Amount, UtcDateTime
from kit.data.migrations.dialects import guard, write_neutrally  # part: sqlite

# SQLite understands PostgreSQL's conditions. PostgreSQL refuses SQLite's 0 and 1 for booleans.
DIALECT = PGDialect(paramstyle="named")  # type: ignore[no-untyped-call]
PARAMETER = re.compile(r"(?<![:\w\\]):(?=\w)")  # a parameter for `text()`
DROPPED = """
# Drops a table or a column that the previous version may still use. Apply it one release after the code that
# no longer uses it.
"""
# How a revision writes types that PostgreSQL reports, and that SQLite doesn't have.
NEUTRAL_TYPES = {
    postgresql.TIMESTAMP: "sa.DateTime(timezone={type.timezone})",
    postgresql.BYTEA: "sa.LargeBinary()",
    postgresql.JSON: "sa.JSON()",
    DOUBLE_PRECISION: "sa.Float()",
    UUID: "sa.Uuid()",
}
BOOLEANS = {"0": false, "false": false, "1": true, "true": true}


def condition_of(constraint: CheckConstraint) -> str:
    """Return the condition of a CHECK constraint as SQL."""
    compiler = DIALECT.ddl_compiler(DIALECT, AddConstraint(constraint)).sql_compiler
    return str(compiler.process(constraint.sqltext, include_table=False, literal_binds=True))


def render_neutrally(context: MigrationContext) -> None:
    """Let this context render expressions in SQL that both databases understand."""
    original = context.impl.render_ddl_sql_expr

    def render(
        expression: ClauseElement, is_server_default: bool = False, is_index: bool = False, **options: Any
    ) -> str:
        if isinstance(expression, True_ | False_):
            return "true" if isinstance(expression, True_) else "false"
        if is_server_default:
            rendered = original(expression, is_server_default=True, **options)
        else:
            compiler = DIALECT.statement_compiler(DIALECT, None)
            rendered = compiler.process(expression, include_table=False, literal_binds=True)
        return str(rendered) if is_index else PARAMETER.sub(r"\\:", str(rendered))

    context.impl.render_ddl_sql_expr = render  # type: ignore[method-assign,assignment]


def type_text(type_: TypeEngine[Any], dialect: str) -> str | None:
    """Return the code for a type in a revision that this database generates. `None` is Alembic's default.

    Revisions must not change with the app's code, so they only use SQLAlchemy's types.
    """
    if isinstance(type_, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    if isinstance(type_, Amount):
        return f"sa.Numeric({type_.digits}, {type_.places})"
    if dialect == "postgresql" and type(type_) in NEUTRAL_TYPES:
        return NEUTRAL_TYPES[type(type_)].format(type=type_)
    # part: sqlite
    if dialect == "sqlite" and isinstance(type_, DateTime):
        return "sa.DateTime(timezone=True)"
    if dialect == "sqlite" and isinstance(type_, CHAR) and type_.length == 32:
        return "sa.Uuid()"
    # end of part
    return None


def finish(script: ops.MigrationScript, context: MigrationContext) -> None:
    """Correct a generated revision, its upgrade and its downgrade."""
    _write_booleans(script)
    # part: sqlite
    if context.dialect.name == "postgresql":
        write_neutrally(_all(script.downgrade_ops))
    # end of part
    if any(isinstance(each, ops.DropTableOp | ops.DropColumnOp) for each in _all(script.upgrade_ops)):
        script.imports.add(DROPPED)
    for container in (script.upgrade_ops, script.downgrade_ops):
        if container is not None:
            guard(container, context.opts["target_metadata"])  # part: sqlite
            _take_expression_indexes_out_of_batches(container)


def _take_expression_indexes_out_of_batches(container: ops.UpgradeOps | ops.DowngradeOps) -> None:
    """Drop indexes on expressions first and create them last. Alembic's batches only support columns."""
    for change in list(container.ops):
        for index in [each for each in getattr(change, "ops", ()) if _is_on_expression(each)]:
            change.ops.remove(index)  # type: ignore[attr-defined]
            if isinstance(index, ops.CreateIndexOp):
                container.ops.append(index)
            else:
                container.ops.insert(0, index)


def _is_on_expression(change: Any) -> bool:
    if not isinstance(change, ops.CreateIndexOp | ops.DropIndexOp):
        return False
    return not all(isinstance(each, Column) for each in change.to_index().expressions)


def _write_booleans(script: ops.MigrationScript) -> None:
    """Render boolean defaults as false and true. SQLite reports them as 0 and 1."""
    for change in _all(script.upgrade_ops, script.downgrade_ops):
        if isinstance(
            getattr(change, "modify_type", None) or getattr(change, "existing_type", None), Boolean
        ):
            change.modify_server_default = _boolean(change.modify_server_default)
            change.existing_server_default = _boolean(change.existing_server_default)
        columns = [change.column] if isinstance(change, ops.AddColumnOp) else []
        columns += [each for each in getattr(change, "columns", ()) if isinstance(each, Column)]
        for column in columns:
            if isinstance(column.type, Boolean):
                column.server_default = _boolean(column.server_default)


def _all(*containers: Any) -> Iterator[Any]:
    for each in containers:
        if each is not None:
            yield each
            yield from _all(*getattr(each, "ops", ()))


def _boolean(default: Any) -> Any:
    found = BOOLEANS.get(str(getattr(default, "arg", "")).strip("()'").lower())
    return DefaultClause(found()) if found else default
