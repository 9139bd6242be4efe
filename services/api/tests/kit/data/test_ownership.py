"""Which rows belong to a user, and which columns are secret."""

from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import (
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    MetaData,
    String,
    Table,
    Uuid,
    create_engine,
    insert,
    select,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from kit.data.export import is_secret
from kit.data.ownership import Ownership, find_ownership

USER, OTHER = uuid4(), uuid4()


@pytest.fixture
def user() -> Any:
    class Separate(DeclarativeBase):
        metadata = MetaData()

    class User(Separate):
        __tablename__ = "users"
        id: Mapped[UUID] = mapped_column(primary_key=True)

    return User


def table(user: Any, name: str, *columns: Any) -> Table:
    return Table(name, user.metadata, Column("id", Uuid, primary_key=True), *columns)


def to(name: str, target: str = "users.id", on_delete: str = "CASCADE", **info: bool) -> Column[UUID]:
    return Column(name, Uuid, ForeignKey(target, ondelete=on_delete), info=info)


def names(ownership: Ownership) -> tuple[list[str], list[str]]:
    owned = [table.name for table in ownership.owned if table.name != "users"]
    return owned, [table.name for table in ownership.undecided]


def rows_of_user(
    user: Any, table: Table, *rows: dict[str, UUID], **others: list[dict[str, UUID]]
) -> list[UUID]:
    """Store rows, and return the ids of those that belong to the user."""
    engine = create_engine("sqlite://")
    user.metadata.create_all(engine)
    with engine.connect() as connection:
        for name, of_table in others.items():
            connection.execute(insert(user.metadata.tables[name]), of_table)
        connection.execute(insert(table), list(rows))
        condition = find_ownership(user).owned[table](USER)
        found = list(connection.scalars(select(table.c.id).where(condition)))
    engine.dispose()
    return found


@pytest.mark.parametrize(
    "columns",
    [
        [to("owner_id")],
        [to("owner_id", on_delete="SET NULL")],
        [to("user_id"), to("reviewer_id"), to("author_id", on_delete="SET NULL")],
        [to("writer_id"), to("editor_id", on_delete="SET NULL")],
        [to("sender_id", owner=True), to("subject_id")],
        [to("writer_id", on_delete="SET NULL", owner=True)],
        [Column("person_id", Uuid, info={"owner": True})],
    ],
    ids=lambda columns: ",".join(column.name for column in columns),
)
def test_a_row_belongs_to_the_owner_and_not_to_others_whom_it_mentions(user: Any, columns: list[Any]) -> None:
    book = table(user, "books", *columns)
    owner, *others = (column.name for column in columns)
    own, foreign = uuid4(), uuid4()

    found = rows_of_user(
        user,
        book,
        {"id": own, owner: USER, **dict.fromkeys(others, OTHER)},
        {"id": foreign, owner: OTHER, **dict.fromkeys(others, USER)},
    )

    assert found == [own]


def test_a_row_can_belong_to_two_users(user: Any) -> None:
    message = table(user, "messages", to("sender_id", owner=True), to("recipient_id", owner=True))
    sent, received, foreign = uuid4(), uuid4(), uuid4()

    found = rows_of_user(
        user,
        message,
        {"id": sent, "sender_id": USER, "recipient_id": OTHER},
        {"id": received, "sender_id": OTHER, "recipient_id": USER},
        {"id": foreign, "sender_id": OTHER, "recipient_id": OTHER},
    )

    assert set(found) == {sent, received}


def test_nested_rows_belong_to_the_owner_of_their_parents(user: Any) -> None:
    table(user, "orders", to("owner_id"), to("handled_by_id", on_delete="SET NULL"))
    table(user, "items", to("order_id", "orders.id"))
    note = table(user, "notes", to("item_id", "items.id"))
    own, foreign = uuid4(), uuid4()

    found = rows_of_user(
        user,
        note,
        {"id": own, "item_id": own},
        {"id": foreign, "item_id": foreign},
        orders=[
            {"id": own, "owner_id": USER, "handled_by_id": OTHER},
            {"id": foreign, "owner_id": OTHER, "handled_by_id": USER},
        ],
        items=[{"id": own, "order_id": own}, {"id": foreign, "order_id": foreign}],
    )

    assert found == [own]


def test_a_key_that_contains_the_owner_makes_reading_the_parent_unnecessary(user: Any) -> None:
    key = ForeignKeyConstraint(["order_id", "by_id"], ["orders.id", "orders.owner_id"], ondelete="CASCADE")
    table(user, "orders", to("owner_id"))
    item = table(user, "items", Column("order_id", Uuid), Column("by_id", Uuid), key)

    condition = find_ownership(user).owned[item](USER)

    assert condition.compare(item.c.by_id == USER)


@pytest.mark.parametrize(
    "columns",
    [
        [to("sender_id"), to("recipient_id")],
        [to("owner_id"), to("user_id")],
        [Column("user_id", Uuid)],
        [to("order_id", "orders.id"), to("author_id", on_delete="SET NULL")],
        [to("order_id", "orders.id"), to("cart_id", "carts.id")],
    ],
    ids=lambda columns: ",".join(column.name for column in columns),
)
def test_it_has_to_be_decided_whose_a_row_is_if_that_is_not_clear(user: Any, columns: list[Any]) -> None:
    table(user, "orders", to("owner_id"))
    table(user, "carts", to("owner_id"))
    trial = table(user, "trials", *columns)

    assert names(find_ownership(user)) == (["carts", "orders"], ["trials"])
    for column in trial.columns:
        column.info["owner"] = False
    assert names(find_ownership(user)) == (["carts", "orders"], [])


def test_a_row_that_only_mentions_users_belongs_to_nobody(user: Any) -> None:
    table(user, "orders", to("owner_id"))
    table(user, "mentions", to("creator_id", on_delete="SET NULL"))
    table(user, "others", to("order_id", "orders.id", on_delete="SET NULL"))

    assert names(find_ownership(user)) == (["orders"], [])


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (Column("password_hash", String), True),
        (Column("totp_secret", String), True),
        (Column("tokens", String), True),
        (Column("recovery", String, info={"secret": True}), True),
        (Column("password_hint", String, info={"secret": False}), False),
        (Column("password_changed_at", DateTime), False),
        (Column("token_id", Uuid), False),
        (Column("email", String), False),
        (Column("hashtag", String), False),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_a_column_is_secret_if_it_is_marked_or_named_like_a_secret(column: Any, expected: bool) -> None:
    assert is_secret(column) == expected
