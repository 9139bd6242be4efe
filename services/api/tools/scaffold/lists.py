"""The list of a resource: its filters, its sort keys, and the indexes that serve them.

An index has the columns to filter by, then those to sort by, then `created_at` and `id`.
"""

from collections.abc import Sequence
from hashlib import sha256

from kit.web.pagination import PageQuery
from tools.scaffold.resource import Field, Resource, ScaffoldError

LONGEST_NAME = 63  # of PostgreSQL
MOST_CHOICES = 21  # field__not is read as one of the others, at most 20
NOT_INDEXED = ("text", "json", "url", "file")
COMPARISONS = {
    "": "equals this value",
    "in": "is one of these values, separated by commas",
    "not": "has another value than this",
    "null": "is null, or is not null",
    "gte": "is at least this value",
    "lte": "is at most this value",
    "contains": "contains this text, ignoring case",
}
PARAMETERS = {*PageQuery.model_fields, "sort", "total", "include"}  # of lists, besides the filters
Columns = tuple[str, ...]


def parse_indexes(texts: Sequence[str], resource: Resource) -> tuple[Columns, ...]:
    """Return the columns of each `--index author,genre`. Raises ScaffoldError."""
    return tuple(_parse_index(text, resource) for text in texts)


def _parse_index(text: str, resource: Resource) -> Columns:
    fields = {name: field for field in resource.fields for name in (field.name, field.column_name)}
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in fields]:
        raise ScaffoldError(f"--index {text}: {resource.name} has no field {unknown[0]!r}.")
    columns = tuple(fields[name].column_name for name in names)
    if len(set(columns)) < len(columns) or len(columns) < 2:
        raise ScaffoldError(f"--index {text}: name at least two different fields. For one, write + after it.")
    if wrong := [name for name in names if fields[name].type in NOT_INDEXED]:
        raise ScaffoldError(f"--index {text}: {wrong[0]} has a type that can't have an index.")
    return columns


def indexes(resource: Resource) -> list[Columns]:
    """Return the columns of each index, those of unique constraints excepted."""
    owner = ("owner_id",) if resource.is_owned else ()
    end = ("created_at", "id")
    found = [(*owner, *end)]
    if resource.is_authored:
        found.append(("owner_id", *end))
    for field in resource.fields:
        if field.is_indexed:
            found.append((*owner, field.column_name, *end))
        # Starts with the reference, because deleting the other row needs it too.
        if field.type == "ref" and (resource.is_owned or not field.is_unique):
            found.append((field.column_name, *owner, *end))
    found += [(*owner, *columns, *end) for columns in resource.indexes]
    return list(dict.fromkeys(found))


def index_name(table: str, columns: Columns) -> str | None:
    """Return a name for an index if that of the naming convention would be too long."""
    name = f"ix_{table}_{'_'.join(columns)}"
    return None if len(name) <= LONGEST_NAME else f"{name[:54]}_{sha256(name.encode()).hexdigest()[:8]}"


def sort_keys(resource: Resource) -> list[str]:
    indexed = {name for columns in indexes(resource) for name in columns}
    fields = [field.column_name for field in resource.fields if field.is_sortable]
    return ["created_at", *(name for name in fields if name in indexed)]


def most_sort_keys(resource: Resource) -> int:
    """Return how many sort keys an index serves at once."""
    return max(len(keys) for _, keys in combinations(resource))


def operators(field: Field, resource: Resource) -> list[str]:
    """Return the operators that filters of the field can have."""
    is_indexed = any(field.column_name in columns for columns in indexes(resource))
    found = list(field.kind.operators) if is_indexed else [""] if field.is_unique else []
    if "" in found and field.type != "bool":
        found.append("in")
    if "" in found and field.type == "enum" and 1 < len(field.arguments) <= MOST_CHOICES:
        found.append("not")
    if is_indexed and field.is_nullable:
        found.append("null")
    return [*found, *(["contains"] if field.is_searchable else [])]


def condition(operator: str, type_: str) -> tuple[str, str]:
    """Return the type of a filter, and the rest of a sentence that describes it."""
    types = {"in": f"AnyOf[{type_}]", "null": "Flag", "contains": "Search"}
    return types.get(operator, type_), COMPARISONS[operator]


def combinations(resource: Resource, null: str = "") -> list[tuple[Columns, Columns]]:
    """Return what a request can combine: columns to filter by, and sort keys.

    Some types have no filter for a value, but the column `null` is filtered by NULL.
    """
    sortable = set(sort_keys(resource))
    nullable = {field.column_name for field in resource.fields if field.is_nullable}
    ranges = {field.column_name for field in resource.fields if "" not in field.kind.operators} - {null}
    found: list[tuple[Columns, Columns]] = []
    for columns in indexes(resource):
        for place in range(len(columns) - 1):
            fixed, rest = columns[:place], columns[place:-1]
            keys = list(rest)
            while keys and (set(keys) - sortable or set(rest[1:]) & nullable):
                keys.pop()
            if keys and not set(fixed) & ranges and (not resource.is_owned or "owner_id" in fixed):
                found.append((tuple(name for name in fixed if name != "owner_id"), tuple(keys)))
    return list(dict.fromkeys(found))


def check_filters(resource: Resource) -> None:
    """Raise ScaffoldError if a filter would have the name of another parameter."""
    for field in resource.fields:
        if field.name == "total" and "" in operators(field, resource):
            raise ScaffoldError(
                f"{field.spec!r}: ?total=true counts the rows of a list, so this field can't be a filter. "
                "Choose another name, or leave out its mark."
            )


def unfiltered_sorts(resource: Resource) -> list[str]:
    """Return the sorts that need no filter."""
    every = [keys for fixed, keys in combinations(resource) if not fixed]
    return list(dict.fromkeys(",".join(keys[: at + 1]) for keys in every for at in range(len(keys))))


def filtered_sorts(resource: Resource) -> list[tuple[Columns, str]]:
    """Return the columns that can be filtered by together, each with a sort."""
    return [(fixed, ",".join(keys)) for fixed, keys in combinations(resource) if fixed]


def context(field: Field, operator: str, resource: Resource) -> tuple[Columns, str]:
    """Return what a filter is combined with: more columns to filter by, and a sort."""
    name = field.column_name
    every = combinations(resource, name if operator == "null" else "")
    if operator in ("gte", "lte", "not null"):
        return next((fixed, keys[0]) for fixed, keys in every if keys[0] == name)
    found = [(fixed, keys[0]) for fixed, keys in every if name in fixed]
    if not found:  # unique, or searchable
        return (), "-created_at"
    fixed, sort = min(found, key=lambda each: len(each[0]))
    return tuple(other for other in fixed if other != name), sort


def uncombined(resource: Resource) -> list[str]:
    """Return two fields that are filters, but not together, or none."""
    every = [set(fixed) for fixed, _ in combinations(resource)]
    names = [
        field.column_name
        for field in resource.fields
        if "" in operators(field, resource) and not field.is_unique and {field.column_name} in every
        if field.target != resource.name  # NULL in the rows of the tests
    ]
    pairs = ([first, second] for at, first in enumerate(names) for second in names[at + 1 :])
    served = [*every, *map(set, resource.uniques)]
    return next((pair for pair in pairs if set(pair) not in served), [])


def not_offered(resource: Resource) -> list[str]:
    """Return queries that a list refuses."""
    plain = [field for field in resource.fields if not operators(field, resource)]
    queries = [f"{field.column_name}=1" for field in plain if field.column_name not in PARAMETERS]
    queries += [f"sort={field.column_name}" for field in plain]
    several = [sort for sort in unfiltered_sorts(resource) if "," in sort]
    return [*queries, *(f"sort={sort.replace(',', ',-')}" for sort in several[:1])]
