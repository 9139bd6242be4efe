"""Pagination: the query of a list, and a response with one page and the cursor of the next."""

import re
from collections.abc import Callable
from hashlib import sha256
from typing import Annotated, Any, ClassVar, TypeVar
from urllib.parse import urlencode

from flask import request
from itsdangerous import BadData, URLSafeSerializer
from pydantic import BeforeValidator, Field, StringConstraints
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from kit.data.base import Base
from kit.data.keyset import Page, check_condition, column_of
from kit.errors import InvalidCursor
from kit.settings import Settings, current
from kit.web.features import in_this_app
from kit.web.schemas import UNSET, Query, ResponseBody, matching

Row = TypeVar("Row")
ListBody = TypeVar("ListBody", bound=ResponseBody)
MAX_PAGE_SIZE = 100
NO_FILTERS = {"limit", "cursor", "sort", "include"}


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


class PageQuery(Query):
    """The query of a list. Other fields of a subclass are filters, such as `title` or `price__gte`.

    If `rows` names a model, filters and sort keys must be its columns. Otherwise raises TypeError.
    """

    rows: ClassVar[type[Base] | None] = None

    limit: PageSize = Field(20, description="The page size.", examples=[20])
    cursor: Cursor = Field(UNSET, description="`next_cursor` from the previous page.")

    @classmethod
    def __pydantic_init_subclass__(cls, **options: Any) -> None:
        super().__pydantic_init_subclass__(**options)
        if cls.rows:
            for name in _sort_keys(cls.model_fields.get("sort")):
                column_of(cls.rows, name)
            for name in set(cls.model_fields) - NO_FILTERS:
                check_condition(cls.rows, name)

    @property
    def filters(self) -> dict[str, Any]:
        """The filters that the client has set."""
        return self.model_dump(exclude=NO_FILTERS, exclude_unset=True)


def sortable(*names: str, default: str) -> Any:
    """Return the field `sort` of a query: up to three of these names, each with a `-` for descending."""
    if unknown := {each.removeprefix("-") for each in default.split(",")} - set(names):
        raise TypeError(
            f"sortable(..., default={default!r}): {', '.join(sorted(unknown))} isn't among the names."
        )
    name = f"-?({'|'.join(names)})"
    pattern = f"^{name}(,{name}){{0,2}}$"
    check, _ = matching(
        pattern, f"Give up to three of {', '.join(names)}, each with a `-` for descending order."
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
    try:
        cursor_sort, values = _signer().loads(cursor)
    except BadData as error:
        raise InvalidCursor from error
    if cursor_sort != sort:
        raise InvalidCursor
    return list(values)


def page_response(
    schema: type[ListBody], page: Page[Row], item: Callable[[Row], ResponseBody]
) -> tuple[ListBody, dict[str, str]]:
    """Return a page with its `next_cursor`, which is also in a Link header (RFC 8288)."""
    items = [item(row) for row in page.rows]
    if page.next_values is None:
        return _list(schema, items, None), {}
    cursor = _signer().dumps([page.sort, page.next_values])
    query = request.args.to_dict() | {"cursor": cursor}
    link = f'<{request.script_root}{request.path}?{urlencode(query)}>; rel="next"'
    return _list(schema, items, cursor), {"Link": link}


def _list(schema: type[ListBody], items: list[ResponseBody], next_cursor: str | None) -> ListBody:
    return in_this_app(schema).model_validate({"items": items, "next_cursor": next_cursor})


def _sort_keys(sort: FieldInfo | None) -> list[str]:
    """Return the names that `sortable` wrote into the field's pattern."""
    extra: Any = sort.json_schema_extra if sort else None
    return extra["pattern"].partition("(")[2].partition(")")[0].split("|") if extra else []


def _signer() -> URLSafeSerializer:
    """Sign cursors, so that a cursor is one of ours and of this list."""
    keys = current(Settings).signing_keys[::-1]  # the serializer signs with the last one
    return URLSafeSerializer(keys, f"cursor of {request.endpoint}", signer_kwargs={"digest_method": sha256})
