"""The migrations that create, extend and drop the table of a resource."""

from datetime import UTC, datetime

from tools.scaffold.render import render
from tools.scaffold.views import FieldView, ResourceView, quoted


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
    if view.is_owned:
        columns.append('sa.Column("owner_id", sa.Uuid(), nullable=False)')
    columns += [field.migration_column for field in view.fields]
    columns += [
        f'sa.Column("{name}", sa.DateTime(timezone=True), nullable=False)'
        for name in ("created_at", "updated_at")
    ]
    for name, condition in view.checks:
        columns.append(f'sa.CheckConstraint({condition!r}, name=op.f("ck_{table}_{name}"))')
    if view.is_owned:
        columns.append(_foreign_key(table, "owner_id", "users", "CASCADE"))
    for field in view.references:
        columns.append(_foreign_key(table, field.column_name, field.table, field.on_delete))
    columns.append(f'sa.PrimaryKeyConstraint("id", name=op.f("pk_{table}"))')
    for names in view.uniques:
        columns.append(f"sa.UniqueConstraint({quoted(names)}, name={_named('uq', table, names)})")
    lines = [f'    op.create_table("{table}",', *(f"        {column}," for column in columns), "    )"]
    for names in view.indexes:
        lines.append(
            f'    op.create_index({_named("ix", table, names)}, "{table}", [{quoted(names)}], unique=False)'
        )
    return "\n".join(lines)


def _add_column(view: ResourceView, new: FieldView) -> str:
    table, name = view.plural, new.column_name
    lines = [
        f'    with op.batch_alter_table("{table}", schema=None) as batch_op:',
        f"        batch_op.add_column({new.migration_column})",
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
        if name in names:
            lines.append(
                f"        batch_op.create_unique_constraint({_named('uq', table, names)}, [{quoted(names)}])"
            )
    for names in view.indexes:
        if name in names:
            lines.append(
                f"        batch_op.create_index({_named('ix', table, names)}, [{quoted(names)}],"
                " unique=False)"
            )
    return "\n".join(lines)


def _remove_column(view: ResourceView, new: FieldView) -> str:
    table, name = view.plural, new.column_name
    lines = [f'    with op.batch_alter_table("{table}", schema=None) as batch_op:']
    for names in view.indexes:
        if name in names:
            lines.append(f"        batch_op.drop_index({_named('ix', table, names)})")
    for names in view.uniques:
        if name in names:
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
