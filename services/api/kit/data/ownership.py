"""Which rows of each table belong to a user, derived from the foreign keys.

A row belongs to the user in its column `owner_id` or `user_id`. A table without such a column may have one
foreign key to users with ON DELETE CASCADE, which then names the owner. A table without any foreign key to
users may have one to an owned table with ON DELETE CASCADE: an order's items belong to the order's owner.
Columns with other foreign keys only mention users.

To decide otherwise, mark a column with `info={"owner": True}`, or with `info={"owner": False}`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Column, ColumnElement, ForeignKeyConstraint, Table, or_, select

from kit.data.base import Base

OWNER_NAMES = ("owner_id", "user_id")
Condition = Callable[[UUID], ColumnElement[bool]]  # that a row belongs to the user with this id


class Ownership(NamedTuple):
    owned: dict[Table, Condition]  # parents come before their children
    undecided: list[Table]  # personal data of an unknown owner: a test refuses these


class Reference(NamedTuple):
    """A way in which a row refers to a user."""

    column: Column[UUID]
    condition: Condition
    to_user: bool  # not to another row that belongs to a user
    cascades: bool  # the row is deleted with what it refers to

    @property
    def has_owner_name(self) -> bool:
        return self.to_user and self.column.name in OWNER_NAMES

    @property
    def is_personal(self) -> bool:
        return self.cascades or self.has_owner_name


def find_ownership(user: type[Base]) -> Ownership:
    """Return which rows of all tables belong to a user, whose own row comes first."""
    users = user.metadata.tables[user.__tablename__]
    owned: dict[Table, Condition] = {users: _is_user(users.c.id)}
    undecided = []
    for table in users.metadata.sorted_tables:
        if table is users:
            continue
        references = [
            each for each in _references(table, users, owned) if each.column.info.get("owner", True)
        ]
        if owners := _owners(references):
            owned[table] = _any(owners)
        elif any(each.is_personal for each in references):
            undecided.append(table)
    return Ownership(owned, undecided)


def _references(table: Table, users: Table, owned: dict[Table, Condition]) -> Iterator[Reference]:
    for key in table.foreign_key_constraints:
        parent = key.referred_table
        if parent in owned and parent is not table:
            cascades = key.ondelete == "CASCADE"
            yield Reference(key.columns[0], _belongs_to_parent(key, owned[parent]), parent is users, cascades)
    for column in table.columns:
        is_named = column.name in OWNER_NAMES or column.info.get("owner")
        if is_named and not column.foreign_keys:
            yield Reference(column, _is_user(column), True, False)


def _is_user(column: Column[UUID]) -> Condition:
    return lambda id: column == id


def _belongs_to_parent(key: ForeignKeyConstraint, parent: Condition) -> Condition:
    """Return the condition that a row's parent belongs to a user.

    If the key contains the owner of the parent, the row has it too, and its parent needn't be read.
    """

    def condition(id: UUID) -> ColumnElement[bool]:
        of_parent = parent(id)
        for element in key.elements:
            if of_parent.compare(element.column == id):
                return element.parent == id
        pairs = [element.parent == element.column for element in key.elements]
        return select(key.referred_table).where(*pairs, of_parent).exists()

    return condition


def _owners(references: Sequence[Reference]) -> list[Reference]:
    """Return the references that name a row's owner, or none if that isn't clear."""
    if marked := [each for each in references if each.column.info.get("owner")]:
        return marked
    of_users = [each for each in references if each.to_user]
    named = [each for each in of_users if each.has_owner_name and each.column.foreign_keys]
    cascading = [each for each in of_users or references if each.cascades]
    for candidates in (named, cascading):
        if candidates:
            return candidates if len(candidates) == 1 else []
    return []


def _any(references: Sequence[Reference]) -> Condition:
    return lambda id: or_(*(each.condition(id) for each in references))
