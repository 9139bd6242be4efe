"""E-mail addresses of accounts, and forgotten passwords."""

from uuid import uuid4

from flask import Blueprint

from app import limits
from app.account_keys import end_keys
from app.account_mail import Notice, account_mail
from app.authentication import ACCESS_TOKEN, FRESH_TOKEN, SessionCaller, passwords
from app.config import current
from app.confirmation import CONFIRMATION_ERRORS, confirmed
from app.database import db, release
from app.events import Event
from app.exceptions import EmailRequired, EmailTaken, LinkInvalid, PasswordRefused
from app.mail.jobs import send_password_reset
from app.mail.schemas import (
    Accepted,
    EmailChange,
    EmailRemoval,
    PasswordReset,
    PasswordResetRequest,
    Verification,
)
from app.model.links import LinkRepository, Purpose
from app.model.models import Reason
from app.model.network_repository import NetworkRepository
from app.model.session_repository import SessionRepository
from app.model.user_repository import UserRepository
from kit.clock import now
from kit.errors import Overloaded, TooManyAttempts
from kit.jobs.jobs import enqueue
from kit.security.events import record
from kit.web.endpoint import endpoint
from kit.web.rate_limits import client_network

blueprint = Blueprint("email", __name__)

VERIFICATION_SENT = Accepted(message="A message with a link is on its way to the address.")
RESET_REQUESTED = Accepted(message="If an account has verified this address, a message is on its way to it.")


@blueprint.put("/account/email")
@endpoint(
    auth=FRESH_TOKEN, keys=False, body=EmailChange, returns=Accepted, status=202, raises=CONFIRMATION_ERRORS
)
def change_email(caller: SessionCaller, body: EmailChange) -> Accepted:
    """Change your e-mail address. The new one counts once you open the link that is sent to it."""
    with limits.message_request(), confirmed(caller, body.current_password) as (user, _, attempt):
        UserRepository(db.session).request_email(user, body.email)
        account_mail().send_verification(user)
        if user.pending_email:
            account_mail().notify(user, Notice.EMAIL_CHANGE_REQUESTED)
        attempt.succeed()
        record(Event.EMAIL_CHANGE_REQUESTED, user.id)
        db.session.commit()
    return VERIFICATION_SENT


@blueprint.delete("/account/email")
@endpoint(
    auth=FRESH_TOKEN, keys=False, body=EmailRemoval, status=204, raises=[*CONFIRMATION_ERRORS, EmailRequired]
)
def remove_email(caller: SessionCaller, body: EmailRemoval) -> None:
    """Remove your e-mail address. Without one, you can't reset a forgotten password."""
    if current().register_email == "required":
        raise EmailRequired
    with confirmed(caller, body.current_password) as (user, _, attempt):
        account_mail().notify(user, Notice.EMAIL_REMOVED)
        UserRepository(db.session).remove_email(user)
        attempt.succeed()
        record(Event.EMAIL_REMOVED, user.id)
        db.session.commit()


@blueprint.post("/account/email/verification")
@endpoint(auth=ACCESS_TOKEN, keys=False, returns=Accepted, status=202, raises=[TooManyAttempts])
def resend_verification(caller: SessionCaller) -> Accepted:
    """Send the verification again. It goes to your address that isn't verified yet."""
    with limits.message_request():
        account_mail().send_verification(caller.user)
        db.session.commit()
    return VERIFICATION_SENT


@blueprint.post("/auth/email/verify")
@endpoint(body=Verification, status=204, raises=[LinkInvalid, EmailTaken])
def verify_email(body: Verification) -> None:
    """Verify an e-mail address. The token comes from the link in a message, and works once."""
    users, links = UserRepository(db.session), LinkRepository(db.session)
    link = links.find(body.token, Purpose.VERIFY_EMAIL)
    user = users.lock(link.user_id)
    if user is None or user.disabled or user.pending_email != link.email:
        raise LinkInvalid
    links.use(link)
    account_mail().notify(user, Notice.EMAIL_CHANGED)  # to the address until now
    users.verify_email(user, link.email)
    record(Event.EMAIL_VERIFIED, user.id)
    db.session.commit()


@blueprint.post("/auth/password-reset")
@endpoint(body=PasswordResetRequest, returns=Accepted, status=202, raises=[TooManyAttempts])
def request_password_reset(body: PasswordResetRequest) -> Accepted:
    """Request a password reset. The response is the same whether or not an account has the address."""
    with limits.message_request():
        enqueue(send_password_reset, email=body.email, link_id=uuid4(), requested_at=now())
        db.session.commit()
    return RESET_REQUESTED


@blueprint.post("/auth/password-reset/confirm")
@endpoint(body=PasswordReset, status=204, raises=[LinkInvalid, PasswordRefused, Overloaded])
def reset_password(body: PasswordReset) -> None:
    """Reset a forgotten password. Ends all sessions and deletes all API keys."""
    users, links = UserRepository(db.session), LinkRepository(db.session)
    link = links.find(body.token, Purpose.RESET_PASSWORD)
    found = users.get(link.user_id)
    if found is None:
        raise LinkInvalid
    passwords().check(body.password, found.username)
    release()  # hashing takes long
    password_hash = passwords().hash(body.password)
    user = users.lock(link.user_id)
    if user is None or user.disabled:
        raise LinkInvalid
    links.use(link)
    users.set_password(user, password_hash)
    SessionRepository(db.session).end_all(user.id, Reason.PASSWORD_CHANGED)
    end_keys(user.id)
    # Let the owner log in at once, even while others guess passwords.
    limits.forget_failed_logins(user.id)
    NetworkRepository(db.session).remember(user.id, client_network())
    account_mail().notify(user, Notice.PASSWORD_CHANGED)
    record(Event.PASSWORD_RESET, user.id)
    db.session.commit()
