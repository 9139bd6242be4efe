"""The migrations that create, extend and drop the table of a resource."""

from datetime import UTC, datetime

from tools.scaffold.render import render
from tools.scaffold.views import FieldView, ResourceView, quoted

LIVE = ', postgresql_where=sa.text("deleted_at IS NULL"), sqlite_where=sa.text("deleted_at IS NULL")'
TIME = "%Y-%m-%d %H:%M:%S.%f"  # as SQLAlchemy stores it on SQLite
RANDOM_UUID = (
    'sa.text("gen_random_uuid()" if op.get_context().dialect.name == "postgresql"'
    ' else "(lower(hex(randomblob(16))))")'
)


def migration(
    kind: str, view: ResourceView, revision: str, down: str, message: str, new: FieldView | None = None
) -> str:
    return render(
        "migration.py",
        kind=kind,
        message=message,
        revision=revision,
        down_revision=down,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S"),
        create=_create_table(view),
        drop=f'    op.drop_table("{view.plural}")',
        add=_add_column(view, new) if new else "",
        remove=_remove_column(view, new) if new else "",
    )


def _create_table(view: ResourceView) -> str:
    table = view.plural
    columns = ['sa.Column("id", sa.Uuid(), nullable=False)']
    if view.has_owner:
        columns.append('sa.Column("owner_id", sa.Uuid(), nullable=False)')
    columns += [field.migration_column for field in view.fields]
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
    columns.append(f'sa.PrimaryKeyConstraint("id", name=op.f("pk_{table}"))')
    for names in () if view.soft_delete else view.uniques:
        columns.append(f"sa.UniqueConstraint({quoted(names)}, name={_named('uq', table, names)})")
    lines = [f'    op.create_table("{table}",', *(f"        {column}," for column in columns), "    )"]
    for names in view.indexes:
        where = LIVE if view.is_partial(names) else ""
        arguments = f'{_named("ix", table, names)}, "{table}", [{quoted(names)}]'
        lines.append(f"    op.create_index({arguments}, unique=False{where})")
    for names in view.uniques if view.soft_delete else ():
        arguments = f'{_named("ix", table, names)}, "{table}", [{quoted(names)}]'
        lines.append(f"    op.create_index({arguments}, unique=True{LIVE})")
    return "\n".join(lines)


def _add_column(view: ResourceView, new: FieldView) -> str:
    table, name = view.plural, new.column_name
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
                f"        batch_op.create_index({_named('ix', table, names)}, [{quoted(names)}],"
                f" unique=False{where})"
            )
    if _default_of_existing_rows(new):
        lines.append(f'    with op.batch_alter_table("{table}", schema=None) as batch_op:')
        lines.append(f'        batch_op.alter_column("{name}", server_default=None)')
    return "\n".join(lines)


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
    lines = [f'    with op.batch_alter_table("{table}", schema=None) as batch_op:']
    for names in view.indexes:
        if name in names:
            lines.append(f"        batch_op.drop_index({_named('ix', table, names)})")
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


def _foreign_key(table: str, column: str, other: str, action: str) -> str:
    name = f'op.f("fk_{table}_{column}_{other}")'
    return f'sa.ForeignKeyConstraint(["{column}"], ["{other}.id"], name={name}, ondelete="{action}")'


def _named(kind: str, table: str, columns: tuple[str, ...]) -> str:
    return f'op.f("{kind}_{table}_{"_".join(columns)}")'
