"""Exports everything that is stored about a user, except secrets, as JSON in parts of a bounded size.

Which rows belong to a user is decided in ownership.py. A column with `info={"secret": True}` is left out. So
is one whose name is that of a secret, such as `token_hash`, unless it has `info={"secret": False}`. A column
with `info={"hidden_if": condition}` is null in the rows for which the function gives a true condition.
"""

import re
from collections.abc import Callable, Generator, Iterator
from time import monotonic
from typing import Any
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Date,
    DateTime,
    Select,
    Table,
    Uuid,
    case,
    select,
)

from kit.clock import now
from kit.data.base import Base
from kit.data.column_types import UtcDateTime
from kit.data.database import consistent_read
from kit.data.ownership import find_ownership
from kit.errors import CallerGone

ROWS = 200  # at once in memory
SECRET_NAME = re.compile(
    r"(^|_)(api_key|credential|digest|fingerprint|hash|otp|passphrase|password|private_key|salt|secret"
    r"|token)(e?s)?(_|$)"
)
NEVER_SECRET = (Boolean, Date, DateTime, UtcDateTime, Uuid)


def export(user: type[Base], user_id: UUID, seconds: float = float("inf")) -> Generator[bytes, None, None]:
    """Yield the parts of a JSON object with every row of a user, as all of them were at one moment.

    Raises CallerGone if the user doesn't exist, Overloaded, and TimeoutError after so many seconds.
    """
    end = monotonic() + seconds
    with consistent_read() as connection:
        part = b'{"exported_at":' + to_json(now()) + b',"tables":{'
        for table, belongs_to in find_ownership(user).owned.items():
            part += to_json(table.name) + b":["
            separator = b"\n"
            query = select(*exported_columns(table)).where(belongs_to(user_id))
            for rows in _batches(connection, query):
                yield part + separator + rows
                part, separator = b"", b",\n"
                if monotonic() > end:
                    raise TimeoutError(f"The export took more than {seconds} seconds.")
            if table is user.__table__ and part:
                raise CallerGone
            part += b"],\n"
        yield part.removesuffix(b",\n") + b"}}\n"


def exported_columns(table: Table) -> list[ColumnElement[Any]]:
    return [_exported(column, table) for column in table.columns if not is_secret(column)]


def _exported(column: Column[Any], table: Table) -> ColumnElement[Any]:
    hidden_if: Callable[[Table], ColumnElement[bool]] | None = column.info.get("hidden_if")
    return column if hidden_if is None else case((hidden_if(table), None), else_=column).label(column.name)


def is_secret(column: Column[Any]) -> bool:
    return bool(column.info.get("secret", has_secret_name(column)))


def has_secret_name(column: Column[Any]) -> bool:
    return bool(SECRET_NAME.search(column.name)) and not isinstance(column.type, NEVER_SECRET)


def _batches(connection: Connection, query: Select[Any]) -> Iterator[bytes]:
    result = connection.execute(query, execution_options={"yield_per": ROWS})
    for rows in result.mappings().partitions():
        yield b",\n".join(
            to_json(dict(row), bytes_mode="base64", inf_nan_mode="strings", fallback=str) for row in rows
        )
