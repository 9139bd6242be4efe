"""Keyset pagination: lists that are sorted and filtered, whose pages cost the same however far you page."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Integer,
    Select,
    UnaryExpression,
    and_,
    bindparam,
    false,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.orm import DeclarativeBase, Session, scoped_session
from sqlalchemy.orm.interfaces import ORMOption
from sqlalchemy.types import NullType

from kit.data.list_indexes import Order, choices_of
from kit.data.relations import is_linked, link_to_filter
from kit.data.snapshot import KeptSnapshots, has_hooks
from kit.errors import InvalidCursor

Row = TypeVar("Row")
SortValue = str | int | float | None  # as JSON
SortValues = list[SortValue]
Nulls = tuple[bool, ...]  # which sort values of a row are NULL
LIMIT: BindParameter[int] = bindparam("page_limit", type_=Integer)
# How to read sort values of types that JSON doesn't have.
READ: dict[type, Callable[[str], Any]] = {
    UUID: UUID,
    datetime: datetime.fromisoformat,
    date: date.fromisoformat,
    Decimal: Decimal,
}


class Page(NamedTuple, Generic[Row]):
    """One page of a list. `next_values` are the sort values of its last row, as JSON, or None at the end."""

    rows: list[Row]
    sort: str
    next_values: SortValues | None


class Key(NamedTuple):
    """A sort key of a list. NULLs come last in both directions."""

    name: str
    column: ColumnElement[Any]  # a column, or the expression of a computed one
    descending: bool

    @property
    def is_nullable(self) -> bool:
        """Whether there can be NULLs. An expression may give some, so it is treated as if it did."""
        column = getattr(getattr(self.column, "property", None), "columns", [None])[0]
        return not isinstance(column, Column) or bool(column.nullable)

    def order(self) -> UnaryExpression[Any]:
        return self.plain_order().nulls_last() if self.is_nullable else self.plain_order()

    def plain_order(self) -> UnaryExpression[Any]:
        """Sort values that aren't NULL. PostgreSQL finds an index only without NULLS LAST."""
        return self.column.desc() if self.descending else self.column.asc()

    def read(self, value: Any) -> Any:
        """Raises ArithmeticError, AttributeError, TypeError and ValueError, as the types do."""
        if value is None:
            if self.is_nullable:
                return None
            raise TypeError
        kind = self.column.type.python_type
        return READ.get(kind, kind)(value)

    @property
    def parameter(self) -> str:
        return f"after_{self.name}"

    def value(self) -> ColumnElement[Any]:
        """Return the sort value that the page begins after. It is given when the statement is executed."""
        return bindparam(self.parameter, type_=self.column.type)

    def equals(self, *, is_null: bool) -> ColumnElement[bool]:
        return self.column.is_(None) if is_null else self.column == self.value()

    def after(self, *, is_null: bool) -> ColumnElement[bool]:
        if is_null:
            return false()
        after = self.column < self.value() if self.descending else self.column > self.value()
        return or_(after, self.column.is_(None)) if self.is_nullable else after


class Statements(NamedTuple):
    """The SELECTs of a page, which are executed until there are enough rows. See `read`."""

    keys: Sequence[Key]
    selects: Iterable[Select[Any]]
    snapshots: Sequence[KeptSnapshots] | None = None  # the same SELECTs, if copies of the rows are enough


def column_of(model: type[DeclarativeBase], name: str) -> ColumnElement[Any]:
    """Return a column of a model to sort or filter by, or a computed one: hybrid_property, column_property.

    Raises TypeError, with the remedy, for anything that SQL doesn't know.
    """
    place = f"{model.__name__}.{name}"
    if not hasattr(model, name):
        raise TypeError(f"{place} doesn't exist, so lists can't be sorted or filtered by it.")
    column: ColumnElement[Any] = getattr(model, name)
    type_ = getattr(column, "type", None)
    if type_ is None:
        raise TypeError(
            f"{place} isn't a column, so lists can't be sorted or filtered by it. "
            "Make it a hybrid_property or a column_property."
        )
    if isinstance(type_, NullType):
        raise TypeError(f"The SQL type of {place} is unknown. Give it one with type_coerce(..., Integer).")
    return column


def check_condition(model: type[DeclarativeBase], condition: str) -> None:
    """Raise TypeError if lists of a model can't be filtered by a condition such as `price__gte`."""
    if link_to_filter(model, condition):
        return
    name, _, operator = condition.partition("__")
    type_ = column_of(model, name).type
    operators = _OPERATORS_OF.get(type_.python_type, _ORDER)
    if choices_of(model, name):
        operators = operators | {"not"}
    allowed = [each for each in OPERATORS if each in operators]
    if operator not in allowed:
        raise TypeError(
            f"{model.__name__}.{name} can't be filtered by {operator!r}. "
            f"Its type has these operators: {', '.join(filter(None, allowed)) or 'none but equality'}."
        )


def _keys(model: type[DeclarativeBase], sort: str) -> list[Key]:
    """Return the sort keys. The id breaks ties."""
    names = [(name.lstrip("-"), name.startswith("-")) for name in sort.split(",")]
    keys = [Key(name, column_of(model, name), descending) for name, descending in names]
    if keys[-1].name == "id":
        return keys
    return [*keys, Key("id", column_of(model, "id"), keys[-1].descending)]


def read_page(
    session: Session | scoped_session[Any],
    query: Select[Row],
    model: type[DeclarativeBase],
    sort: str,
    limit: int,
    after: SortValues | None,
) -> Page[Row]:
    """Return at most `limit` rows after the row with the sort values `after`. Raises InvalidCursor.

    `sort` is like `-created_at,title`: the newest first, then by title. With an index on these columns and
    the id, every page costs the same.
    """
    statements = statements_of([query], model, sort, nulls_of(after))
    return read(session, statements, sort, limit, after)


def nulls_of(after: SortValues | None) -> Nulls | None:
    return tuple(value is None for value in after) if after else None


def statements_of(
    queries: Sequence[Select[Row]],
    model: type[DeclarativeBase],
    sort: str,
    after: Nulls | None,
    order: Order | None = None,
    options: Sequence[ORMOption] = (),
) -> Statements:
    """Return the statements of a page after a row whose sort values are NULL or not. Raises InvalidCursor.

    `order` is that of an index, whose other columns break ties. Several `queries`, such as one for each value
    of a filter, are each read in the order of the index. `options` say which relationships are loaded.
    """
    keys = _keys(model, order.sort if order else sort)
    if after is not None and len(after) != len(keys):
        raise InvalidCursor
    null = [Key(name, column_of(model, name), keys[0].descending) for name in (order.null if order else ())]
    selects = (select.options(*options) for select in _selects(queries, keys, after, null))
    return Statements(keys, selects)


def read(
    session: Session | scoped_session[Any],
    statements: Statements,
    sort: str,
    limit: int,
    after: SortValues | None,
    values: Mapping[str, object] | None = None,
) -> Page[Any]:
    """Execute the statements of a page, with the values of their other parameters. Raises InvalidCursor."""
    keys, selects, snapshots = statements
    parameters = {**(values or {}), **(_read_position(after, keys) if after else {})}
    rows: list[Any] = []
    for statement in selects if snapshots is None or has_hooks(session) else snapshots:
        limited = {**parameters, LIMIT.key: limit + 1 - len(rows)}
        if isinstance(statement, KeptSnapshots):
            rows += statement.all(session, limited)
        else:
            rows += session.scalars(statement, limited)
        if len(rows) > limit:
            return Page(rows[:limit], sort, _sort_values(rows[limit - 1], keys))
    return Page(rows, sort, None)


def _sort_values(row: object, keys: Sequence[Key]) -> SortValues:
    """Return the sort values of a row as JSON. Raises TypeError if the next page couldn't begin after it."""
    values = []
    for key in keys:
        value = getattr(row, key.name)
        written = value if isinstance(value, str | int | float | None) else _text(value)
        if key.read(written) != value:
            sql_type, name = key.column.type, f"{type(row).__name__}.{key.name}"
            raise TypeError(
                f"Lists can't be paged by {name}: its SQL type is {sql_type!r}, but a value is {value!r}. "
                "Give the expression its type, such as cast(..., Float)."
            )
        values.append(written)
    return values


def _read_position(values: Sequence[SortValue], keys: Sequence[Key]) -> dict[str, object]:
    """Return the parameters. Raises InvalidCursor if the columns have changed since they were written."""
    try:
        pairs = zip(values, keys, strict=True)
        return {key.parameter: key.read(value) for value, key in pairs}
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
        raise InvalidCursor from error


def _selects(
    queries: Sequence[Select[Row]], keys: Sequence[Key], after: Nulls | None, null: Sequence[Key]
) -> Iterator[Select[Row]]:
    """Yield the SELECTs of a page. If the first key is nullable, rows with a value come first, then the rest.

    No index returns `value > x OR value IS NULL` in order. `null` are keys that are NULL in all of the rows.
    """
    first, *others = keys
    if not first.is_nullable:
        yield _select(queries, keys, after, null)
        return
    is_after_null = after is not None and after[0]
    if not is_after_null:
        with_value = [query.where(first.column.is_not(None)) for query in queries]
        yield _select(with_value, keys, after, null)
    without_value = [query.where(first.column.is_(None)) for query in queries]
    rest = after[1:] if after and is_after_null else None
    yield from _selects(without_value, others, rest, [*null, first])


def _select(
    queries: Sequence[Select[Row]], keys: Sequence[Key], after: Nulls | None, null: Sequence[Key]
) -> Select[Row]:
    """Select the first rows of all queries together. Of several, read only the ids in the order of each."""
    pages = [_ordered(query, keys, after, null).limit(LIMIT) for query in queries]
    if len(pages) == 1:
        return pages[0]
    parts = [page.with_only_columns(*(key.column for key in keys)).subquery() for page in pages]
    found = union_all(*map(select, parts)).subquery()
    merged = [Key(key.name, found.c[key.name], key.descending) for key in keys]
    ids = select(found.c.id).order_by(*(key.plain_order() for key in merged)).limit(LIMIT)
    model = queries[0].column_descriptions[0]["entity"]
    return select(model).where(keys[-1].column.in_(ids)).order_by(*(key.plain_order() for key in keys))


def split(
    query: Select[Row], model: type[DeclarativeBase], conditions: Mapping[str, object]
) -> list[Select[Row]]:
    """Return a filtered query for each value of a condition such as `genre__in`, or none without one."""
    for condition, given in conditions.items():
        name, _, operator = condition.partition("__")
        if operator in SPLIT:
            others = {each: value for each, value in conditions.items() if each != condition}
            rest = filtered(query, model, others)
            values = SPLIT[operator](model, name, given)
            return [filtered(rest, model, {name: value}) for value in values]
    return []


def filtered(
    query: Select[Row], model: type[DeclarativeBase], conditions: Mapping[str, object]
) -> Select[Row]:
    """Add filters such as `{"title": "Emma", "price__gte": 5}`. All must match."""
    for condition, value in conditions.items():
        if link := link_to_filter(model, condition):
            query = query.where(is_linked(link, value))
            continue
        name, _, operator = condition.partition("__")
        query = query.where(OPERATORS[operator](column_of(model, name), value))
    return query


def ordered(query: Select[Row], model: type[DeclarativeBase], sort: str) -> Select[Row]:
    """Sort all rows as `read_page` sorts them: `-created_at,title`, with nulls last."""
    return query.order_by(*(key.order() for key in _keys(model, sort)))


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, date) else str(value)


def _ordered(
    query: Select[Row], keys: Sequence[Key], after: Nulls | None, null: Sequence[Key]
) -> Select[Row]:
    if after is not None:
        query = query.where(_is_after(keys, after))
    # PostgreSQL doesn't know that columns that are NULL don't change the order. See `Order`.
    leading = [key.plain_order() for key in null]
    return query.order_by(*leading, keys[0].plain_order(), *(key.order() for key in keys[1:]))


def _is_after(keys: Sequence[Key], nulls: Nulls) -> ColumnElement[bool]:
    """Return whether a row comes after a position, whose first value isn't NULL."""
    directions = {key.descending for key in keys}
    if len(directions) == 1 and not any(key.is_nullable for key in keys[1:]):
        row = tuple_(*(key.column for key in keys))
        values = tuple_(*(key.value() for key in keys))
        return row < values if keys[0].descending else row > values
    ways: list[ColumnElement[bool]] = []
    same: list[ColumnElement[bool]] = []
    for key, is_null in zip(keys, nulls, strict=True):
        ways.append(and_(*same, key.after(is_null=is_null)))
        same.append(key.equals(is_null=is_null))
    first, value = keys[0].column, keys[0].value()
    # Implied by the rest, and lets an index start at the position.
    bound = first <= value if keys[0].descending else first >= value
    return and_(bound, or_(*ways))


OPERATORS: dict[str, Callable[[ColumnElement[Any], Any], ColumnElement[bool]]] = {
    "": lambda column, value: column == value,
    "gte": lambda column, value: column >= value,
    "lte": lambda column, value: column <= value,
    "gt": lambda column, value: column > value,
    "lt": lambda column, value: column < value,
    "in": lambda column, values: column.in_(values),
    "not": lambda column, value: column != value,  # NULL doesn't match
    "null": lambda column, is_null: column.is_(None) if is_null else column.is_not(None),
    # Ignores case. Only `trigram_index` helps, on PostgreSQL.
    "contains": lambda column, text: column.icontains(text, autoescape=True),
}
# The values that a column may have, for a condition that can have several.
SPLIT: dict[str, Callable[[type[DeclarativeBase], str, Any], Sequence[object]]] = {
    "in": lambda _model, _name, values: list(dict.fromkeys(values)),
    "not": lambda model, name, value: [each for each in choices_of(model, name) if each != value],
}
_ORDER = {"", "gte", "lte", "gt", "lt", "in", "null"}
_OPERATORS_OF: dict[type, set[str]] = {str: _ORDER | {"contains"}, bool: {"", "null"}}
