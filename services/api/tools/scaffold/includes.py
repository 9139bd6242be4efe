"""Which relationships of a resource clients may include in its responses, as with `?include=author`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tools.scaffold.resource import Field, Resource, leads_to, path_of

READ_BY_EVERYONE = ("public", "authored")


@dataclass(frozen=True)
class Relation:
    """A reference or a many-to-many relationship that clients may include, as the templates see it."""

    name: str  # author
    target: str
    column_name: str  # author_id, or tag_ids
    table: str  # of the target
    is_many: bool = False
    is_nullable: bool = False
    may_be_deleted: bool = False  # softly, while rows refer to it
    is_of_itself: bool = False

    @classmethod
    def of_field(cls, field: Any) -> "Relation":
        """Return the relationship of a reference."""
        return cls(
            relation_name(field),
            field.target,
            field.column_name,
            field.table,
            is_nullable=field.is_nullable,
            may_be_deleted=field.outlives_target,
            is_of_itself=field.target == field.resource.name,
        )

    @classmethod
    def of_many(cls, many: Any) -> "Relation":
        return cls(many.name, many.target, many.ids, many.target_table, is_many=True)

    @property
    def class_name(self) -> str:
        return "".join(part.capitalize() for part in self.target.split("_"))

    @property
    def path(self) -> str:
        return path_of(self.table)

    @property
    def annotation(self) -> str:
        """The type in the model."""
        return f"{self.class_name} | None" if self.is_nullable else self.class_name

    @property
    def arguments(self) -> str:
        """The arguments of `relationship` in the model."""
        # Named, because another column may refer to the same table, or that table to this one, also later.
        parts = [f"foreign_keys={self.column_name}"]
        return ", ".join([*parts, *([f'remote_side="{self.class_name}.id"'] * self.is_of_itself)])

    @property
    def body_type(self) -> str:
        """The type in the response."""
        if self.is_many:
            return f"Annotated[list[{self.class_name}Response], Field(max_length=100)]"
        may_be_null = self.is_nullable or self.may_be_deleted
        return f"{self.class_name}Response | None" if may_be_null else f"{self.class_name}Response"


def relation_name(field: Any) -> str:
    """Return the name of the relationship of a reference: `author` for `author_id`."""
    return str(field.column_name).removesuffix("_id")


def allowed_includes(resource: Resource, others: Mapping[str, Resource]) -> tuple[str, ...]:
    """Return the relationships that clients may include: everyone who reads the rows can read these too.

    `others` are all generated resources by name.
    """
    taken = {"id", "owner_id", *(field.column_name for field in resource.fields)}
    return tuple(
        name
        for name, target in _targets(resource).items()
        if name not in taken and _is_readable(target, resource, others)
    )


def _is_readable(target: str, resource: Resource, others: Mapping[str, Resource]) -> bool:
    if target == resource.name:
        return not resource.is_owned
    if target not in others or others[target].access not in READ_BY_EVERYONE:
        return False
    return not _imports(target, resource.name, others)  # the modules of schemas can't import each other


def _imports(name: str, wanted: str, others: Mapping[str, Resource]) -> bool:
    """Return whether the schemas of a resource import those of the wanted one, directly or not."""

    def imported(each: Resource) -> list[str]:
        return [target for relation, target in _targets(each).items() if relation in each.includes]

    return leads_to(name, wanted, others, imported)


def _targets(resource: Resource) -> dict[str, str]:
    """Return the targets of a resource's relationships by their names."""
    references: list[Field] = resource.references
    of_fields = {relation_name(field): field.target for field in references}
    return of_fields | {many.name: many.target for many in resource.many}
