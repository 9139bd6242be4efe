"""The audit trail: all of it for admins, and for each user what happened to the own account."""

from flask import Blueprint

from app.authentication import ACCESS_TOKEN, ADMIN, SessionCaller
from app.blueprint.audit_schemas import AccountEvent, AccountEventList, AuditEvent, AuditList, AuditQuery
from app.blueprint.schemas import PageQuery
from app.database import db
from kit.data.audit import NEWEST_FIRST, AuditRepository, AuditRow
from kit.security.events import Via
from kit.web.endpoint import endpoint
from kit.web.pagination import decode_cursor, page_response

blueprint = Blueprint("audit", __name__)


@blueprint.get("/account/events")
@endpoint(auth=ACCESS_TOKEN, keys=False, query=PageQuery, returns=AccountEventList)
def list_account_events(caller: SessionCaller, query: PageQuery) -> tuple[AccountEventList, dict[str, str]]:
    """List your account's events. The newest come first. An admin's account and client aren't shown."""
    after = decode_cursor(query.cursor, NEWEST_FIRST)
    page = AuditRepository(db.session).page({"user_id": caller.user.id}, query.limit, after)
    return page_response(AccountEventList, page, _account_event)


@blueprint.get("/audit")
@endpoint(auth=ADMIN, keys=False, query=AuditQuery, returns=AuditList)
def list_audit_trail(query: AuditQuery) -> tuple[AuditList, dict[str, str]]:
    """List the audit trail. The newest events come first."""
    after = decode_cursor(query.cursor, NEWEST_FIRST)
    page = AuditRepository(db.session).page(query.filters, query.limit, after)
    return page_response(AuditList, page, lambda row: AuditEvent.of(row, details=row.details_by_name))


def _account_event(row: AuditRow) -> AccountEvent:
    by = _by(row)
    hidden = dict.fromkeys(("session_id", "key_id", "ip", "user_agent")) if by == "admin" else {}
    return AccountEvent.of(row, by=by, details=row.details_by_name, **hidden)


def _by(row: AuditRow) -> str:
    """Return who acted, in words that an account may see."""
    if row.actor_id is not None:
        return "you" if row.actor_id == row.user_id else "admin"
    return "anonymous" if row.via == Via.ANONYMOUS else "operator"
