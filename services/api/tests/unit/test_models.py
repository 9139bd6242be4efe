"""The models, and the schemas that are filled from them."""

import pytest

from app.blueprint import schemas
from app.model.models import User
from kit.data.base import Base
from kit.data.export import has_secret_name
from kit.data.ownership import find_ownership
from kit.data.snapshot import columns_of
from kit.web.schemas import ResponseBody


def test_every_column_of_a_user_is_in_its_snapshot() -> None:
    assert set(User.__table__.columns.keys()) <= set(columns_of(User))


@pytest.mark.parametrize("schema", [schemas.Account, schemas.UserAccount])
def test_each_field_of_an_account_is_a_column_or_a_property_of_user(
    schema: type[ResponseBody],
) -> None:
    missing = [
        name for name in schema.model_fields if name not in columns_of(User) and not hasattr(User, name)
    ]
    assert missing == [], f"Add these fields of schemas.{schema.__name__} to User in app/model/models.py"


def test_no_foreign_key_prevents_the_deletion_of_an_account() -> None:
    keys = [
        (table.name, key) for table in Base.metadata.tables.values() for key in table.foreign_key_constraints
    ]
    deleted = {"users"}
    for _ in keys:  # a chain is at most this long
        deleted |= {
            table for table, key in keys if key.referred_table.name in deleted and key.ondelete == "CASCADE"
        }

    preventing = [
        f"{table}.{', '.join(key.column_keys)}"
        for table, key in keys
        if key.referred_table.name in deleted and key.ondelete not in ("CASCADE", "SET NULL")
    ]

    assert preventing == [], "Give each ondelete='SET NULL', or 'CASCADE' if its rows belong to the user"


def test_it_is_decided_whose_each_row_is() -> None:
    undecided = [table.name for table in find_ownership(User).undecided]

    assert undecided == [], (
        "Who owns the rows of these tables isn't clear to the export of an account. Mark the column that "
        "refers to the owner with info={'owner': True}, or with info={'owner': False} to export no rows"
    )


def test_each_column_with_the_name_of_a_secret_is_marked() -> None:
    unmarked = [
        str(column)
        for table in find_ownership(User).owned
        for column in table.columns
        if has_secret_name(column) and "secret" not in column.info
    ]

    assert unmarked == [], (
        "Mark each with info={'secret': True}, so that it isn't in the account's export, or with "
        "info={'secret': False} if users may see it"
    )
