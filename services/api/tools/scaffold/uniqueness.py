"""The option --unique: fields that are unique together."""

from collections.abc import Iterable, Iterator

from tools.scaffold.resource import Field, Resource, ScaffoldError

# Too long for an index, without equality, or without a column of this name.
UNSUITABLE = ("text", "json", "file")
FEW_VALUES = ("enum", "bool")
LONGEST_IDENTIFIER = 63  # bytes, in PostgreSQL
OWNER = "owner_id"


def parse_uniques(texts: Iterable[str], resource: Resource) -> tuple[tuple[str, ...], ...]:
    """Return the columns of each constraint, such as `user,book`. Raises ScaffoldError."""
    uniques: list[tuple[str, ...]] = []
    for text in texts:
        columns = tuple(_column(name.strip(), text, resource) for name in text.split(","))
        _check(columns, text, resource)
        if any(set(columns) == set(other) for other in uniques):
            raise ScaffoldError(f"--unique {text}: these fields are already unique together.")
        uniques.append(columns)
    return tuple(uniques)


def is_repeatable(column: str, resource: Resource, *, by_many_owners: bool = False) -> bool:
    """Return whether rows from the factory, each with other values, can have the same value in a column."""
    others = (set(columns) - {column} for columns in _all_uniques(resource) if column in columns)
    return all(
        any(has_many_values(other, resource) or (by_many_owners and other == OWNER) for other in each)
        for each in others
    )


def has_many_values(column: str, resource: Resource) -> bool:
    """Return whether the factory sets a field to another value in each row."""
    field = _field(column, resource)
    return field is not None and field.type not in FEW_VALUES


def _column(name: str, text: str, resource: Resource) -> str:
    if name in ("owner", OWNER) and resource.has_owner:
        if resource.is_owned:
            raise ScaffoldError(f"--unique {text}: with --owned, the owner is always included. Leave it out.")
        return OWNER
    field = _field(name, resource)
    if field is None:
        names = [each.name for each in resource.fields] + ["owner"] * resource.is_authored
        raise ScaffoldError(
            f"--unique {text}: there is no field {name!r}. The fields are {', '.join(names)}."
        )
    if field.type in UNSUITABLE:
        raise ScaffoldError(f"--unique {text}: {name!r} is a {field.type} field, which can't be unique.")
    return field.column_name


def _check(columns: tuple[str, ...], text: str, resource: Resource) -> None:
    if len(set(columns)) < len(columns):
        raise ScaffoldError(f"--unique {text}: a field is repeated. Name each one once.")
    if len(columns) == 1:
        raise ScaffoldError(
            f"--unique {text}: name at least two fields, such as user,book. "
            "To make a single field unique, add the mark ^ to it."
        )
    if not any(has_many_values(column, resource) for column in columns):
        raise ScaffoldError(
            f"--unique {text}: these fields have too few values for the generated tests, which create "
            "several rows. Add another field, or write this constraint by hand."
        )
    name = "_".join(("uq", resource.plural, *[OWNER] * resource.is_owned, *columns))
    if len(name) > LONGEST_IDENTIFIER:
        raise ScaffoldError(
            f"--unique {text}: the constraint would be named {name!r}, but a name has at most "
            f"{LONGEST_IDENTIFIER} characters. Choose shorter names."
        )


def _field(name: str, resource: Resource) -> Field | None:
    return next((each for each in resource.fields if name in (each.name, each.column_name)), None)


def _all_uniques(resource: Resource) -> Iterator[tuple[str, ...]]:
    yield from ((field.column_name,) for field in resource.fields if field.is_unique)
    yield from resource.uniques
