"""Render the files of a resource from the templates."""

import json
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.model.models import Role
from tools.scaffold.resource import Field, Resource, member_of, path_of

TEMPLATES = Path(__file__).parent / "templates"
ENVIRONMENT = Environment(
    loader=FileSystemLoader(TEMPLATES),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # noqa: S701 (Python, no HTML)
)
ACCESS_DESCRIPTIONS = {
    "public": "everyone reads, admins change.",
    "owned": "each user has their own.",
    "admin": "for admins.",
}
ROLES = [role.value for role in Role if role not in (Role.USER, Role.ADMIN)]


def imported_names() -> set[str]:
    """Return the names that the templates import."""
    texts = (file.read_text(encoding="utf-8") for file in TEMPLATES.glob("*.jinja"))
    imports = (re.findall(r"^(?:from \S+ )?import (\([^)]*\)|.*)$", text, re.MULTILINE) for text in texts)
    return set(re.findall(r"\w+", " ".join(chain(*imports))))


def render(template: str, **context: Any) -> str:
    return ENVIRONMENT.get_template(f"{template}.jinja").render(**context)


class FieldView:
    """A field, with the properties that the templates need."""

    def __init__(self, field: Field, resource: "ResourceView") -> None:
        self.field, self.resource = field, resource

    def __getattr__(self, name: str) -> Any:
        return getattr(self.field, name)

    @property
    def python(self) -> str:
        may_be_null = self.is_nullable and self.type != "json"
        return f"{self.kind.python} | None" if may_be_null else str(self.kind.python)

    @property
    def column_arguments(self) -> str:
        parts = [self.fill(self.kind.column)]
        if self.type == "ref":
            parts = [f'ForeignKey("{self.table}.id", ondelete="{self.on_delete}")']
        if self.type == "json":
            parts.append(f"nullable={self.is_nullable}")
        if self.has_default:
            parts.append(f"server_default={self.server_default('')}")
        return ", ".join(parts)

    @property
    def table(self) -> str:
        """The table that the field refers to."""
        return self.resource.tables[self.target]

    @property
    def target_path(self) -> str:
        return path_of(self.table)

    def server_default(self, module: str) -> str:
        if self.type == "bool":
            return f"{module}{'true' if self.default else 'false'}()"
        return json.dumps(str(self.default), ensure_ascii=False)

    @property
    def migration_column(self) -> str:
        """The column in a migration."""
        default = f", server_default={self.server_default('sa.')}" if self.has_default else ""
        kind = self.fill(self.kind.migration_type)
        return f'sa.Column("{self.column_name}", {kind}, nullable={self.is_nullable}{default})'

    @property
    def enum(self) -> str:
        """The class name of an enum, or an empty string."""
        return f"{self.resource.class_name}{self.class_name}" if self.type == "enum" else ""

    @property
    def members(self) -> dict[str, str]:
        """The values of an enum by the names of its members."""
        return {member_of(value): value for value in self.arguments}

    @property
    def schema(self) -> str:
        return str(self.fill(self.kind.schema)).replace("{enum}", self.enum)

    @property
    def alias(self) -> str:
        """A name for a type that is too long to repeat, or an empty string."""
        suffix = "Value" if self.enum else ""
        return f"{self.resource.class_name}{self.class_name}{suffix}" if "[" in self.schema else ""

    @property
    def type_name(self) -> str:
        return self.alias or self.schema

    @property
    def body_type(self) -> str:
        if self.type == "json":
            return "Json" if self.is_nullable else "Annotated[Json, NotNull]"
        return f"{self.type_name} | None" if self.is_nullable else self.type_name

    @property
    def body_default(self) -> str:
        if self.has_default:
            return f" = {self.python_default}"
        return " = None" if self.is_nullable else ""

    @property
    def python_default(self) -> str:
        constructors = {"decimal": "Decimal({})", "date": "date.fromisoformat({})"}
        return constructors.get(str(self.type), "{}").format(repr(self.default))

    @property
    def factory_value(self) -> str:
        if self.type == "ref":
            return "person.id" if self.target == "user" else f'{self.target}.add(person)["id"]'
        if self.type == "enum" and (self.has_default or len(self.arguments) == 1):
            return json.dumps(self.example)
        return str(self.fill(self.kind.value))

    @property
    def other_choice(self) -> str:
        """A value of an enum that isn't its default, or an empty string."""
        others = [value for value in self.arguments if value != self.default] if self.enum else []
        return others[0] if others and self.has_default else ""

    @property
    def operators(self) -> list[str]:
        return [*self.kind.operators, *(["contains"] if self.is_searchable else [])]

    @property
    def comparable(self) -> str:
        value = f'row["{self.column_name}"]'
        return {"decimal": f"Decimal({value})"}.get(self.type, value)


class ResourceView:
    """A resource, with the properties that the templates need. `tables` maps resources to their tables."""

    def __init__(self, resource: Resource, tables: dict[str, str]) -> None:
        self.resource, self.tables = resource, tables
        self.fields = [FieldView(field, self) for field in resource.fields]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.resource, name)

    @property
    def who(self) -> str:
        return ACCESS_DESCRIPTIONS[self.access]

    @property
    def indexes(self) -> list[tuple[str, ...]]:
        owner = ("owner_id",) if self.is_owned else ()
        sorted_by = [(*owner, name, "id") for name in self.sortable]
        return [*sorted_by, *((field.column_name,) for field in self.fields if field.type == "ref")]

    @property
    def uniques(self) -> list[tuple[str, ...]]:
        owner = ("owner_id",) if self.is_owned else ()
        return [(*owner, field.column_name) for field in self.unique]

    @property
    def unique(self) -> list[FieldView]:
        return [field for field in self.fields if field.is_unique]

    @property
    def references(self) -> list[FieldView]:
        return [field for field in self.fields if field.type == "ref"]

    @property
    def targets(self) -> list[str]:
        return sorted({field.target for field in self.references})

    @property
    def checks(self) -> list[tuple[str, str]]:
        return [
            (field.column_name, f"{field.column_name} IN ({', '.join(map(repr, field.arguments))})")
            for field in self.enums
        ]

    @property
    def enum_names(self) -> list[str]:
        return [field.enum for field in self.enums]

    @property
    def enums(self) -> list[FieldView]:
        return [field for field in self.fields if field.enum]

    @property
    def table_arguments(self) -> Iterator[str]:
        for columns in self.uniques:
            yield f"UniqueConstraint({_quoted(columns)})"
        for field in self.enums:
            yield f'one_of("{field.column_name}", {field.enum})'
        for columns in self.indexes:
            yield f"Index(None, {_quoted(columns)})"

    @property
    def example(self) -> str:
        return repr({field.column_name: field.example for field in self.fields})

    @property
    def change_example(self) -> str:
        field = next((each for each in self.fields if each.type != "ref"), self.fields[0])
        return f"{field.column_name}={field.example!r}"

    @property
    def sort_arguments(self) -> str:
        return ", ".join([*(f'"{name}"' for name in self.sortable), 'default="-created_at"'])

    @property
    def conditions(self) -> Iterator[tuple[str, str, str]]:
        comparisons = {
            "": "equals this value",
            "gte": "is at least this value",
            "lte": "is at most this value",
            "contains": "contains this text",
        }
        for field in self.fields:
            for operator in field.operators:
                name = f"{field.column_name}__{operator}".removesuffix("__")
                yield (
                    name,
                    field.kind.query or field.type_name,
                    f"Only rows whose {field.words} {comparisons[operator]}.",
                )

    @property
    def refused(self) -> str:
        errors = ["AlreadyExists"] * bool(self.unique) + ["UnknownReference"] * bool(self.references)
        return ", ".join(errors)

    @property
    def invalid(self) -> Iterator[tuple[str, str, str]]:
        for field in self.fields:
            for value, code in field.kind.invalid:
                text = (
                    f'"{value[0]}" * {len(value)}'
                    if isinstance(value, str) and len(value) > 99
                    else repr(value)
                )
                yield field.column_name, text, code
            if field.is_required and field.type == "json":
                yield field.column_name, "None", "wrong_type"

    @property
    def required(self) -> str:
        return repr([field.column_name for field in self.fields if field.is_required])

    @property
    def optional(self) -> dict[str, object]:
        return {field.column_name: field.default for field in self.fields if not field.is_required}

    @property
    def counts_rows(self) -> bool:
        """Whether values of the factory depend on the number of the row."""
        return any(re.search(r"\bnumber\b", field.factory_value) for field in self.fields)

    @property
    def varies(self) -> bool:
        """Whether each body from the factory has other values."""
        return any(re.search(r"\bnumber\b|\(", field.factory_value) for field in self.fields)

    @property
    def other_values(self) -> str:
        """Arguments for the factory that change each enum from its default, or some value if none varies."""
        defaults = (field for field in self.enums if field.other_choice)
        others = {field.column_name: json.dumps(field.other_choice) for field in defaults}
        if not others and not self.varies:
            others = dict.fromkeys(self.nullable, "None")
            others = others or {field.column_name: "bob.id" for field in self.references}
        return "".join(f", {name}={value}" for name, value in others.items())

    @property
    def with_bob(self) -> str:
        """The parameter that tests need to pass `other_values`."""
        return ", bob: Person" if "bob" in self.other_values else ""

    @property
    def nullable(self) -> list[str]:
        return [field.column_name for field in self.fields if field.is_nullable]

    @property
    def never_null(self) -> list[str]:
        return [field.column_name for field in self.fields if not field.is_nullable]

    @property
    def three_keys(self) -> str:
        names = (self.sortable * 3)[:3]
        return f'"-{names[2]},{names[1]},-{names[0]}"'

    @property
    def filterable(self) -> list[FieldView]:
        return [field for field in self.fields if field.operators]


def matrix_rows(resource: Resource, callers: Sequence[str]) -> list[str]:
    """Return the resource's rows for tests/authorization.md, which has a column for each caller."""
    one = f"{resource.path}/<uuid:{resource.name}_id>"
    every = resource.path
    routes = [("GET", every, 200), ("POST", every, 201), ("GET", one, 200), ("PATCH", one, 200),
              ("PUT", one, 200), ("DELETE", one, 204)]  # fmt: skip
    rows = []
    for method, path, success in routes:
        is_public = resource.access == "public" and method == "GET"
        cells = dict.fromkeys(callers, success if is_public else 401)
        if not is_public:
            cells |= dict.fromkeys(("owner", "other"), success if resource.is_owned else 403)
            cells |= {"admin": success, "key with the scope": success, "key without": 403}
        if resource.is_owned and path == one:
            cells |= dict.fromkeys(("other", "admin"), 404)
        cells |= dict.fromkeys(ROLES, cells["other"])
        rows.append(f"| {method} {path} | {' | '.join(str(cells[caller]) for caller in callers)} |")
    return rows


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
        columns.append(f'sa.CheckConstraint("{condition}", name=op.f("ck_{table}_{name}"))')
    if view.is_owned:
        columns.append(_foreign_key(table, "owner_id", "users", "CASCADE"))
    for field in view.references:
        columns.append(_foreign_key(table, field.column_name, field.table, field.on_delete))
    columns.append(f'sa.PrimaryKeyConstraint("id", name=op.f("pk_{table}"))')
    for names in view.uniques:
        columns.append(f"sa.UniqueConstraint({_quoted(names)}, name={_named('uq', table, names)})")
    lines = [f'    op.create_table("{table}",', *(f"        {column}," for column in columns), "    )"]
    for names in view.indexes:
        lines.append(
            f'    op.create_index({_named("ix", table, names)}, "{table}", [{_quoted(names)}], unique=False)'
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
                f'        batch_op.create_check_constraint(op.f("ck_{table}_{name}"), "{condition}")'
            )
    if new.type == "ref":
        key = f'op.f("fk_{table}_{name}_{new.table}"), "{new.table}", ["{name}"], ["id"]'
        lines.append(f'        batch_op.create_foreign_key({key}, ondelete="{new.on_delete}")')
    for names in view.uniques:
        if name in names:
            lines.append(
                f"        batch_op.create_unique_constraint({_named('uq', table, names)}, [{_quoted(names)}])"
            )
    for names in view.indexes:
        if name in names:
            lines.append(
                f"        batch_op.create_index({_named('ix', table, names)}, [{_quoted(names)}],"
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


def _quoted(names: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in names)
