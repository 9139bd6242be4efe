"""The base class of all models, and what their tables can declare."""

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, Enum, ForeignKeyConstraint, Index, MetaData, Table, TextClause
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.dialects.sqlite.base import SQLiteDialect
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from kit.data.column_types import UtcDateTime

# Every constraint has a name, so that migrations can drop it on every database.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
RESERVED = frozenset().union(*(dialect.preparer.reserved_words for dialect in (PGDialect, SQLiteDialect)))


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: UtcDateTime()}

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4, sort_order=-1)

    if not TYPE_CHECKING:  # otherwise mypy would accept misspelt attributes

        def __getattr__(self, name: str) -> Any:
            if name == "_sa_instance_state":  # looked up by SQLAlchemy; see snapshot.py
                raise AttributeError(
                    f"This {type(self).__name__} is a read-only copy of its row. Get the row from its "
                    "repository: with lock(id) to change it, or with get(id) to read its relationships."
                )
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __init_subclass__(cls, **options: Any) -> None:
        try:
            super().__init_subclass__(**options)
        except InvalidRequestError as error:
            if "constraint_name" not in str(error):
                raise
            raise TypeError(
                f"{cls.__name__}: give each CHECK constraint a name, such as that of its column: "
                'CheckConstraint("price > 0", name="price").'
            ) from error
        # Alembic doesn't detect new values of an enum type, and PostgreSQL can't remove values.
        table = getattr(cls, "__table__", None)  # abstract models have none
        for check in () if table is None else table.constraints:
            condition = getattr(check, "sqltext", None)
            if isinstance(condition, TextClause) and condition._bindparams:
                raise TypeError(
                    f"{cls.__name__}: SQLAlchemy takes the colon in CHECK ({condition}) for a parameter. "
                    "Escape it with a backslash."
                )
        for column in () if table is None else table.columns:
            if isinstance(column.type, Enum):
                raise TypeError(
                    f"{cls.__name__}.{column.key}: Enum columns aren't supported. Use Mapped[str], "
                    "mapped_column(String(32)) and one_of(...) in __table_args__, as User.role does."
                )


def one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    """Return the CHECK constraint that allows only the values of an enum in a column.

    `make migration` writes a migration when the enum gets or loses a value.
    """
    condition = f"{sql_name(column)} IN ({', '.join(map(sql_text, values))})"
    return CheckConstraint(condition, name=column, info={"columns": [column], "values": values})


def sql_name(column: str) -> str:
    """Return the name of a column as SQL, in quotes if it is a word of SQL such as `order`."""
    return f'"{column}"' if column in RESERVED else column


def sql_text(value: str) -> str:
    """Return text as SQL for the condition of a CHECK constraint, where a colon begins a parameter."""
    quoted = value.replace("'", "''").replace(":", "\\:")
    return f"'{quoted}'"


def trigram_index(column: str) -> Index:
    """Return an index with which PostgreSQL finds parts of a text. SQLite reads the whole table.

    The migration has to create the extension pg_trgm: see kit/data/migrations/extensions.py.
    """
    index = Index(None, column, postgresql_using="gin", postgresql_ops={column: "gin_trgm_ops"})
    return index.ddl_if(dialect="postgresql")


def belongs_to(model: type[Base], parent: str) -> None:
    """Add the foreign key from a kit model's `user_id` to a column of the app, such as `users.id`."""
    table = model.__table__
    assert isinstance(table, Table)  # noqa: S101 # nosec B101
    table.append_constraint(ForeignKeyConstraint(["user_id"], [parent], ondelete="CASCADE"))
