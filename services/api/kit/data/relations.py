"""Relationships of rows: which ones a query loads, and the links of many-to-many relationships.

A model declares links as a relationship with `secondary` and `viewonly=True`. `info={"ids": "tag_ids"}` names
the property that returns the sorted ids of the linked rows. Repositories of resources write the links by that
name, and lists can be filtered by `tag_id`, which is one of these ids.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Column, ColumnElement, Table, delete, insert, inspect, select
from sqlalchemy.orm import (
    DeclarativeBase,
    RelationshipProperty,
    Session,
    lazyload,
    scoped_session,
    selectinload,
)
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.interfaces import ORMOption

from kit.data.soft_deletion import deletion_time
from kit.errors import UnknownReference

Link = RelationshipProperty[Any]


def loaders(model: type[DeclarativeBase], names: Iterable[str]) -> list[ORMOption]:
    """Return the options of a query that load these relationships, each with one more statement."""
    return [_loader(getattr(model, name)) for name in names]


def _loader(relationship: Any) -> ORMOption:
    target = relationship.mapper.class_
    # Named, because SQLAlchemy doesn't follow `lazy="selectin"` back to a model that it has come from.
    links = [selectinload(getattr(target, link.key)) for link in links_of(target).values()]
    return selectinload(relationship).options(*links)


def links_of(model: type[DeclarativeBase]) -> dict[str, Link]:
    """Return the links of a model by the names of their ids, such as `tag_ids`."""
    return {each.info["ids"]: each for each in inspect(model).relationships if "ids" in each.info}


def link_to_filter(model: type[DeclarativeBase], name: str) -> Link | None:
    """Return the links that a filter such as `tag_id` is about, or None if it is about a column."""
    return None if hasattr(model, name) else links_of(model).get(f"{name}s")


def is_linked(link: Link, id: object) -> ColumnElement[bool]:
    """Return the condition that a row is linked to the one with this id."""
    table, own, other = _association(link)
    links = select(table).where(own == link.parent.class_.id, other == id)
    target = cast("Table", link.mapper.local_table)
    if (deleted_at := deletion_time(target)) is not None:
        links = links.join(target, target.c.id == other).where(deleted_at.is_(None))
    return links.exists()


def begin_links(row: DeclarativeBase) -> None:
    """Note that a new row has no links yet, so that reading them takes no statement."""
    for link in links_of(type(row)).values():
        set_committed_value(row, link.key, [])


def replace_links(
    session: Session | scoped_session[Any], row: DeclarativeBase, wanted: Mapping[str, Sequence[UUID]]
) -> list[str]:
    """Link a row to the rows with these ids, and to no others. Return the names of the changed ids.

    Lock the row before, unless it is new. Raises UnknownReference.
    """
    links = links_of(type(row))
    before = {name: set(getattr(row, name)) for name in wanted}
    changed = [name for name, ids in wanted.items() if set(ids) != before[name]]
    # Locks every row before it writes a link. Otherwise it could wait for a deletion that waits for a link.
    found = {name: _locked(session, links[name], set(wanted[name]) - before[name]) for name in changed}
    unknown = [
        f"{name}/{place}"
        for name in changed
        for place, id in enumerate(wanted[name])
        if id not in before[name] and id not in found[name]
    ]
    if unknown:
        raise UnknownReference(*unknown)
    for name in changed:
        _write(session, row, links[name], kept=before[name] & set(wanted[name]), added=found[name])
    return changed


def _locked(session: Session | scoped_session[Any], link: Link, ids: Collection[UUID]) -> dict[UUID, Any]:
    """Lock rows against deletion until the transaction ends. Return those that exist."""
    if not ids:
        return {}
    target = link.mapper.class_
    query = select(target).where(target.id.in_(ids)).order_by(target.id).options(lazyload("*"))
    if (deleted_at := deletion_time(target.__table__)) is not None:
        query = query.where(deleted_at.is_(None))
    return {each.id: each for each in session.scalars(query.with_for_update(read=True, key_share=True))}


def _write(
    session: Session | scoped_session[Any],
    row: Any,
    link: Link,
    *,
    kept: Collection[UUID],
    added: Mapping[UUID, Any],
) -> None:
    table, own, other = _association(link)
    before = getattr(row, link.key)
    # The links to softly deleted rows end too. Otherwise, they would come back when such a row is restored.
    if len(kept) < len(before) or deletion_time(link.mapper.class_.__table__) is not None:
        session.execute(delete(table).where(own == row.id, other.not_in(kept)))
    if added:
        session.execute(insert(table), [{own.name: row.id, other.name: id} for id in sorted(added)])
    linked = [*(each for each in before if each.id in kept), *added.values()]
    set_committed_value(row, link.key, sorted(linked, key=lambda each: each.id))


def _association(link: Link) -> tuple[Table, Column[UUID], Column[UUID]]:
    """Return the association table, its column for the row, and the one for the linked row."""
    pairs: Any = (*link.synchronize_pairs, *(link.secondary_synchronize_pairs or ()))
    (_, own), (_, other) = pairs
    return cast("Table", link.secondary), own, other
