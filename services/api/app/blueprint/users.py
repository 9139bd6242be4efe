"""All accounts, for admins: who there is, who may do what, who is barred."""

from uuid import UUID

from flask import Blueprint
from pydantic import BaseModel

from app.authentication import ADMIN, Caller
from app.blueprint.conditional import refuse_stale, tagged
from app.blueprint.endpoint import endpoint
from app.blueprint.handlers import PreconditionFailed
from app.blueprint.paging import listed, place
from app.blueprint.schemas import UserAccount, UserAccountChange, UserAccountList, UserQuery
from app.database import db
from app.exceptions import LastAdmin, NotFound
from app.model.models import Reason, Role
from app.model.session_repository import SessionRepository
from app.model.user_repository import UserRepository
from app.security_events import Event, tell

blueprint = Blueprint("users", __name__, url_prefix="/users")


@blueprint.get("")
@endpoint(needs=ADMIN, query=UserQuery, returns=UserAccountList)
def list_users(query: UserQuery) -> tuple[UserAccountList, dict[str, str]]:
    """List the accounts, the newest first unless asked otherwise."""
    after = place(query.cursor, query.sort)
    page = UserRepository(db.session).page(query.sort, query.conditions, query.limit, after)
    return listed(UserAccountList, page, UserAccount.of)


@blueprint.get("/<uuid:user_id>")
@endpoint(
    needs=ADMIN,
    returns=UserAccount,
    headers=["ETag"],
    also={304: "The account is as you have it."},
    raises=[NotFound],
)
def read(user_id: UUID) -> tuple[BaseModel, dict[str, str]]:
    """Read an account."""
    return tagged(UserAccount.of(UserRepository(db.session).find(user_id)))


@blueprint.patch("/<uuid:user_id>")
@endpoint(
    needs=ADMIN,
    body=UserAccountChange,
    returns=UserAccount,
    headers=["ETag"],
    raises=[NotFound, PreconditionFailed, LastAdmin],
)
def change(caller: Caller, body: UserAccountChange, user_id: UUID) -> tuple[BaseModel, dict[str, str]]:
    """Change an account's role, or disable it. That ends its sessions, and it cannot log in any more."""
    users = UserRepository(db.session)
    user = users.find_to_judge(user_id)
    refuse_stale(UserAccount.of(user))
    users.judge(user, role=Role(body.role) if body.role else None, disabled=body.disabled)
    if user.disabled:
        SessionRepository(db.session).end_all(user.id, Reason.REVOKED)
    db.session.commit()
    tell(Event.ACCOUNT_JUDGED, user.id, by=str(caller.user.id), role=user.role, disabled=str(user.disabled))
    return tagged(UserAccount.of(user))


@blueprint.delete("/<uuid:user_id>")
@endpoint(needs=ADMIN, status=204, raises=[NotFound, PreconditionFailed, LastAdmin])
def delete(caller: Caller, user_id: UUID) -> None:
    """Delete an account with all that is its own."""
    users = UserRepository(db.session)
    user = users.find_to_judge(user_id)
    refuse_stale(UserAccount.of(user))
    users.remove(user.id)
    db.session.commit()
    tell(Event.ACCOUNT_DELETED, user.id, by=str(caller.user.id))
