"""Many-to-many relationships, such as `tags:many(tag)`: their parsing, and what the templates see of them."""

import re
from collections.abc import Sequence
from typing import Any

from tools.scaffold.plurals import plural_of
from tools.scaffold.resource import (
    FIELD,
    NAME,
    Many,
    Resource,
    ScaffoldError,
    check_field_name,
    path_of,
)

LONGEST_IDENTIFIER = 63  # bytes, in PostgreSQL
EXAMPLE_ID = "8b2f9e0c-3c53-4c35-9a7c-1f2f6ad2f9a1"


def is_many(spec: str) -> bool:
    match = FIELD.fullmatch(spec)
    return match is not None and match["kind"] == "many"


def parse_many(spec: str) -> Many:
    """Parse a relationship such as `tags:many(tag)`. Raises ScaffoldError."""
    match = FIELD.fullmatch(spec)
    target = (match["inside"] or "").strip() if match else ""
    if not match or match["kind"] != "many" or not NAME.fullmatch(target):
        raise ScaffoldError(f"{spec!r}: write the type as many(tag).")
    check_field_name(match["name"], spec)
    if match["marks"] not in ("", "!") or match["default"] is not None:
        raise ScaffoldError(f"{spec!r}: the only mark of a many-to-many relationship is !, for at least one.")
    name = match["name"]
    if name == target:
        raise ScaffoldError(f"{spec!r}: name the relationship in the plural, such as {plural_of(name)}.")
    return Many(spec, name, target, _singular(name, target), is_required=match["marks"] == "!")


def parse_all_many(specs: Sequence[str]) -> tuple[Many, ...]:
    return tuple(parse_many(spec) for spec in specs)


def refuse_conflicts(resource: Resource, tables: dict[str, str]) -> None:
    """Raise ScaffoldError if a many-to-many relationship can't have its names."""
    columns = {"id", "owner_id", *(field.column_name for field in resource.fields)}
    for many in resource.many:
        if many.target == resource.name:
            raise ScaffoldError(
                f"{many.spec!r}: a {resource.words} can't be linked to others of its kind. Write this "
                "relationship by hand."
            )
        own = {many.name, many.ids, many.filter}
        others = [{each.name, each.ids, each.filter} for each in resource.many if each is not many]
        if taken := own & columns.union(*others):
            raise ScaffoldError(f"{many.spec!r}: the name {min(taken)!r} is taken by another field.")
        if many.singular == resource.name:
            raise ScaffoldError(
                f"{many.spec!r}: both columns of the table would be {many.filter}. Rename it."
            )
        longest = max(ManyView(many, resource, tables).identifiers, key=len)
        if len(longest) > LONGEST_IDENTIFIER:
            raise ScaffoldError(
                f"{many.spec!r}: the name {longest} would have more than {LONGEST_IDENTIFIER} characters. "
                "Choose a shorter name."
            )


def refuse_csv_with_links(resource: Resource) -> None:
    """Raise ScaffoldError, because a CSV export reads the columns of one table."""
    if resource.has_csv and resource.many:
        raise ScaffoldError(
            f"{resource.many[0].spec!r}: a resource with --csv can't have many-to-many relationships. "
            "Leave one of them out, and write the export by hand."
        )


def association_table(resource: Resource, many: Many) -> str:
    return f"{resource.name}_{many.name}"


class ManyView:
    """A many-to-many relationship, with the properties that the templates need."""

    def __init__(self, many: Many, resource: Resource, tables: dict[str, str]) -> None:
        self.many, self.resource, self.tables = many, resource, tables

    def __getattr__(self, name: str) -> Any:
        return getattr(self.many, name)

    @property
    def table(self) -> str:
        return association_table(self.resource, self.many)

    @property
    def own_column(self) -> str:
        return f"{self.resource.name}_id"

    @property
    def other_column(self) -> str:
        return str(self.many.filter)

    @property
    def class_name(self) -> str:
        """The class of the linked rows."""
        return "".join(part.capitalize() for part in self.many.target.split("_"))

    @property
    def target_table(self) -> str:
        return self.tables[self.many.target]

    @property
    def target_path(self) -> str:
        return path_of(self.target_table)

    @property
    def body_type(self) -> str:
        return "Annotated[References, Field(min_length=1)]" if self.many.is_required else "References"

    @property
    def body_default(self) -> str:
        return "" if self.many.is_required else " = Field([])"

    @property
    def factory_value(self) -> str:
        return f'[{self.many.target}.add(person)["id"]]' if self.many.is_required else "[]"

    @property
    def given(self) -> str:
        """The argument with which tests give a new row two links."""
        return f", {self.many.ids}=new_{self.many.ids}(writer, 2)"

    @property
    def example(self) -> list[str]:
        return [EXAMPLE_ID]

    @property
    def create_table(self) -> str:
        """The lines of a migration that create the association table."""
        lines = [
            f'    op.create_table("{self.table}",',
            f'        sa.Column("{self.own_column}", sa.Uuid(), nullable=False),',
            f'        sa.Column("{self.other_column}", sa.Uuid(), nullable=False),',
            *(
                f'        sa.ForeignKeyConstraint(["{column}"], ["{other}.id"], '
                f'name=op.f("fk_{self.table}_{column}_{other}"), ondelete="CASCADE"),'
                for column, other in self._keys
            ),
            f'        sa.PrimaryKeyConstraint("{self.own_column}", "{self.other_column}", '
            f'name=op.f("pk_{self.table}")),',
            "    )",
            f'    op.create_index(op.f("{self._index}"), "{self.table}", '
            f'["{self.other_column}", "{self.own_column}"], unique=False)',
        ]
        return "\n".join(lines)

    @property
    def drop_table(self) -> str:
        return f'    op.drop_table("{self.table}")'

    @property
    def identifiers(self) -> list[str]:
        """The names of the table, its constraints and its index."""
        keys = [f"fk_{self.table}_{column}_{other}" for column, other in self._keys]
        return [self.table, f"pk_{self.table}", self._index, *keys]

    @property
    def _keys(self) -> list[tuple[str, str]]:
        return [(self.own_column, self.resource.plural), (self.other_column, self.target_table)]

    @property
    def _index(self) -> str:
        return f"ix_{self.table}_{self.other_column}_{self.own_column}"


def _singular(name: str, target: str) -> str:
    """Return the singular of a relationship's name: `tag` for `tags`."""
    forms = [target, re.sub("ies$", "y", name), re.sub("(?<=ss|ch|sh)es$|(?<=x)es$", "", name), name[:-1]]
    return next((each for each in forms if each != name and each and plural_of(each) == name), name)
