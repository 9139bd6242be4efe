"""The models, and the schemas that are filled from them."""

import pytest

from app.blueprint import schemas
from app.model.models import User
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
