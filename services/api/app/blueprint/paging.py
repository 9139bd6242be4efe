"""Lists over HTTP: two functions that a view calls, one before it asks a repository and one after."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any, TypeVar
from urllib.parse import urlencode

from flask import request
from itsdangerous import BadData, URLSafeSerializer
from pydantic import BaseModel

from app.config import current
from app.exceptions import NoSuchPlace
from app.model.listing import Page

Row = TypeVar("Row")
List = TypeVar("List", bound=BaseModel)


def place(cursor: str | None, sort: str) -> list[Any] | None:
    """Return the place that a cursor names, None for the list's begin. Raises NoSuchPlace."""
    if cursor is None:
        return None
    try:
        sorted_by, values = _signer().loads(cursor)
    except BadData as error:
        raise NoSuchPlace from error
    if sorted_by != sort:
        raise NoSuchPlace
    return list(values)


def listed(
    kind: type[List], page: Page[Row], answer: Callable[[Row], BaseModel]
) -> tuple[List, dict[str, str]]:
    """Answer a page, with the way to the next one as `next_cursor` and as a Link header (RFC 8288)."""
    items = [answer(row) for row in page.rows]
    if page.next is None:
        return kind(items=items, next_cursor=None), {}
    cursor = _signer().dumps([page.sort, page.next])
    query = request.args.to_dict() | {"cursor": cursor}
    link = f'<{request.path}?{urlencode(query)}>; rel="next"'
    return kind(items=items, next_cursor=cursor), {"Link": link}


def _signer() -> URLSafeSerializer:
    """Sign cursors: a place is whatever we wrote, for this list, and nothing that a client made up."""
    keys = current().signing_keys[::-1]  # it signs with the last
    return URLSafeSerializer(keys, f"cursor of {request.endpoint}", signer_kwargs={"digest_method": sha256})
