"""The migrations that create, extend and drop the table of a resource."""

from collections.abc import Sequence
from datetime import UTC, datetime

from tools.scaffold import files
from tools.scaffold.lists import index_name
from tools.scaffold.many import ManyView
from tools.scaffold.render import render
from tools.scaffold.views import FieldView, ResourceView, quoted

LIVE = ', postgresql_where=sa.text("deleted_at IS NULL"), sqlite_where=sa.text("deleted_at IS NULL")'
TIME = "%Y-%m-%d %H:%M:%S.%f"  # as SQLAlchemy stores it on SQLite
RANDOM_UUID = (
    'sa.text("gen_random_uuid()" if op.get_context().dialect.name == "postgresql"'
    ' else "(lower(hex(randomblob(16))))")'
)
# Operations on an existing table, with the rules of squawk that they break (tools/lint_migrations.py).
BREAKS = {
    "create_index(": ["require-concurrent-index-creation"],
    "create_unique_constraint(": ["constraint-missing-not-valid", "disallowed-unique-constraint"],
    "create_foreign_key(": ["adding-foreign-key-constraint", "constraint-missing-not-valid"],
    "create_check_constraint(": ["constraint-missing-not-valid"],
    "drop_table(": ["ban-drop-table"],
}
WAITS = "brief, unless the table has millions of rows."
UNUSED = "the code doesn't use it. Apply it when no older version runs."


def migration(
    kind: str,
    view: ResourceView,
    revision: str,
    down: str,
    message: str,
    new: FieldView | ManyView | None = None,
) -> str:
    drop = "\n".join([*(many.drop_table for many in view.many), f'    op.drop_table("{view.plural}")'])
    add = _add(view, new) if new else ""
    return render(
        "migration.py",
        kind=kind,
        waivers=waivers({"drop": drop, "add": add}.get(kind, "")),
        message=message,
        revision=revision,
        down_revision=down,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"),
        create="\n".join([_create_table(view), *(many.create_table for many in view.many)]),
        drop=drop,
        add=add,
        remove=_remove(view, new) if new else "",
    )


def waivers(upgrade: str) -> list[str]:
    """Return the comments that allow what an upgrade does to an existing table."""
    rules = {rule for call, broken in BREAKS.items() if call in upgrade for rule in broken}
    reason = {"ban-drop-table": UNUSED}
    return [f"# squawk: allow {rule}: {reason.get(rule, WAITS)}" for rule in sorted(rules)]


def _create_table(view: ResourceView) -> str:
    table = view.plural
    columns = ['sa.Column("id", sa.Uuid(), nullable=False)']
    if view.has_owner:
        columns.append('sa.Column("owner_id", sa.Uuid(), nullable=False)')
    columns += [field.migration_column for field in view.fields]
    columns += [column for file in view.files for column in files.migration_columns(file.name)]
    columns += [
        f'sa.Column("{name}", sa.DateTime(timezone=True), nullable=False)'
        for name in ("created_at", "updated_at")
    ]
    if view.soft_delete:
        columns.append('sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True)')
    for name, condition in view.checks:
        columns.append(f'sa.CheckConstraint({condition!r}, name=op.f("ck_{table}_{name}"))')
    if view.has_owner:
        columns.append(_foreign_key(table, "owner_id", "users", "CASCADE"))
    for field in view.references:
        columns.append(_foreign_key(table, field.column_name, field.table, field.on_delete))
    for file in view.files:
        name = files.foreign_key_name(table, file.name)
        columns.append(f'sa.ForeignKeyConstraint(["{file.name}_id"], ["kit_files.id"], name={name})')
    columns.append(f'sa.PrimaryKeyConstraint("id", name=op.f("pk_{table}"))')
    for names in () if view.soft_delete else view.uniques:
        columns.append(f"sa.UniqueConstraint({quoted(names)}, name={_named('uq', table, names)})")
    lines = [f'    op.create_table("{table}",', *(f"        {column}," for column in columns), "    )"]
    for names in view.indexes:
        where = LIVE if view.is_partial(names) else ""
        index = f'{_index(table, names)}, "{table}", [{quoted(names)}]'
        lines.append(f"    op.create_index({index}, unique=False{where})")
    for names in view.uniques if view.soft_delete else ():
        index = f'{_named("ix", table, names)}, "{table}", [{quoted(names)}]'
        lines.append(f"    op.create_index({index}, unique=True{LIVE})")
    return "\n".join([*lines, *_create_trigram_indexes(table, view.searchable)])


def _create_trigram_indexes(table: str, columns: Sequence[str]) -> list[str]:
    if not columns:
        return []
    lines = [
        f'    op.create_index({_named("ix", table, (name,))}, "{table}", ["{name}"], unique=False,'
        f' postgresql_using="gin", postgresql_ops={{"{name}": "gin_trgm_ops"}})'
        for name in columns
    ]
    lines = _on_postgresql(lines)  # part: sqlite
    return ['    create_extension("pg_trgm")', *lines]


# part: sqlite
def _on_postgresql(lines: Sequence[str]) -> list[str]:
    return ['    if op.get_context().dialect.name == "postgresql":', *(f"    {line}" for line in lines)]


# end of part


def _add(view: ResourceView, new: FieldView | ManyView) -> str:
    return new.create_table if isinstance(new, ManyView) else _add_column(view, new)


def _remove(view: ResourceView, new: FieldView | ManyView) -> str:
    return new.drop_table if isinstance(new, ManyView) else _remove_column(view, new)


def _add_column(view: ResourceView, new: FieldView) -> str:
    table, name = view.plural, new.column_name
    if new.type == "file":
        return _add_file(table, name)
    lines = [
        f'    with op.batch_alter_table("{table}", schema=None) as batch_op:',
        f"        batch_op.add_column({_new_column(new)})",
    ]
    for column, condition in view.checks:
        if column == name:
            lines.append(
                f'        batch_op.create_check_constraint(op.f("ck_{table}_{name}"), {condition!r})'
            )
    if new.type == "ref":
        key = f'op.f("fk_{table}_{name}_{new.table}"), "{new.table}", ["{name}"], ["id"]'
        lines.append(f'        batch_op.create_foreign_key({key}, ondelete="{new.on_delete}")')
    for names in view.uniques:
        if name in names and view.soft_delete:
            lines.append(
                f"        batch_op.create_index({_named('ix', table, names)}, [{quoted(names)}],"
                f" unique=True{LIVE})"
            )
        elif name in names:
            lines.append(
                f"        batch_op.create_unique_constraint({_named('uq', table, names)}, [{quoted(names)}])"
            )
    for names in view.indexes:
        if name in names:
            where = LIVE if view.is_partial(names) else ""
            lines.append(
                f"        batch_op.create_index({_index(table, names)}, [{quoted(names)}],"
                f" unique=False{where})"
            )
    if _default_of_existing_rows(new):
        lines.append(f'    with op.batch_alter_table("{table}", schema=None) as batch_op:')
        lines.append(f'        batch_op.alter_column("{name}", server_default=None)')
    return "\n".join([*lines, *_create_trigram_indexes(table, [name] if new.is_searchable else [])])


def _new_column(new: FieldView) -> str:
    """Return the column to add. A default that only Python knows fills the existing rows."""
    default = _default_of_existing_rows(new)
    column = new.migration_column
    return f"{column.removesuffix(')')}, server_default={default})" if default else column


def _default_of_existing_rows(new: FieldView) -> str:
    if not new.has_default or new.has_server_default:
        return ""
    if new.type == "uuid" and new.is_computed:
        return RANDOM_UUID
    if new.is_computed:
        form = {"date": "%Y-%m-%d", "datetime": TIME}[new.type]
        return f'datetime.now(UTC).strftime("{form}")'
    if new.type == "datetime":
        return repr(datetime.fromisoformat(new.default).strftime(TIME))
    return f'UUID("{new.default}").hex'


def _remove_column(view: ResourceView, new: FieldView) -> str:
    table, name = view.plural, new.column_name
    if new.type == "file":
        return _remove_file(table, name)
    lines: list[str] = []
    if new.is_searchable:
        lines = [f'    op.drop_index({_named("ix", table, (name,))}, table_name="{table}")']
        lines = _on_postgresql(lines)  # part: sqlite
    lines.append(f'    with op.batch_alter_table("{table}", schema=None) as batch_op:')
    for names in view.indexes:
        if name in names:
            lines.append(f"        batch_op.drop_index({_index(table, names)})")
    for names in view.uniques:
        if name in names and view.soft_delete:
            lines.append(f"        batch_op.drop_index({_named('ix', table, names)})")
        elif name in names:
            lines.append(f'        batch_op.drop_constraint({_named("uq", table, names)}, type_="unique")')
    if new.type == "ref":
        lines.append(
            f'        batch_op.drop_constraint(op.f("fk_{table}_{name}_{new.table}"), type_="foreignkey")'
        )
    if any(column == name for column, _ in view.checks):
        lines.append(f'        batch_op.drop_constraint(op.f("ck_{table}_{name}"), type_="check")')
    lines.append(f'        batch_op.drop_column("{name}")')
    return "\n".join(lines)


def _add_file(table: str, name: str) -> str:
    key, index = files.foreign_key_name(table, name), _named("ix", table, (f"{name}_id",))
    return "\n".join(
        [
            f'    with op.batch_alter_table("{table}", schema=None) as batch_op:',
            *(f"        batch_op.add_column({column})" for column in files.migration_columns(name)),
            f'        batch_op.create_foreign_key({key}, "kit_files", ["{name}_id"], ["id"])',
            f'        batch_op.create_index({index}, ["{name}_id"], unique=False)',
        ]
    )


def _remove_file(table: str, name: str) -> str:
    key, index = files.foreign_key_name(table, name), _named("ix", table, (f"{name}_id",))
    return "\n".join(
        [
            f'    with op.batch_alter_table("{table}", schema=None) as batch_op:',
            f"        batch_op.drop_index({index})",
            f'        batch_op.drop_constraint({key}, type_="foreignkey")',
            *(f'        batch_op.drop_column("{column}")' for column in reversed(files.column_names(name))),
        ]
    )


def _foreign_key(table: str, column: str, other: str, action: str) -> str:
    name = f'op.f("fk_{table}_{column}_{other}")'
    return f'sa.ForeignKeyConstraint(["{column}"], ["{other}.id"], name={name}, ondelete="{action}")'


def _index(table: str, columns: tuple[str, ...]) -> str:
    name = index_name(table, columns)
    return f'op.f("{name}")' if name else _named("ix", table, columns)


def _named(kind: str, table: str, columns: tuple[str, ...]) -> str:
    return f'op.f("{kind}_{table}_{"_".join(columns)}")'
