"""The lists of a resource's rows by parent, such as `GET /authors/<uuid:author_id>/books`."""

from collections.abc import Mapping
from dataclasses import dataclass

from tools.scaffold.resource import Field, Resource, article_of
from tools.scaffold.uniqueness import is_repeatable


@dataclass(frozen=True)
class ParentList:
    """The list of a resource's rows that refer to a row of another resource with a field."""

    resource: Resource
    parent: Resource
    field: Field

    @property
    def path(self) -> str:
        return f"{self.parent.path}/<uuid:{self.parent.name}_id>{self.resource.path}"

    @property
    def access(self) -> str:
        """Who may read it: `public` for everyone, `owned` for users, who only see their own rows, or `admin`.

        The stricter of both resources decides.
        """
        if "admin" in (self.resource.access, self.parent.access):
            return "admin"
        return "owned" if self.resource.is_owned else "public"

    @property
    def is_repeatable(self) -> bool:
        """Whether the factory can create several rows of one parent."""
        return is_repeatable(self.field.column_name, self.resource, by_many_owners=self.resource.is_authored)

    @property
    def parent_words(self) -> str:
        return f"{article_of(self.parent.name)} {self.parent.words}"


def parent_lists(resource: Resource, others: Mapping[str, Resource]) -> list[ParentList]:
    """Return the lists by parent of a resource. `others` are the generated resources by name.

    Each parent has one list, by the first field that refers to it, so that a new field never changes what a
    path means. Nothing is listed by a unique reference, which has one row at most, nor by one to the same
    resource. The list of all rows can be filtered by these.
    """
    first: dict[str, Field] = {}
    for field in resource.references:
        if field.target in others and field.target != resource.name:
            first.setdefault(field.target, field)
    fields = (field for field in first.values() if not field.is_unique)
    return [ParentList(resource, others[field.target], field) for field in fields]
