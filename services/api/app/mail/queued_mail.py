"""The messages to owners of accounts, queued as jobs."""

from uuid import UUID, uuid4

from flask import has_request_context, request

from app.account_mail import AccountMail, Notice
from app.config import current
from app.database import db
from app.mail.jobs import create_password_reset_link, send_notice, send_password_reset, send_verification
from app.model.api_keys import ApiKeyRepository
from app.model.models import User
from kit.clock import now
from kit.jobs.jobs import enqueue


class QueuedMail(AccountMail):
    def notify(self, user: User, notice: Notice) -> None:
        if user.verified_email:
            client = request.remote_addr if has_request_context() else None
            keys = _keys(user.id) if notice == Notice.PASSWORD_CHANGED else ""
            enqueue(
                send_notice,
                template=str(notice),
                to=user.verified_email,
                username=user.username,
                time=f"{now():%Y-%m-%d %H:%M} UTC",
                client=client or "the command line",
                **({"keys": keys} if keys else {}),  # a worker of the release before doesn't know it
            )

    def send_verification(self, user: User) -> None:
        if user.pending_email:
            changed_at = user.password_changed_at
            enqueue(send_verification, user_id=user.id, link_id=uuid4(), password_changed_at=changed_at)

    def must_verify(self, user: User) -> bool:
        return current().register_email == "required" and not user.email_verified

    def send_password_reset(self, user: User) -> None:
        if user.verified_email:
            enqueue(send_password_reset, email=user.verified_email, link_id=uuid4(), requested_at=now())

    def password_reset_link(self, user: User) -> str:
        return create_password_reset_link(user, uuid4())


def _keys(user_id: UUID) -> str:
    """Return the names of an account's API keys and their last use, one key in each line."""
    lines = []
    for key in ApiKeyRepository(db.session).all(user_id):
        last_used = f"{key.last_used_at:%Y-%m-%d %H:%M} UTC" if key.last_used_at else "never"
        lines.append(f"{key.name} (last used: {last_used})")
    return "\n".join(lines)
