"""Pagination: the query of a list, and a response with one page and the cursor of the next."""

import csv
import json
import re
from collections.abc import Callable, Iterable
from hmac import compare_digest
from typing import Annotated, Any, ClassVar, TypeVar
from urllib.parse import urlencode

from flask import request
from jwt.utils import base64url_decode, base64url_encode
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetJsonSchemaHandler,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from kit.data.base import Base
from kit.data.keyset import Page, SortValues, check_condition, column_of
from kit.data.relations import link_to_filter
from kit.data.resource_repository import MOST_COUNTED
from kit.errors import FieldError, InvalidCursor
from kit.security.keyed_hash import keyed_hashes
from kit.settings import Settings, current
from kit.web.features import in_this_app
from kit.web.list_queries import MOST_VALUES, Offer
from kit.web.schemas import NO_NUL, UNSET, Query, ResponseBody, matching

Row = TypeVar("Row")
ListBody = TypeVar("ListBody", bound=ResponseBody)
MAX_PAGE_SIZE = 100


def _page_size(value: object) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,2}", str(value), re.ASCII):
        raise PydanticCustomError("invalid_format", "Give a whole number from 1 to 100.")
    return int(str(value))


PageSize = Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE), BeforeValidator(_page_size)]
# Only the form. decode_cursor() checks the signature.
Cursor = Annotated[
    str,
    StringConstraints(max_length=8000),
    *matching("^[A-Za-z0-9._-]+$", "Pass `next_cursor` from the previous page unchanged."),
]
Value = TypeVar("Value")
NOT_FILTERS = {"limit", "cursor", "sort", "total", "include"}


def _several(value: object) -> object:
    try:
        return next(csv.reader([value]), []) if isinstance(value, str) else value
    except csv.Error:  # a line break
        return [value]


# The value of a filter such as genre__in: `AnyOf[Reference]`. A value with a comma is in double quotes.
AnyOf = Annotated[list[Value], Field(min_length=1, max_length=MOST_VALUES), BeforeValidator(_several)]


def _has_a_word(text: str) -> str:
    if not re.search(r"[^\W_]{3}", text):
        raise PydanticCustomError("too_short", "Give at least three letters or digits in a row.")
    return text


# Text to search for. The index of PostgreSQL finds three letters or digits in a row.
Search = Annotated[str, StringConstraints(min_length=3, max_length=100), *NO_NUL, AfterValidator(_has_a_word)]
# Fields of a list that are left out unless the client asks for `total`.
Total = Annotated[
    int | None,
    Field(exclude_if=lambda value: value is None),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": MOST_COUNTED}),
]


class PageQuery(Query):
    """The query of a list. Other fields of a subclass are filters, such as `title` or `price__gte`.

    If `rows` names a model, filters and sort keys must be its columns, and an index must serve each request:
    see kit/data/list_indexes.py. `within` names columns that the view fixes, such as the owner, or the parent
    in the path. `reads_whole_list` names columns that need no index, because the list is short. With True, no
    combination needs one.

    Raises TypeError if no index serves a filter or a sort key.
    """

    rows: ClassVar[type[Base] | None] = None
    within: ClassVar[tuple[str, ...]] = ()
    reads_whole_list: ClassVar[bool | tuple[str, ...]] = False
    offer: ClassVar[Offer | None] = None  # checked at start-up

    limit: PageSize = Field(20, description="The page size.", examples=[20])
    cursor: Cursor = Field(UNSET, description="`next_cursor` from the previous page.")

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        super().__pydantic_init_subclass__(**options)
        if cls.rows:
            for name in _sort_keys(cls.model_fields.get("sort")):
                column_of(cls.rows, name)
            filters = (name for name in cls.model_fields if name not in NOT_FILTERS)
            conditions = tuple(name for name in filters if not link_to_filter(cls.rows, name))
            for name in conditions:
                check_condition(cls.rows, name)
            keys = tuple(_sort_keys(cls.model_fields.get("sort")))
            cls.offer = None
            if cls.reads_whole_list is not True:
                cls.offer = Offer(cls.rows, conditions, keys, cls.within, cls.reads_whole_list or ())
                cls.offer.check(cls.__name__)

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler.resolve_ref_schema(handler(core_schema))
        if cls.offer and "sort" in schema["properties"]:
            schema["properties"]["sort"]["description"] += f" Combinations: {cls.offer.listed()}."
        return schema

    def policy_errors(self) -> Iterable[FieldError]:
        if not self.offer:
            return ()
        links = {name for name in self.filters if link_to_filter(self.offer.model, name)}
        columns = {name: value for name, value in self.filters.items() if name not in links}
        return self.offer.errors(columns, getattr(self, "sort", ""))

    @property
    def filters(self) -> dict[str, Any]:
        """The filters that the client has set."""
        return self.model_dump(exclude=NOT_FILTERS, exclude_unset=True)


def sortable(*names: str, default: str, most: int = 3) -> Any:
    """Return the field `sort` of a query: at most `most` of these names, each with a `-` for descending."""
    if unknown := {each.removeprefix("-") for each in default.split(",")} - set(names):
        raise TypeError(
            f"sortable(..., default={default!r}): {', '.join(sorted(unknown))} isn't among the names."
        )
    name = f"-?({'|'.join(names)})"
    pattern = f"^{name}(,{name}){{0,{most - 1}}}$"
    count = {1: "one", 2: "up to two", 3: "up to three"}[most]
    check, _ = matching(
        pattern, f"Give {count} of {', '.join(names)}, with a `-` in front for descending order."
    )
    field: Any = Field(
        default,
        max_length=200,
        description="The fields to sort by; a leading `-` sorts in descending order.",
        examples=[default],
        json_schema_extra={"pattern": pattern},
    )
    field.metadata.append(check)
    return field


def decode_cursor(cursor: str | None, sort: str) -> list[Any] | None:
    """Return the sort values of the previous page's last row. None means the first page.

    Raises InvalidCursor.
    """
    if cursor is None:
        return None
    payload, _, signature = cursor.rpartition(".")
    if not any(compare_digest(signature.encode(), each) for each in _signatures(payload)):
        raise InvalidCursor
    cursor_sort, values = json.loads(base64url_decode(payload))
    if cursor_sort != sort:
        raise InvalidCursor
    return list(values)


def page_response(
    schema: type[ListBody],
    page: Page[Row],
    item: Callable[[Row], ResponseBody],
    total: int | None = None,
) -> tuple[ListBody, dict[str, str]]:
    """Return a page with its `next_cursor`, which is also in a Link header (RFC 8288).

    `total` is the result of `ResourceRepository.count`, if the client asked for it.
    """
    items = [item(row) for row in page.rows]
    totals = {} if total is None else _totals(total)
    if page.next_values is None:
        return _list(schema, items, None, totals), {}
    cursor = _encode_cursor(page.sort, page.next_values)
    query = request.args.to_dict() | {"cursor": cursor}
    link = f'<{request.script_root}{request.path}?{urlencode(query)}>; rel="next"'
    return _list(schema, items, cursor, totals), {"Link": link}


def _totals(count: int) -> dict[str, int]:
    return {"total": count} if count <= MOST_COUNTED else {"total_at_least": MOST_COUNTED}


def _list(
    schema: type[ListBody], items: list[ResponseBody], next_cursor: str | None, totals: dict[str, int]
) -> ListBody:
    return in_this_app(schema).model_validate({"items": items, "next_cursor": next_cursor, **totals})


def _sort_keys(sort: FieldInfo | None) -> list[str]:
    """Return the names that `sortable` wrote into the field's pattern."""
    extra: Any = sort.json_schema_extra if sort else None
    return extra["pattern"].partition("(")[2].partition(")")[0].split("|") if extra else []


def _encode_cursor(sort: str, values: SortValues) -> str:
    """Return a cursor. Compared with itsdangerous, which compresses it, this saves half of the time."""
    text = json.dumps([sort, values], ensure_ascii=False, separators=(",", ":"))
    payload = base64url_encode(text.encode()).decode()
    return f"{payload}.{_signatures(payload)[0].decode()}"


def _signatures(payload: str) -> list[bytes]:
    """Sign a cursor of this list with each signing key. The current key comes first."""
    keys = current(Settings).signing_keys
    hashes = keyed_hashes(keys, "cursor", str(request.endpoint), payload)
    return [base64url_encode(each) for each in hashes]
