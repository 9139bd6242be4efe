"""Your own account."""

from flask import Blueprint, Response, stream_with_context

from app.account_factor import account_factor
from app.account_mail import Notice, account_mail
from app.authentication import (
    ACCESS_TOKEN,
    FRESH_TOKEN,
    Caller,
    SessionCaller,
    client_info,
    lifetimes,
    require_fresh_token,
)
from app.blueprint.auth import deliver
from app.blueprint.schemas import (
    Account,
    AccountChange,
    AccountExport,
    AccountReplacement,
    ChangedAccount,
)
from app.confirmation import CONFIRMATION_ERRORS, confirmed
from app.database import db
from app.events import Event
from app.exceptions import LastAdmin, UsernameTaken
from app.jobs import forget_addresses
from app.model.models import Reason, User
from app.model.retention import shorten_history
from app.model.session_repository import SessionRepository
from app.model.user_repository import UserRepository
from app.token_delivery import token_delivery
from kit.data.export import export
from kit.errors import Overloaded, TokenRevoked
from kit.security.events import record
from kit.web.conditional import check_if_match, etag_of
from kit.web.endpoint import endpoint

blueprint = Blueprint("account", __name__, url_prefix="/account")

Changed = tuple[ChangedAccount, dict[str, str]]
EXPORT_SECONDS = 300
EXPORT_HEADERS = {"Content-Disposition": 'attachment; filename="account.json"'}
CHANGE_ERRORS = [*CONFIRMATION_ERRORS, UsernameTaken]


@blueprint.get("")
@endpoint(auth=ACCESS_TOKEN, scope="account:read", returns=Account, etag=True)
def read(caller: Caller) -> User:
    """Get your account."""
    return caller.user


@blueprint.patch("")
@endpoint(
    auth=ACCESS_TOKEN, keys=False, body=AccountChange, returns=ChangedAccount, etag=True, raises=CHANGE_ERRORS
)
def change(caller: SessionCaller, body: AccountChange) -> Changed:
    """Change your account. A new password ends all sessions, this one too; `tokens` has a new pair."""
    return _change(caller, body)


@blueprint.put("")
@endpoint(
    auth=ACCESS_TOKEN,
    keys=False,
    body=AccountReplacement,
    returns=ChangedAccount,
    etag=True,
    raises=CHANGE_ERRORS,
)
def replace(caller: SessionCaller, body: AccountReplacement) -> Changed:
    """Replace your account. The new password ends all sessions, this one too; `tokens` has a new pair."""
    return _change(caller, body)


@blueprint.delete("")
@endpoint(auth=FRESH_TOKEN, keys=False, status=204, raises=[LastAdmin])
def delete(caller: SessionCaller) -> None:
    """Delete your account. Its sessions and tokens are deleted with it. Requires a recent login."""
    for _ in shorten_history(db.session, caller.user.id):
        db.session.commit()
    if not UserRepository(db.session).remove(caller.user.id):
        raise TokenRevoked
    record(Event.ACCOUNT_DELETED, caller.user.id)
    forget_addresses(caller.user.id)
    db.session.commit()
    token_delivery().forget(caller.session_id)


@blueprint.get("/export")
@endpoint(
    auth=FRESH_TOKEN, keys=False, returns=AccountExport, headers=["Content-Disposition"], raises=[Overloaded]
)
def export_account(caller: SessionCaller) -> Response:
    """Export your data. All rows that belong to you, by table, without secrets. Requires a recent login."""
    parts = export(User, caller.user.id, EXPORT_SECONDS)
    return Response(stream_with_context(parts), headers=EXPORT_HEADERS, content_type="application/json")


def _change(caller: SessionCaller, body: AccountChange | AccountReplacement) -> Changed:
    users, sessions = UserRepository(db.session), SessionRepository(db.session)
    if body.password is not None and account_factor().must_be_fresh(caller.user):
        require_fresh_token()
    check_if_match(Account, caller.user)
    with confirmed(caller, body.current_password, body.password) as (user, password_hash, attempt):
        check_if_match(Account, user)
        if body.username is not None:
            if body.username != user.username:
                record(Event.USERNAME_CHANGED, user.id)
            users.rename(user, body.username)
        new = None
        if password_hash is not None:
            users.set_password(user, password_hash)
            sessions.end_all(user.id, Reason.PASSWORD_CHANGED)
            new = sessions.open(user.id, client_info(), lifetimes())
            account_mail().notify(user, Notice.PASSWORD_CHANGED)
            record(Event.PASSWORD_CHANGED, user.id)
        attempt.succeed()
        db.session.commit()
    tokens = deliver(new, in_cookie=token_delivery().has_token_of(caller.session_id)) if new else None
    return ChangedAccount.of(user, tokens=tokens), {"ETag": etag_of(Account, user)}
