"""What is stored: a user, the user's sessions (one a login), the tokens of each session."""

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    Numeric,
    String,
    Text,
    TextClause,
    TypeDecorator,
    UniqueConstraint,
    false,
)
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeEngine

from app.clock import now

# Every constraint has a name, so that a migration can drop it on any database.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """An aware time in UTC. SQLite forgets time zones, so there it is stored and read as UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True
    python_type = datetime

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Amount(TypeDecorator[Decimal]):
    """A decimal number of at most 15 digits. SQLite has none but floats, which keep so many."""

    impl = Numeric
    cache_ok = True
    python_type = Decimal

    def __init__(self, digits: int, places: int) -> None:
        super().__init__(digits, places)
        self.digits, self.places = digits, places

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        floats: TypeEngine[Any] = Numeric(self.digits, self.places, asdecimal=False)
        return floats if dialect.name == "sqlite" else self.impl_instance

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        return float(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(f"{value:.{self.places}f}")


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {datetime: UtcDateTime()}

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4, sort_order=-1)

    if not TYPE_CHECKING:  # else every misspelt attribute would pass

        def __getattr__(self, name: str) -> Any:
            if name == "_sa_instance_state":  # what SQLAlchemy looks for: see snapshot.py
                raise AttributeError(
                    f"This {type(self).__name__} is a read-only copy of its row. To change it or to read its "
                    "relationships, get it from its repository: lock(id)."
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
        # Alembic doesn't notice a new value of an enum type, and PostgreSQL can't take one out again.
        table = getattr(cls, "__table__", None)  # an abstract model has none
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
    listed = ", ".join("'{}'".format(value.replace("'", "''").replace(":", "\\:")) for value in values)
    return CheckConstraint(
        f"{column} IN ({listed})", name=column, info={"columns": [column], "values": values}
    )


class Role(StrEnum):
    USER = "user"
    ADMIN = "admin"


class TokenType(StrEnum):
    ACCESS = "access"
    REFRESH = "refresh"


class Reason(StrEnum):
    """Why a token or a whole session is dead."""

    ROTATED = "rotated"
    LOGOUT = "logout"
    REVOKED = "revoked"
    REUSED = "reused"
    PASSWORD_CHANGED = "password_changed"
    SESSION_LIMIT = "session_limit"


class User(Base):
    __tablename__ = "users"
    __table_args__ = (
        UniqueConstraint("username_key"),
        one_of("role", Role),
        Index(None, "username", "id"),
        Index(None, "created_at", "id"),
    )

    username: Mapped[str] = mapped_column(String(64))
    username_key: Mapped[str] = mapped_column(String(64))
    password_hash: Mapped[str] = mapped_column(String(255))
    password_changed_at: Mapped[datetime] = mapped_column(default=now)
    role: Mapped[str] = mapped_column(String(16), default=Role.USER)
    disabled: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)


class Session(Base):
    """One login and all the tokens that came of it. Ending it kills them all in one row."""

    __tablename__ = "sessions"
    __table_args__ = (
        # What the tokens' foreign key refers to: a token can only belong to a session of its own user.
        UniqueConstraint("id", "user_id"),
        Index(None, "user_id", "refreshed_at"),
        Index(None, "user_id", "network", "created_at"),
        Index(None, "expires_at"),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    refresh_id: Mapped[UUID]  # its one refresh token that is not spent
    created_at: Mapped[datetime]
    refreshed_at: Mapped[datetime]
    expires_at: Mapped[datetime]  # when its last token expires
    ends_at: Mapped[datetime]  # when it ends however often it is refreshed
    ended_at: Mapped[datetime | None]
    ended_reason: Mapped[str | None] = mapped_column(String(32))
    network: Mapped[str | None] = mapped_column(String(45))  # of the client that logged in


class Token(Base):
    """One JWT: its id is the `jti` claim."""

    __tablename__ = "tokens"
    __table_args__ = (
        # Through the session alone: a key to users as well would make a refresh lock the user after
        # the session, against the order of locks (user, session, token), and so deadlock with a deletion.
        ForeignKeyConstraint(
            ["session_id", "user_id"], ["sessions.id", "sessions.user_id"], ondelete="CASCADE"
        ),
        one_of("type", TokenType),
        Index(None, "session_id", "parent_id"),
        Index(None, "user_id", "issued_at", "id"),
        Index(None, "expires_at"),
    )

    session_id: Mapped[UUID]
    user_id: Mapped[UUID]
    parent_id: Mapped[UUID | None]  # the refresh token that was spent for it; none at a login
    type: Mapped[str] = mapped_column(String(16))
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    revoked_reason: Mapped[str | None] = mapped_column(String(32))
    user_agent: Mapped[str | None] = mapped_column(String(255))
    ip: Mapped[str | None] = mapped_column(String(45))

    session: Mapped[Session] = relationship(lazy="joined", innerjoin=True, viewonly=True)

    @property
    def dead_since(self) -> datetime | None:
        """When it was revoked, by itself or with its session. None while neither is."""
        return self.revoked_at or self.session.ended_at

    @property
    def dead_because(self) -> str | None:
        """The `Reason` of that."""
        return self.revoked_reason or self.session.ended_reason


class Answer(Base):
    """What was answered to a request with an Idempotency-Key. See AnswerRepository."""

    __tablename__ = "answers"
    __table_args__ = (UniqueConstraint("user_id", "key"), Index(None, "expires_at"))

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(String(255))
    fingerprint: Mapped[str] = mapped_column(String(64))  # of the request
    expires_at: Mapped[datetime]
    headers: Mapped[str | None] = mapped_column(Text)
    body: Mapped[str | None] = mapped_column(Text)


class Attempts(Base):
    """What was counted under one key, the `id`. See AttemptRepository."""

    __tablename__ = "attempts"
    __table_args__ = (Index(None, "expires_at"),)

    # The newest attempts, newest first, each a time and a mark of fixed length: the one kind of list that
    # PostgreSQL and SQLite cut and search with the same functions.
    entries: Mapped[str] = mapped_column(Text)
    attempts: Mapped[int]  # the limit: so many
    milliseconds: Mapped[int]  # in such a time
    expires_at: Mapped[int] = mapped_column(BigInteger)  # by the database's clock, in milliseconds since 1970
