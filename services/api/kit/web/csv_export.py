"""Exports of lists as CSV (RFC 4180), streamed row by row as all rows were at one moment."""

import csv
import json
from collections.abc import Iterable, Iterator
from io import StringIO
from time import monotonic
from typing import Any, cast

from flask import Response, stream_with_context
from pydantic import create_model
from pydantic_core import to_jsonable_python
from sqlalchemy import Select

from kit.data.base import Base
from kit.data.database import consistent_read, release
from kit.data.snapshot import columns_of, snapshot
from kit.web.features import in_this_app
from kit.web.pagination import PageQuery
from kit.web.responses import disposition
from kit.web.schemas import Query, ResponseBody

ROWS = 200  # at once in memory
MAX_SECONDS = 300
CONTENT_TYPE = "text/csv; charset=utf-8; header=present"
# Spreadsheets take a text that begins with one of these for a formula, which can send the data elsewhere.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # also full-width
OF_PAGES = {"limit", "cursor", "total", "include"}  # parameters of a list that an export doesn't have


class ExportQuery(Query):
    """The query of an export: the filters and the order of a list, without pages."""

    sort: str

    @property
    def filters(self) -> dict[str, Any]:
        return self.model_dump(exclude={"sort"}, exclude_unset=True)


def export_query(of: type[PageQuery]) -> type[ExportQuery]:
    """Return the query of an export with the filters and sort keys of a list."""
    fields: dict[str, Any] = {
        name: (field.annotation, field) for name, field in of.model_fields.items() if name not in OF_PAGES
    }
    return create_model(f"{of.__name__}Export", __base__=ExportQuery, **fields)


def csv_response(schema: type[ResponseBody], query: Select[Any], name: str) -> Response:
    """Stream the rows of a query, each as its JSON would be, in a file with this name.

    Decimals, times and ids are written as in JSON, null is empty, and lists and objects are JSON. A text that
    a spreadsheet would take for a formula begins with an apostrophe.
    """
    release()  # the export has its own connection
    model = cast("type[Base]", query.column_descriptions[0]["entity"])
    parts = _parts(in_this_app(schema), model, query.with_only_columns(*columns_of(model).values()))
    headers = {"Content-Disposition": disposition(f"{name}.csv")}
    return Response(stream_with_context(parts), headers=headers, content_type=CONTENT_TYPE)


def _parts(schema: type[ResponseBody], model: type[Base], query: Select[Any]) -> Iterator[str]:
    """Yield a part for the header and each batch. Raises Overloaded, and TimeoutError."""
    end = monotonic() + MAX_SECONDS
    with consistent_read() as connection:
        yield _lines([list(schema.model_fields)])
        for rows in connection.execute(query, execution_options={"yield_per": ROWS}).partitions():
            yield _lines(_cells(schema.of(snapshot(model, row))) for row in rows)
            if monotonic() > end:
                raise TimeoutError(f"The export took more than {MAX_SECONDS} seconds.")


def _lines(rows: Iterable[list[str]]) -> str:
    buffer = StringIO(newline="")
    csv.writer(buffer).writerows(rows)  # with CRLF at the end of each line
    return buffer.getvalue()


def _cells(body: ResponseBody) -> list[str]:
    written = body.model_dump(mode="json")
    return [_cell(value, written[name]) for name, value in body]


def _cell(value: object, written: Any) -> str:
    if isinstance(value, str):
        return f"'{written}" if written.startswith(FORMULA) else written
    if written is None:
        return ""
    if isinstance(written, str):
        return written
    return json.dumps(to_jsonable_python(written), ensure_ascii=False)
