"""What the templates see of a resource and its fields."""

import json
import re
from collections.abc import Iterator, Sequence, Set
from typing import Any

from kit.data.base import sql_name, sql_text
from tools.scaffold import files, lists, ranges
from tools.scaffold.arguments import members_of
from tools.scaffold.includes import Relation
from tools.scaffold.many import ManyView
from tools.scaffold.parents import ParentList
from tools.scaffold.resource import Field, Resource, path_of
from tools.scaffold.uniqueness import OWNER, is_repeatable

ACCESS_DESCRIPTIONS = {
    "public": "everyone reads, admins change.",
    "owned": "each user has their own.",
    "admin": "for admins.",
    "authored": "everyone reads, the owner and admins change.",
}


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
        if self.has_server_default:
            parts.append(f"server_default={self.server_default('')}")
        elif self.has_default:
            parts.append(f"default={self.python_default}")
        return ", ".join(parts)

    @property
    def has_server_default(self) -> bool:
        """Whether the database knows the default. It would store a time in another form than SQLAlchemy."""
        return bool(self.has_default and not self.is_computed and self.type not in ("datetime", "uuid"))

    @property
    def table(self) -> str:
        """The table that the field refers to."""
        return self.resource.tables[self.target]

    @property
    def target_path(self) -> str:
        return path_of(self.table)

    @property
    def target_is_soft(self) -> bool:
        """Whether deleted rows of the referenced table stay in it."""
        return self.target in self.resource.soft

    @property
    def waits_for_purge(self) -> bool:
        """Whether a softly deleted row still prevents the deletion of the row that it refers to."""
        return bool(self.on_delete == "RESTRICT" and self.resource.soft_delete and not self.target_is_soft)

    @property
    def outlives_target(self) -> bool:
        """Whether a row stays when the row that it refers to is softly deleted."""
        return self.target_is_soft and (
            self.on_delete == "SET NULL" or (self.on_delete == "CASCADE" and not self.resource.soft_delete)
        )

    def server_default(self, module: str) -> str:
        if self.type == "bool":
            return f"{module}{'true' if self.default else 'false'}()"
        return json.dumps(str(self.default), ensure_ascii=False)

    @property
    def migration_column(self) -> str:
        """The column in a migration."""
        default = f", server_default={self.server_default('sa.')}" if self.has_server_default else ""
        kind = self.fill(self.kind.migration_type)
        return f'sa.Column("{self.column_name}", {kind}, nullable={self.is_nullable}{default})'

    @property
    def enum(self) -> str:
        """The class name of an enum, or an empty string."""
        return f"{self.resource.class_name}{self.class_name}" if self.type == "enum" else ""

    @property
    def members(self) -> dict[str, str]:
        """The values of an enum by the names of its members."""
        members = members_of(self.arguments)
        return {name: json.dumps(value, ensure_ascii=False) for name, value in members.items()}

    @property
    def plain_schema(self) -> str:
        """The type without its range. Queries can compare with any value."""
        return str(self.fill(self.kind.schema)).replace("{enum}", self.enum)

    @property
    def schema(self) -> str:
        return ranges.schema(self.type, self.range, self.arguments) if self.range else self.plain_schema

    @property
    def query_type(self) -> str:
        """The type in queries."""
        return str(self.kind.query or (self.plain_schema if self.range else self.type_name))

    @property
    def check(self) -> str:
        """The condition of the CHECK constraint, or an empty string."""
        if self.enum:
            return f"{sql_name(self.column_name)} IN ({', '.join(map(sql_text, self.arguments))})"
        return ranges.condition(self.column_name, self.type, self.range) if self.range else ""

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
        if self.is_computed:
            return f" = Field(default_factory={self.default.function})"
        if self.has_default:
            return f" = {self.python_default}"
        return " = None" if self.is_nullable else ""

    @property
    def python_default(self) -> str:
        if self.is_computed:
            return str(self.default.function)
        constructors = {
            "decimal": "Decimal({})",
            "date": "date.fromisoformat({})",
            "datetime": "datetime.fromisoformat({})",
            "uuid": "UUID({})",
        }
        return constructors.get(str(self.type), "{}").format(repr(self.default))

    @property
    def is_self(self) -> bool:
        """Whether the field is a self reference."""
        return bool(self.target == self.resource.name)

    @property
    def given(self) -> str:
        """The argument with which the factory sets a field that is null by default."""
        return f', {self.column_name}=add(writer)["id"]' if self.is_self else ""

    @property
    def factory_value(self) -> str:
        if self.is_self:
            return "None"
        if self.type == "ref" and self.target == "user":
            return "new_account(person)" if self.resource.is_in_unique(self.column_name) else "person.id"
        if self.type == "ref":
            # Without a given id, add another row.
            return f'fields.get("{self.column_name}") or {self.target}.add(person)["id"]'
        if self.type == "enum" and (self.has_default or len(self.arguments) == 1):
            return json.dumps(self.example, ensure_ascii=False)
        if self.range:
            return ranges.expression(self.type, self.range, self.arguments, self.column_name)
        return str(self.fill(self.kind.value))

    @property
    def invalid(self) -> list[tuple[Any, str]]:
        """JSON values that are invalid, each with its error code."""
        invalid = [
            (self.fill(value) if isinstance(value, str) else value, code) for value, code in self.kind.invalid
        ]
        if self.range is None:
            return invalid
        outside = ranges.outside(self.type, self.range, self.arguments)
        replaced = {code for _, code in outside}
        return [(value, code) for value, code in invalid if code not in replaced] + outside

    @property
    def other_choice(self) -> str:
        """A value of an enum that isn't its default, or an empty string."""
        others = [value for value in self.arguments if value != self.default] if self.enum else []
        return others[0] if others and self.has_default else ""

    @property
    def operators(self) -> list[str]:
        return lists.operators(self.field, self.resource.resource)

    def context(self, operator: str) -> str:
        """More of a query that a filter needs, as code of a test with `row`."""
        others, sort = lists.context(self.field, operator, self.resource.resource)
        parts = [f'"{name}": value_of(rows[1], "{name}")' for name in others]
        return "".join(f", {part}" for part in [*parts, f'"sort": "{sort}"'])

    def others(self, operator: str) -> list[str]:
        return list(lists.context(self.field, operator, self.resource.resource)[0])

    @property
    def search_text(self) -> str:
        return '"Abc@example.com"' if self.type == "email" else f'("Abc" * 100)[:{self.arguments[-1]}]'

    @property
    def comparable(self) -> str:
        value = f'row["{self.column_name}"]'
        return {"decimal": f"Decimal({value})"}.get(self.type, value)

    @property
    def constant(self) -> str:
        return str(self.name.upper())

    @property
    def file_types(self) -> str:
        return repr(list(self.arguments[:-1]))

    @property
    def max_bytes(self) -> str:
        return f"{self.arguments[-1]:_}"


class ResourceView:
    """A resource, with the properties that the templates need. `tables` maps resources to their tables.

    `soft` contains the resources whose deleted rows stay in the table.
    """

    def __init__(
        self,
        resource: Resource,
        tables: dict[str, str],
        parent_lists: Sequence[ParentList] = (),
        soft: Set[str] = frozenset(),
    ) -> None:
        self.resource, self.tables, self.parent_lists, self.soft = resource, tables, parent_lists, soft
        self.fields = [FieldView(field, self) for field in resource.fields if field.type != "file"]
        self.files = [FieldView(field, self) for field in resource.fields if field.type == "file"]
        self.many = [ManyView(many, resource, tables) for many in resource.many]
        self.members: list[FieldView | ManyView] = [*self.fields, *self.many]  # in bodies

    def __getattr__(self, name: str) -> Any:
        return getattr(self.resource, name)

    @property
    def who(self) -> str:
        return ACCESS_DESCRIPTIONS[self.access]

    @property
    def indexes(self) -> list[tuple[str, ...]]:
        return [*lists.indexes(self.resource), *((f"{file.name}_id",) for file in self.files)]

    @property
    def sortable(self) -> list[str]:
        return lists.sort_keys(self.resource)

    @property
    def file_names(self) -> list[str]:
        return [file.name for file in self.files]

    @property
    def file_columns(self) -> list[str]:
        return [column for file in self.files for column in files.column_names(file.name)]

    @property
    def uniques(self) -> list[tuple[str, ...]]:
        owner = ("owner_id",) if self.is_owned else ()
        return [
            *((*owner, field.column_name) for field in self.unique),
            *((*owner, *columns) for columns in self.resource.uniques),
        ]

    def is_in_unique(self, column: str) -> bool:
        return any(column in columns for columns in self.uniques)

    @property
    def unique_together(self) -> list["UniqueTogether"]:
        return [UniqueTogether(columns, self) for columns in self.resource.uniques]

    @property
    def unique(self) -> list[FieldView]:
        return [field for field in self.fields if field.is_unique]

    @property
    def references(self) -> list[FieldView]:
        return [field for field in self.fields if field.type == "ref"]

    @property
    def targets(self) -> list[str]:
        others = {field.target for field in self.references if not field.is_self}
        return sorted(others | self.required_targets)

    @property
    def required_targets(self) -> set[str]:
        """The resources to which each row has a link."""
        return {many.target for many in self.many if many.is_required}

    @property
    def links(self) -> str:
        """The arguments with which tests give a new row links."""
        return "".join(many.given for many in self.many)

    @property
    def checks(self) -> list[tuple[str, str]]:
        return [(field.column_name, field.check) for field in self.fields if field.check]

    @property
    def enum_names(self) -> list[str]:
        return [field.enum for field in self.enums]

    @property
    def enums(self) -> list[FieldView]:
        return [field for field in self.fields if field.enum]

    @property
    def table_arguments(self) -> Iterator[str]:
        for columns in self.uniques:
            if self.soft_delete:
                yield f"Index(None, {quoted(columns)}, unique=True, **ONLY_LIVE)"
            else:
                yield f"UniqueConstraint({quoted(columns)})"
        for field in self.enums:
            yield f'one_of("{field.column_name}", {field.enum})'
        for field in self.fields:
            if field.range:
                yield f'CheckConstraint({field.check!r}, name="{field.column_name}")'
        for columns in self.indexes:
            name = lists.index_name(self.plural, columns)
            live = ", **ONLY_LIVE" if self.is_partial(columns) else ""
            yield f"Index({name!r}, {quoted(columns)}{live})"
        for name in self.searchable:
            yield f'trigram_index("{name}")'

    def is_partial(self, columns: tuple[str, ...]) -> bool:
        """Whether an index contains only live rows.

        One that begins with a reference also finds the rows to delete with the referenced row.
        """
        references = {"owner_id", *(field.column_name for field in self.references)}
        references.update(f"{file.name}_id" for file in self.files)
        return bool(self.soft_delete and columns[0] not in references)

    @property
    def searchable(self) -> list[str]:
        return [field.column_name for field in self.fields if field.is_searchable]

    @property
    def example(self) -> str:
        return repr({each.column_name: each.example for each in self.members})

    @property
    def change_example(self) -> str:
        field = next((each for each in self.fields if each.type != "ref"), self.fields[0])
        return f"{field.column_name}={field.example!r}"

    @property
    def sort_arguments(self) -> str:
        names = ", ".join(f'"{name}"' for name in self.sortable)
        return f'{names}, default="-created_at", most={lists.most_sort_keys(self.resource)}'

    @property
    def conditions(self) -> Iterator[tuple[str, str, str]]:
        if self.is_authored:
            yield "owner_id", "Reference", "Only rows of this user."
        for field in self.fields:
            for operator in field.operators:
                name = f"{field.column_name}__{operator}".removesuffix("__")
                type_, comparison = lists.condition(operator, field.query_type)
                yield name, type_, f"Only rows whose {field.words} {comparison}."

    @property
    def refused(self) -> str:
        errors = ["AlreadyExists"] * bool(self.uniques) + ["UnknownReference"] * bool(self.relationships)
        return ", ".join(errors)

    @property
    def invalid(self) -> Iterator[tuple[str, str, str]]:
        for field in self.fields:
            for value, code in field.invalid:
                yield field.column_name, _literal(value), code
            if field.is_required and field.type == "json":
                yield field.column_name, "None", "wrong_type"

    @property
    def required(self) -> str:
        return repr([each.column_name for each in self.members if each.is_required])

    @property
    def optional(self) -> dict[str, object]:
        optional = (field for field in self.fields if not field.is_required and not field.is_computed)
        of_fields = {field.column_name: field.default for field in optional}
        return of_fields | {many.ids: [] for many in self.many if not many.is_required}

    @property
    def computed(self) -> list[str]:
        """The fields whose default is computed for each row."""
        return [field.column_name for field in self.fields if field.is_computed]

    @property
    def limits(self) -> Iterator[tuple[str, str]]:
        """The values at the limits of ranges."""
        for field in self.fields:
            for value in ranges.edges(field.type, field.range) if field.range else ():
                yield field.column_name, _literal(value)

    @property
    def hidden(self) -> str:
        """The columns of a live row that responses don't show, but exports do."""
        return ' | {"deleted_at": None}' if self.soft_delete else ""

    @property
    def counts_rows(self) -> bool:
        """Whether values of the factory depend on the number of the row."""
        return any(re.search(r"\bnumber\b", field.factory_value) for field in self.fields)

    @property
    def varies(self) -> bool:
        """Whether each body from the factory has other values."""
        return any(re.search(r"\bnumber\b|\(", each.factory_value) for each in self.members)

    @property
    def other_values(self) -> str:
        """Arguments for the factory that change each enum from its default, or some value if none varies."""
        defaults = (field for field in self.enums if field.other_choice)
        others = {field.column_name: json.dumps(field.other_choice) for field in defaults}
        if not others and not self.varies:
            others = {field.column_name: 'add(writer)["id"]' for field in self.references if field.is_self}
            others = others or dict.fromkeys(self.nullable, "None")
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
        of_fields = [field.column_name for field in self.fields if not field.is_nullable]
        return [*of_fields, *(many.ids for many in self.many)]

    @property
    def relations(self) -> list[Relation]:
        """The references and many-to-many relationships that clients may include in responses."""
        of_fields = [Relation.of_field(field) for field in self.references]
        every = [*of_fields, *(Relation.of_many(many) for many in self.many)]
        return [each for each in every if each.name in self.resource.includes]

    @property
    def related_models(self) -> dict[str, str]:
        """The class names of the models to which this one has relationships, by their modules."""
        others = {each.target: each.class_name for each in self.relations if not each.is_of_itself}
        return others | {many.target: many.class_name for many in self.many}

    @property
    def unfiltered_sorts(self) -> list[str]:
        return lists.unfiltered_sorts(self.resource)

    @property
    def filtered_sorts(self) -> list[tuple[tuple[str, ...], str]]:
        return lists.filtered_sorts(self.resource)

    @property
    def uncombined(self) -> list[str]:
        return lists.uncombined(self.resource)

    @property
    def not_offered(self) -> list[str]:
        return lists.not_offered(self.resource)

    @property
    def filterable(self) -> list[FieldView]:
        return [field for field in self.fields if field.operators]


class UniqueTogether:
    """Columns that are unique together, with the properties that the templates need."""

    def __init__(self, columns: tuple[str, ...], resource: ResourceView) -> None:
        self.columns, self.resource = columns, resource

    @property
    def name(self) -> str:
        return "_and_".join(self.columns)

    @property
    def in_body(self) -> tuple[str, ...]:
        """The columns that clients set."""
        return tuple(column for column in self.columns if column != OWNER)

    @property
    def is_for_each_owner(self) -> bool:
        return self.resource.is_owned or OWNER in self.columns

    @property
    def given(self) -> str:
        """The arguments with which the factory sets the fields that are null by default."""
        return "".join(field.given for field in self.resource.fields if field.column_name in self.columns)

    @property
    def repeatable(self) -> tuple[str, ...]:
        """The columns whose value can be repeated, because another one differs in each row."""
        return tuple(column for column in self.in_body if is_repeatable(column, self.resource.resource))


def _literal(value: object) -> str:
    """Return a value in Python. Long text is a repeated character."""
    if isinstance(value, str) and len(value) > 99:
        return f'"{value[0]}" * {len(value)}'
    return repr(value)


def quoted(names: tuple[str, ...]) -> str:
    """Return the names as arguments in Python."""
    return ", ".join(f'"{name}"' for name in names)
