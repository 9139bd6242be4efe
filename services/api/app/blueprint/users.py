"""All accounts, for admins."""

from uuid import UUID

from flask import Blueprint

from app.account_mail import Notice, account_mail
from app.authentication import ADMIN, FRESH_ADMIN, SessionCaller, lifetimes
from app.blueprint.schemas import UserAccount, UserAccountChange, UserAccountList, UserQuery
from app.database import db
from app.events import Event
from app.exceptions import LastAdmin
from app.jobs import forget_addresses
from app.model.models import Reason, Role, User
from app.model.retention import shorten_history
from app.model.session_repository import SessionRepository
from app.model.user_repository import UserRepository
from kit.errors import NotFound
from kit.security.events import changed, record
from kit.web.conditional import check_if_match
from kit.web.endpoint import endpoint
from kit.web.pagination import decode_cursor, page_response

blueprint = Blueprint("users", __name__, url_prefix="/users")


@blueprint.get("")
@endpoint(auth=ADMIN, scope="users:read", query=UserQuery, returns=UserAccountList)
def list_users(query: UserQuery) -> tuple[UserAccountList, dict[str, str]]:
    """List accounts. The newest come first by default."""
    after = decode_cursor(query.cursor, query.sort)
    page = UserRepository(db.session).page(query.sort, query.filters, query.limit, after)
    return page_response(UserAccountList, page, UserAccount.of)


@blueprint.get("/<uuid:user_id>")
@endpoint(auth=ADMIN, scope="users:read", returns=UserAccount, etag=True, raises=[NotFound])
def read(user_id: UUID) -> User:
    """Get an account."""
    return UserRepository(db.session).find(user_id)


@blueprint.patch("/<uuid:user_id>")
@endpoint(
    auth=FRESH_ADMIN,
    keys=False,
    body=UserAccountChange,
    returns=UserAccount,
    etag=True,
    raises=[NotFound, LastAdmin],
)
def change(caller: SessionCaller, body: UserAccountChange, user_id: UUID) -> User:
    """Change an account. Disabling it ends its sessions and prevents new logins. Requires a recent login."""
    users = UserRepository(db.session)
    user = lock_for_change(users, user_id, caller)
    check_if_match(UserAccount, user)
    before = user.rights
    users.set_role_and_status(user, role=Role(body.role) if body.role else None, disabled=body.disabled)
    if user.disabled:
        SessionRepository(db.session).end_all(user.id, Reason.REVOKED)
    if user.disabled and not before["disabled"]:
        account_mail().notify(user, Notice.ACCOUNT_DISABLED)
    if details := changed(before, user.rights):
        record(Event.ACCOUNT_CHANGED_BY_ADMIN, user.id, **details)
    db.session.commit()
    return user


@blueprint.delete("/<uuid:user_id>")
@endpoint(auth=FRESH_ADMIN, keys=False, status=204, etag=True, raises=[NotFound, LastAdmin])
def delete(caller: SessionCaller, user_id: UUID) -> None:
    """Delete an account. Everything that belongs to it is deleted with it. Requires a recent login."""
    for _ in shorten_history(db.session, user_id):
        db.session.commit()
    users = UserRepository(db.session)
    user = lock_for_change(users, user_id, caller)
    check_if_match(UserAccount, user)
    users.remove(user.id)
    record(Event.ACCOUNT_DELETED, user.id)
    forget_addresses(user.id)
    db.session.commit()


def lock_for_change(users: UserRepository, user_id: UUID, caller: SessionCaller) -> User:
    """Lock an account for an admin who changes it."""
    return users.lock_for_admin_change(
        user_id,
        by=caller.user.id,
        session_id=caller.session_id,
        token_id=caller.token_id,
        leeway=lifetimes().leeway,
    )
