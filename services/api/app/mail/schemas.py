"""Schemas of accounts with e-mail addresses."""

from typing import Annotated, Any

from pydantic import Field, StringConstraints

from app.blueprint import schemas
from app.blueprint.schemas import EXAMPLE_ACCOUNT, EXAMPLE_PAIR, EXAMPLE_USER, NO_CONTROLS, Password
from kit.web.fields import TrimmedEmail as Email
from kit.web.schemas import UNSET, RequestBody, ResponseBody, Text, example

EXAMPLE_EMAIL = {"email": "ann@example.com", "email_verified": True}
# Also an address, as long as they can be.
LoginName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=254), *NO_CONTROLS
]
LinkToken = Annotated[str, StringConstraints(min_length=1, max_length=100), *NO_CONTROLS]


class NewAccount(schemas.NewAccount):
    model_config = example(username="ann", password="correct horse battery staple", email="ann@example.com")

    email: Email = UNSET


class NewAccountWithEmail(NewAccount):
    email: Email


class Login(schemas.Login):
    username: LoginName


class WithEmail(ResponseBody):
    email: Text | None
    email_verified: bool


class Account(WithEmail, schemas.Account):
    """Your own account."""

    model_config = example(**EXAMPLE_ACCOUNT, **EXAMPLE_EMAIL)


class ChangedAccount(WithEmail, schemas.ChangedAccount):
    """Your own account. After a change of the password, `tokens` is a new pair: all others have ended."""

    model_config = example(**EXAMPLE_ACCOUNT, **EXAMPLE_EMAIL, tokens=EXAMPLE_PAIR)


class UserAccount(WithEmail, schemas.UserAccount):
    """An account, as admins see it."""

    model_config = example(**EXAMPLE_USER, **EXAMPLE_EMAIL)


class UserAccountList(schemas.UserAccountList):
    model_config = example(items=[EXAMPLE_USER | EXAMPLE_EMAIL], next_cursor=None)

    items: Annotated[list[UserAccount], Field(max_length=100)]  # type: ignore[assignment]


EXTENDED: dict[type[Any], type[Any]] = {
    schemas.Login: Login,
    schemas.Account: Account,
    schemas.ChangedAccount: ChangedAccount,
    schemas.UserAccount: UserAccount,
    schemas.UserAccountList: UserAccountList,
}
# By REGISTER_EMAIL.
NEW_ACCOUNTS: dict[str, dict[type[Any], type[Any]]] = {
    "off": {},
    "optional": {schemas.NewAccount: NewAccount},
    "required": {schemas.NewAccount: NewAccountWithEmail},
}


class EmailChange(RequestBody):
    model_config = example(email="ann@example.com", current_password="correct horse battery staple")

    email: Email
    current_password: Password


class EmailRemoval(RequestBody):
    model_config = example(current_password="correct horse battery staple")

    current_password: Password


class Verification(RequestBody):
    model_config = example(token="pVGu6SIlqC3UhhdWQBu6tGm8XqSvtIEXBVCmMjBEgAo")

    token: LinkToken


class PasswordResetRequest(RequestBody):
    model_config = example(email="ann@example.com")

    email: Email


class PasswordReset(RequestBody):
    model_config = example(
        token="pVGu6SIlqC3UhhdWQBu6tGm8XqSvtIEXBVCmMjBEgAo", password="another horse, another staple"
    )

    token: LinkToken
    password: Password


class Accepted(ResponseBody):
    """What happens next."""

    model_config = example(message="If an account has verified this address, a message is on its way.")

    message: Text
