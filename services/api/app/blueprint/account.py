"""The caller's own account: read, changed, deleted."""

from flask import Blueprint
from pydantic import BaseModel

from app import limits
from app.authentication import ACCESS_TOKEN, FRESH_TOKEN, Caller, passwords
from app.blueprint.conditional import refuse_stale, tagged
from app.blueprint.endpoint import endpoint
from app.blueprint.handlers import PreconditionFailed
from app.blueprint.schemas import Account, AccountChange, AccountReplacement
from app.database import db
from app.exceptions import (
    LastAdmin,
    Overloaded,
    PasswordRefused,
    TokenRevoked,
    TooManyAttempts,
    UsernameTaken,
    WrongCurrentPassword,
)
from app.model.models import Reason
from app.model.session_repository import SessionRepository
from app.model.user_repository import UserRepository
from app.security_events import Event, tell

blueprint = Blueprint("account", __name__, url_prefix="/account")

CHANGE_RAISES = [
    PasswordRefused,
    PreconditionFailed,
    WrongCurrentPassword,
    UsernameTaken,
    TooManyAttempts,
    Overloaded,
]


@blueprint.get("")
@endpoint(needs=ACCESS_TOKEN, returns=Account, headers=["ETag"], also={304: "The account is as you have it."})
def read(caller: Caller) -> tuple[BaseModel, dict[str, str]]:
    """Tell whose token this is."""
    return tagged(Account.of(caller.user))


@blueprint.patch("")
@endpoint(needs=ACCESS_TOKEN, body=AccountChange, returns=Account, headers=["ETag"], raises=CHANGE_RAISES)
def change(caller: Caller, body: AccountChange) -> tuple[BaseModel, dict[str, str]]:
    """Change your user name, your password or both. A new password ends your other sessions."""
    return _change(caller, body)


@blueprint.put("")
@endpoint(
    needs=ACCESS_TOKEN, body=AccountReplacement, returns=Account, headers=["ETag"], raises=CHANGE_RAISES
)
def replace(caller: Caller, body: AccountReplacement) -> tuple[BaseModel, dict[str, str]]:
    """Replace your user name and your password. A new password ends your other sessions."""
    return _change(caller, body)


@blueprint.delete("")
@endpoint(needs=FRESH_TOKEN, status=204, raises=[LastAdmin])
def delete(caller: Caller) -> None:
    """Delete your account with all its sessions and tokens, shortly after a login."""
    if not UserRepository(db.session).remove(caller.user.id):
        raise TokenRevoked
    db.session.commit()
    tell(Event.ACCOUNT_DELETED, caller.user.id)


def _change(caller: Caller, body: AccountChange | AccountReplacement) -> tuple[BaseModel, dict[str, str]]:
    users = UserRepository(db.session)
    if body.password is not None:
        passwords().check(body.password, body.username or caller.user.username)
    refuse_stale(Account.of(caller.user))
    is_known = SessionRepository(db.session).is_known(caller.user.id, limits.client())
    with limits.login(caller.user.username, caller.user.id, is_known=is_known):
        if not passwords().verify(body.current_password, caller.user.password_hash):
            raise WrongCurrentPassword
        hashed = passwords().hash(body.password) if body.password is not None else None
        user = users.lock_unchanged(caller.user)
        if user is None:  # it was right a moment ago
            raise WrongCurrentPassword if users.get(caller.user.id) else TokenRevoked
        refuse_stale(Account.of(user))
        if body.username is not None:
            users.rename(user, body.username)
        if hashed is not None:
            users.set_password(user, hashed)
            SessionRepository(db.session).end_all(user.id, Reason.PASSWORD_CHANGED, keep=caller.session_id)
    if body.username not in (None, caller.user.username):
        tell(Event.USERNAME_CHANGED, user.id)
    if hashed is not None:
        tell(Event.PASSWORD_CHANGED, user.id)
    return tagged(Account.of(user))
