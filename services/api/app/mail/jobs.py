"""The jobs that send mail. Links are made here, while sending, so that no secret is in the queue."""

from datetime import datetime
from uuid import UUID

from app import limits
from app.config import current
from app.database import db
from app.model.links import LinkRepository, Purpose
from app.model.models import User
from app.model.user_repository import UserRepository
from kit.jobs.jobs import current_job, job
from kit.mail.mailer import send_mail
from kit.mail.transports import MailFailed, MailRefused

ATTEMPTS = 10  # over an hour and a half, in which a mail server may be unavailable
PATHS = {Purpose.VERIFY_EMAIL: "verify-email", Purpose.RESET_PASSWORD: "reset-password"}


@job(attempts=ATTEMPTS, final_errors=(MailRefused,))
def send_notice(template: str, to: str, username: str, time: str, client: str, keys: str = "") -> None:
    """Notify the owner of an account. `keys` are the API keys that still work, one in each line."""
    send_mail(to, template, username=username, time=time, client=client, keys=keys)


@job(attempts=ATTEMPTS, final_errors=(MailRefused,))
def send_verification(user_id: UUID, link_id: UUID, password_changed_at: datetime) -> None:
    """Send a link that verifies the address of an account.

    A new password voids links, and requests that are still in the queue, too. Otherwise a person who knew the
    old one could still get a link, and the account with it.
    """
    user = UserRepository(db.session).lock(user_id)
    if user is None or user.disabled or user.password_changed_at != password_changed_at:
        return
    if user.pending_email:
        _send_link(user, user.pending_email, Purpose.VERIFY_EMAIL, link_id)


@job(attempts=ATTEMPTS, final_errors=(MailRefused,))
def send_password_reset(email: str, link_id: UUID, requested_at: datetime) -> None:
    """Send a link for a new password, if an account has verified this address.

    The message goes to the stored address, never to the spelling in the request. A request from before the
    latest change of the password is void.
    """
    users = UserRepository(db.session)
    found = users.find_by_email(email)
    user = users.lock(found.id) if found else None
    if user is None or user.disabled or user.password_changed_at > requested_at:
        return
    if user.verified_email:
        _send_link(user, user.verified_email, Purpose.RESET_PASSWORD, link_id)


JOBS = (send_notice, send_verification, send_password_reset)


def create_password_reset_link(user: User, link_id: UUID) -> str:
    """Return a link for a new password of a locked account."""
    return _create_link(user, user.email or "", Purpose.RESET_PASSWORD, link_id)


def _send_link(user: User, address: str, purpose: Purpose, link_id: UUID) -> None:
    """Send a link to an address of a locked account, unless it has had enough of them."""
    links = LinkRepository(db.session)
    is_new = links.get(link_id) is None  # otherwise it couldn't be sent before
    if is_new and not (links.has_room(user.id, purpose) and limits.count_message(purpose, address)):
        return
    link, username = _create_link(user, address, purpose, link_id), user.username
    db.session.commit()  # don't hold a transaction while sending
    try:
        send_mail(address, PATHS[purpose], username=username, link=link)
    except MailFailed as error:
        if isinstance(error, MailRefused) or current_job().attempt >= ATTEMPTS:
            links.remove(link_id)  # else it would count as one that the account has
            db.session.commit()
        raise


def _create_link(user: User, address: str, purpose: Purpose, link_id: UUID) -> str:
    """Return a link. It begins with APP_URL, never with a host that a request has sent.

    The token is in the fragment, which isn't sent to servers or written to their logs.
    """
    token = LinkRepository(db.session).create(link_id, user.id, purpose, address)
    return f"{current().app_url}/{PATHS[purpose]}#token={token}"
