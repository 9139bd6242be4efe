"""Translates database errors that a request causes: violated constraints, time limits and deadlocks."""

import re
from typing import Any, NamedTuple

from psycopg2 import errors
from sqlalchemy import MetaData, Table
from sqlalchemy.exc import DBAPIError

from kit.errors import (
    AlreadyExists,
    CallerGone,
    DomainError,
    QueryTimeout,
    StillReferenced,
    UnknownReference,
    ValueRefused,
    WriteConflict,
)

# SQLSTATE codes (PostgreSQL manual, appendix A).
UNIQUE, EXCLUSION, CHECK, NOT_NULL = "23505", "23P01", "23514", "23502"
REFERENCE, RESTRICT = "23503", "23001"
DATA, DIVISION_BY_ZERO = "22", "22012"  # the class of data errors; division by zero is a bug of ours
TOO_LARGE, RAISED = "54000", "P0001"  # an index entry is too large; raised by a trigger
# The statements that the database gives up: statement_timeout, lock_timeout, and one of a deadlock.
GIVEN_UP: dict[type, type[DomainError]] = {
    errors.QueryCanceled: QueryTimeout,
    errors.LockNotAvailable: QueryTimeout,
    errors.DeadlockDetected: WriteConflict,
}
# part: sqlite
SQLITE_CODES = {"UNIQUE": UNIQUE, "CHECK": CHECK, "NOT NULL": NOT_NULL, "FOREIGN KEY": REFERENCE}
WRITTEN_TABLE = re.compile(r'(?:INSERT INTO|UPDATE|DELETE FROM) "?(\w+)"?')
# end of part


class Violation(NamedTuple):
    """A violated constraint. The fields and the reason are empty if the database doesn't name them."""

    code: str
    fields: tuple[str, ...] = ()
    reason: str = ""  # the constraint, or the database's own words
    deletes: bool = False  # the statement deletes or changes a row that others refer to

    @property
    def field(self) -> str:
        """The last field."""
        return self.fields[-1] if self.fields else ""


def domain_error(error: DBAPIError, metadata: MetaData) -> DomainError | None:
    """Return the error for a violated constraint, an exceeded time limit or a deadlock, or None."""
    driver: Any = error.orig
    if given_up := GIVEN_UP.get(type(driver)):
        return given_up()
    violation = _violation(error, metadata)
    code, field = violation.code, violation.field
    if code in (UNIQUE, EXCLUSION):
        return AlreadyExists(*violation.fields)
    if code == RESTRICT or (code == REFERENCE and violation.deletes):
        return StillReferenced()
    if code == REFERENCE:  # the owner is the caller, whose account was just deleted
        return CallerGone() if field == "owner_id" else UnknownReference(field)
    is_of_data = code.startswith(DATA) and code != DIVISION_BY_ZERO
    if code in (CHECK, NOT_NULL, TOO_LARGE, RAISED) or is_of_data:
        return ValueRefused(field, violation.reason)
    return None


def _violation(error: DBAPIError, metadata: MetaData) -> Violation:
    driver: Any = error.orig
    # part: sqlite
    if not hasattr(driver, "diag"):
        return _sqlite(error, metadata)
    # end of part
    about = driver.diag
    name = about.constraint_name or ""
    table = metadata.tables.get(about.table_name or "")
    fields = (about.column_name,) if about.column_name else _fields(table, name)
    is_referenced = "is still referenced" in (about.message_detail or "")
    return Violation(driver.pgcode or "", fields, name or about.message_primary or "", is_referenced)


# part: sqlite
def _sqlite(error: DBAPIError, metadata: MetaData) -> Violation:
    """Parse SQLite's message. It names the columns of unique constraints, but not a missing reference."""
    kind, failed, about = str(error.orig).partition(" constraint failed")
    code, about = SQLITE_CODES.get(kind, "") if failed else "", about.removeprefix(": ")
    written = WRITTEN_TABLE.match(error.statement or "")
    table = metadata.tables.get(written[1]) if written else None
    if code == CHECK:
        return Violation(code, _fields(table, about), about)
    if code == REFERENCE:
        return Violation(code, _reference(table), deletes=(error.statement or "").startswith("DELETE"))
    columns = [] if about.startswith("index ") else about.split(", ")
    return Violation(code, tuple(column.rpartition(".")[2] for column in columns), str(error.orig))


# end of part
def _fields(table: Table | None, constraint: str) -> tuple[str, ...]:
    """Return the columns of a constraint or unique index."""
    if table is None:
        return ()
    all_: list[Any] = [*table.constraints, *table.indexes]
    found = next((each for each in all_ if each.name == constraint), None)
    columns = [] if found is None else found.info.get("columns", [column.name for column in found.columns])
    if columns:
        return tuple(map(str, columns))
    # A CHECK constraint in SQL text has no columns. Take the one in its name or its text.
    mentioned = set(re.findall(r"\w+", str(getattr(found, "sqltext", "")))) & set(table.columns.keys())
    named = {constraint.removeprefix(f"ck_{table.name}_")} & set(table.columns.keys())
    return ((named or mentioned).pop(),) if named or len(mentioned) == 1 else ()


# part: sqlite
def _reference(table: Table | None) -> tuple[str, ...]:
    """Guess which foreign key was violated: the first that isn't the owner."""
    if table is None:
        return ()
    references = [column.name for column in table.columns if column.foreign_keys]
    return (next((name for name in references if name != "owner_id"), "owner_id"),)


# end of part
