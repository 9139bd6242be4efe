"""Lets one revision run on both databases, although only PostgreSQL has some of what a model declares.

Comments, and indexes with `.ddl_if(dialect="postgresql")`, exist only there, so a revision guards them. What
PostgreSQL prints is rewritten, because a downgrade recreates it on SQLite too.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from alembic.autogenerate import renderers
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import render_op
from alembic.operations import ops
from sqlalchemy import JSON, CheckConstraint, Column, DefaultClause, MetaData, TextClause, text
from sqlalchemy.dialects import postgresql

TEXT = re.compile(r"'(?:[^']|'')*'")
KEPT = re.compile("\0(\\d+)\0")
TYPE = (
    r"""(?:"[^"]+"|[a-z_]\w*(?: varying| precision)?)(?:\([\d, ]+\))?(?: with(?:out)? time zone)?(?:\[\])*"""
)
REWRITTEN = (  # what PostgreSQL prints, and what both databases read
    (rf"::{TYPE}", ""),
    (r"= ANY \(+ARRAY\[([^\]]*)\]\)+", r"IN (\1)"),
    (r"<> ALL \(+ARRAY\[([^\]]*)\]\)+", r"NOT IN (\1)"),
    (r" !~~ ", " NOT LIKE "),
    (r" ~~ ", " LIKE "),
)


class OnPostgresql(ops.MigrateOperation):
    """Changes that a revision makes only on PostgreSQL."""

    def __init__(self, changes: list[ops.MigrateOperation]) -> None:
        self.changes = changes


@renderers.dispatch_for(OnPostgresql)
def _render(context: AutogenContext, guarded: OnPostgresql) -> list[str]:
    lines = [line for change in guarded.changes for line in render_op(context, change)]
    return ['if op.get_context().dialect.name == "postgresql":', *lines, ""]


def included_on(dialect: str) -> Callable[..., bool]:
    """Return Alembic's `include_object` for a database, which ignores what a model has only on another."""

    def include(element: Any, _name: str, _kind: str, is_reflected: bool, _other: object) -> bool:
        return is_reflected or exists_on(dialect, element)

    return include


def exists_on(dialect: str, element: Any) -> bool:
    """Return whether the `ddl_if` of an index or a constraint allows it on this database."""
    condition = getattr(element, "_ddl_if", None)
    names = condition.dialect if condition else None
    return names is None or dialect in ([names] if isinstance(names, str) else names)


def guard(container: ops.UpgradeOps | ops.DowngradeOps, metadata: MetaData) -> None:
    """Take the changes that only PostgreSQL needs out of Alembic's batches: drop first, create last."""
    indexes = [index for table in metadata.tables.values() for index in table.indexes]
    known = {str(index.name) for index in indexes}
    only_there = {str(index.name) for index in indexes if not exists_on("sqlite", index)}
    drops: list[ops.MigrateOperation] = []
    others: list[ops.MigrateOperation] = []
    for change in list(container.ops):
        for each in list(getattr(change, "ops", ())):
            name = str(getattr(each, "index_name", ""))
            is_unknown = name not in known and _has_own_method(each)
            if is_unknown and isinstance(
                each, ops.DropIndexOp
            ):  # it may exist on SQLite, with its own method
                each.if_exists = True
                container.ops.insert(0, each)
            elif is_unknown or name in only_there or _is_about_comments(each):
                (drops if isinstance(each, ops.DropIndexOp) else others).append(each)
            else:
                continue
            change.ops.remove(each)  # type: ignore[attr-defined]
    if drops:
        container.ops.insert(0, OnPostgresql(drops))
    if others:
        container.ops.append(OnPostgresql(others))


def _has_own_method(change: Any) -> bool:
    """Return whether an index has a method or operator classes that only PostgreSQL has."""
    options = getattr(change, "kw", {}) if isinstance(change, ops.CreateIndexOp | ops.DropIndexOp) else {}
    return options.get("postgresql_using") not in (None, "", "btree") or bool(options.get("postgresql_ops"))


def _is_about_comments(change: Any) -> bool:
    if isinstance(change, ops.AlterColumnOp):
        others = (change.modify_type, change.modify_nullable, change.modify_name)
        changes_more = change.modify_server_default is not False or any(each is not None for each in others)
        return change.modify_comment is not False and not changes_more
    return isinstance(change, ops.CreateTableCommentOp | ops.DropTableCommentOp)


def write_neutrally(changes: Iterable[Any]) -> None:
    """Rewrite the definitions that come from PostgreSQL."""
    for change in changes:
        for name in ("existing_server_default", "modify_server_default"):
            if hasattr(change, name):
                setattr(change, name, _default(getattr(change, name)))
        for item in (*getattr(change, "columns", ()), getattr(change, "column", None)):
            if isinstance(item, Column):
                item.server_default = _default(item.server_default)
                if type(item.type) is postgresql.JSONB:
                    item.type = JSON().with_variant(postgresql.JSONB(), "postgresql")
            if isinstance(item, CheckConstraint):
                item.sqltext = _clause(item.sqltext)
        if isinstance(change, ops.CreateCheckConstraintOp):
            change.condition = _clause(change.condition)
        if isinstance(change, ops.CreateIndexOp):
            change.columns = [_clause(each) for each in change.columns]
            where = change.kw.get("postgresql_where")
            if where is not None:
                change.kw |= {"postgresql_where": _clause(where), "sqlite_where": _clause(where)}


def _default(default: Any) -> Any:
    argument = getattr(default, "arg", None)
    return DefaultClause(_clause(argument)) if isinstance(argument, TextClause) else default


def _clause(expression: Any) -> Any:
    return text(neutral(expression.text)) if isinstance(expression, TextClause) else expression


def neutral(expression: str) -> str:
    """Rewrite SQL in PostgreSQL's own form, but not the text in it: `(role)::text` becomes `(role)`."""
    texts = TEXT.findall(expression)
    numbers = iter(range(len(texts)))
    rewritten = TEXT.sub(lambda _: f"\0{next(numbers)}\0", expression)
    for pattern, replacement in REWRITTEN:
        rewritten = re.sub(pattern, replacement, rewritten)
    return KEPT.sub(lambda match: texts[int(match[1])], rewritten)
