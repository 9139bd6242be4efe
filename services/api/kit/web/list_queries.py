"""What a list offers: its filters and sort keys, and which of them a request can combine."""

from collections.abc import Iterable, Mapping, Set
from typing import NamedTuple

from kit.data.list_indexes import (
    Model,
    Names,
    choices_of,
    combinations,
    filters_of,
    find_order,
    has_trigrams,
)
from kit.errors import FieldError

MOST_VALUES = 20  # in a filter such as genre__in
RANGES = {"gte", "lte", "gt", "lt"}


class Offer(NamedTuple):
    """What the query of a list offers. `within` are columns that the view fixes, such as `owner_id`."""

    model: Model
    conditions: Names  # the parameters: title, price__gte
    sort_keys: Names
    within: Names
    unchecked: Names = ()  # columns that need no index

    def check(self, place: str) -> None:
        """Raise TypeError if no index serves a filter or a sort key in any combination."""
        fixed, sorts = self._served()
        for condition in self.conditions:
            name, _, operator = condition.partition("__")
            if name in self.unchecked:
                continue
            if operator == "contains" and not has_trigrams(self.model, name):
                raise TypeError(self._refusal(place, condition, f'trigram_index("{name}")'))
            if operator == "not" and len(choices_of(self.model, name)) > MOST_VALUES:
                raise TypeError(f"{place} offers the filter {condition}, but {name} has too many values.")
            starts = {keys[0] for keys in sorts}
            is_served = name in (starts if operator in RANGES else fixed) or operator == "contains"
            if not is_served:
                raise TypeError(self._refusal(place, condition, self._index(name)))
        for name in self.sort_keys:
            if name not in self.unchecked and not any(name in keys for keys in sorts):
                raise TypeError(self._refusal(place, f"sort={name}", self._index(name)))

    def errors(self, filters: Mapping[str, object], sort: str) -> Iterable[FieldError]:
        """Return an error if no index serves these filters in this order."""
        if self._is_unchecked(filters, sort) or find_order(
            self.model, filters_of(filters, self.within), sort
        ):
            return
        for name in filters:
            column, _, operator = name.partition("__")
            is_range = operator in RANGES or (operator == "null" and filters[name] is False)
            if is_range and find_order(self.model, filters_of(filters, self.within), column):
                yield FieldError(f"Sort by {column} to filter by {name}.", "invalid_format", parameter=name)
                return
        listed = self.listed()
        first = next(iter(filters), "sort")
        yield FieldError(
            f"These can't be combined. Combinations: {listed}.", "invalid_format", parameter=first
        )

    def _is_unchecked(self, filters: Iterable[str], sort: str) -> bool:
        used = {name.partition("__")[0] for name in filters} | {key.lstrip("-") for key in sort.split(",")}
        return not used.isdisjoint(self.unchecked)

    def listed(self) -> str:
        """Return the combinations for people."""
        return "; ".join(dict.fromkeys(_sentence(fixed, keys) for fixed, keys in self._combinations()))

    def _combinations(self) -> Iterable[tuple[Names, Names]]:
        filterable = {name for name, _, operator in self._parts() if operator not in {"contains", *RANGES}}
        return combinations(self.model, filterable, set(self.sort_keys), self.within)

    def _served(self) -> tuple[Set[str], list[Names]]:
        every = list(self._combinations())
        return {name for fixed, _ in every for name in fixed}, [keys for _, keys in every if keys]

    def _parts(self) -> list[tuple[str, str, str]]:
        return [condition.partition("__") for condition in self.conditions]

    def _index(self, name: str) -> str:
        columns = dict.fromkeys((*self.within, name, "created_at", "id"))
        return f"Index(None, {', '.join(repr(each) for each in columns)})"

    def _refusal(self, place: str, what: str, remedy: str) -> str:
        return (
            f"{place} offers {what}, but no index of {self.model.__name__} serves it, so it would read the "
            f"whole table. Add {remedy} to the model. If the list stays short, add the column to "
            f"reads_whole_list in {place} instead."
        )


def _sentence(fixed: Names, keys: Names) -> str:
    sort = f"sort={','.join(keys)}" if keys else "any sort"
    return f"{', '.join(fixed)} with {sort}" if fixed else sort
