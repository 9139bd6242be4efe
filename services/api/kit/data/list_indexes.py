"""Which lists the indexes of a table serve: combinations of filters and sort keys.

An index serves a list if it starts with the columns that the filters fix, in any order, followed by the sort
keys in one direction. Any other list would sort or read the whole table, unless a unique constraint reduces
it to one row.

Only indexes on plain columns count, not those with an expression, or a condition other than ONLY_LIVE.
"""

from collections.abc import Iterable, Iterator, Mapping, Set
from functools import lru_cache
from typing import NamedTuple, cast

from sqlalchemy import Column, Index, PrimaryKeyConstraint, Table, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase

from kit.data.soft_deletion import ONLY_LIVE

Model = type[DeclarativeBase]
Names = tuple[str, ...]
SEVERAL = {"in", "not"}  # operators of filters that match one of several values
NOT_IN_ORDER = {"", "null", "contains", *SEVERAL}  # the others are ranges


class Filters(NamedTuple):
    """The columns that a list is filtered by."""

    fixed: Set[str]  # to one value, or to one of several
    several: Set[str]  # of the fixed ones, those with several values
    null: Set[str]  # of the fixed ones, those that are NULL
    ranges: Set[str]


class Order(NamedTuple):
    """The order in which an index has the rows of a list.

    `sort` has no column that the filters fix, and ends with the id. `null` are those that are NULL in all
    rows. PostgreSQL only uses the index if ORDER BY starts with them.
    """

    sort: str
    null: Names = ()


def filters_of(conditions: Mapping[str, object], within: Iterable[str] = ()) -> Filters:
    """Return the columns of conditions such as `{"genre": "novel", "price__gte": 5}`.

    `within` has more columns with one value, such as that of the owner.
    """
    fixed, several, null, ranges = set(within), set(), set(), set()
    for condition, value in conditions.items():
        name, _, operator = condition.partition("__")
        if operator in SEVERAL:
            several.add(name)
        elif operator == "null" and value is True:
            null.add(name)
        elif operator == "":
            fixed.add(name)
        elif operator != "contains":
            ranges.add(name)
    null -= fixed
    several -= fixed
    return Filters(
        frozenset(fixed | several | null), frozenset(several), frozenset(null), frozenset(ranges - fixed)
    )


@lru_cache(maxsize=1024)
def find_order(model: Model, filters: Filters, sort: str) -> Order | None:
    """Return the order in which an index has the rows of a list, or None if none serves it."""
    keys: dict[str, str] = {}  # the sign of each; a repeated one has no effect
    for key in filter(None, sort.split(",")):
        keys.setdefault(key.removeprefix("-"), key[: key.startswith("-")])
    if len(filters.several) > 1 or filters.several & set(keys):
        return None
    names = tuple(name for name in keys if name not in filters.fixed)
    if any(unique <= filters.fixed - filters.null for unique in _unique(model)):
        return Order(",".join([*(keys[name] + name for name in names), "id"]))
    if len({keys[name] for name in names}) > 1 or filters.ranges - set(names[:1]):
        return None
    indexes = [index for index in indexes_of(model) if _serves(model, index, filters.fixed, names)]
    if not indexes:
        return None
    index, sign = min(indexes, key=len), next((keys[name] for name in names or keys), "")
    place = len(filters.fixed)
    return Order(
        ",".join(sign + name for name in index[place:]),
        tuple(name for name in index[:place] if name in filters.null),
    )


def _serves(model: Model, index: Names, fixed: Set[str], names: Names) -> bool:
    rest = index[len(fixed) :]
    follows = set(index[: len(fixed)]) == fixed and rest[: len(names)] == names and rest[-1:] == ("id",)
    return follows and not any(_table(model).c[name].nullable for name in rest[1 if names else 0 :])


def combinations(
    model: Model, filterable: Set[str], sortable: Set[str], within: Names
) -> Iterator[tuple[Names, Names]]:
    """Yield what can be combined: columns to fix, and the longest sort. An empty one stands for any sort.

    `within` isn't part of the result.
    """
    for unique in _unique(model):
        if unique <= filterable | set(within) and not unique <= set(within):
            yield tuple(sorted(unique - set(within))), ()
    for index in indexes_of(model):
        for place in range(len(index)):
            fixed, rest = index[:place], index[place:-1]
            others = tuple(name for name in fixed if name not in within)
            if not set(within) <= set(fixed) or not set(others) <= filterable:
                continue
            length = next((at for at, name in enumerate(rest) if name not in sortable), len(rest))
            while length and not _serves(model, index, set(fixed), rest[:length]):
                length -= 1
            if length:
                yield others, rest[:length]


def indexes_of(model: Model) -> list[Names]:
    """Return the columns of each index that can sort and find rows."""
    return sorted(columns for columns, _ in _indexes(model))


def has_trigrams(model: Model, name: str) -> bool:
    """Return whether PostgreSQL finds parts of this text with an index; see `trigram_index`."""
    return any(
        _option(index, "ops") == {name: "gin_trgm_ops"} and _option(index, "using") == "gin"
        for index in _table(model).indexes
    )


def choices_of(model: Model, name: str) -> list[str]:
    """Return the values that `one_of` allows in a column."""
    for check in _table(model).constraints:
        if check.info.get("columns") == [name]:
            return [str(value.value) for value in check.info["values"]]
    return []


def _unique(model: Model) -> list[Set[str]]:
    return [set(columns) for columns, is_unique in _indexes(model) if is_unique]


def _indexes(model: Model) -> Iterator[tuple[Names, bool]]:
    """Yield the columns of each index, and whether it is unique."""
    for constraint in _table(model).constraints:
        if isinstance(constraint, PrimaryKeyConstraint | UniqueConstraint):
            yield tuple(column.name for column in constraint.columns), True
    for index in _table(model).indexes:
        if _is_plain(index):
            yield tuple(column.name for column in index.columns), index.unique


def _is_plain(index: Index) -> bool:
    where = _option(index, "where")
    is_partial = where is not None and where is not ONLY_LIVE["postgresql_where"]
    is_ordered = _option(index, "using") in (None, False, "", "btree")
    return is_ordered and not is_partial and all(isinstance(each, Column) for each in index.expressions)


def _option(index: Index, name: str) -> object:
    return index.dialect_options["postgresql"][name]


def _table(model: Model) -> Table:
    return cast("Table", model.__table__)
