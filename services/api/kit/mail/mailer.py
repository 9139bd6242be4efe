"""Sends messages that are rendered from template files (kit/mail/templates.py).

send_mail("ann@example.com", "password_changed", username="ann")
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import localtime, make_msgid
from functools import cached_property
from importlib import import_module
from pathlib import Path

from flask import Flask, current_app

from kit.mail.templates import Rendered, Templates
from kit.mail.transports import MailRefused, Transport, make_transport
from kit.setting_types import Sender
from kit.settings import Settings, current

LONGEST_LINE = 998  # RFC 5322, 2.1.1
POLICY = SMTP.clone(cte_type="7bit")  # a server needn't accept other bytes than ASCII
NO_SENDER = Sender("", "noreply", "localhost")  # only without SMTP_URL, when nothing is sent


@dataclass(frozen=True)
class Mailer:
    settings: Settings
    templates: Templates

    @cached_property
    def transport(self) -> Transport:
        return make_transport(self.settings)


def init_app(
    app: Flask, settings: Settings, templates: Path, values: Mapping[str, Collection[str]] | None = None
) -> None:
    """Prepare the folder of templates.

    `values` has the names of the values of each message: {"password_changed": ["username"]}. These templates
    are checked now. Raises InvalidTemplates.
    """
    found = Templates(templates, app_name=settings.app_name, app_url=settings.app_url or "")
    found.check(values or {})
    app.extensions["mail"] = Mailer(settings, found)


def send_mail(to: str, template: str, /, **values: str) -> None:
    """Render a message and send it.

    Call it in a job and outside of a transaction, because a mail server may need a minute to respond.
    Raises MailFailed: another attempt may succeed. Raises its subclass MailRefused: no attempt will.
    Without SMTP_URL, it drops the message and logs a warning.
    """
    mailer: Mailer | None = current_app.extensions.get("mail")
    if mailer is None:  # without SMTP_URL, no templates were prepared
        make_transport(current(Settings)).send(EmailMessage())
        return
    message = compose(to, mailer.settings.mail_from or NO_SENDER, mailer.templates.render(template, values))
    mailer.transport.send(message)


def compose(to: str, sender: Sender, rendered: Rendered) -> EmailMessage:
    """Return a message. Raises MailRefused if an address or the subject can't be in a header."""
    message = EmailMessage(policy=POLICY)
    try:
        message["From"] = Address(sender.name, sender.username, sender.domain)
        message["To"] = _address(to)
        message["Subject"] = rendered.subject
    except ValueError as error:
        raise MailRefused(f"The message has an invalid header: {error}") from None
    message["Date"] = localtime()
    message["Message-ID"] = make_msgid(domain=sender.domain)
    message["Auto-Submitted"] = "auto-generated"  # so that nothing replies automatically (RFC 3834)
    message.set_content(rendered.text, cte=_encoding(rendered.text))
    if rendered.html is not None:
        message.add_alternative(rendered.html, subtype="html", cte=_encoding(rendered.html))
    return message


def _address(text: str) -> Address:
    """Return an address, with its domain in ASCII. Raises ValueError."""
    validate_email = import_module("email_validator").validate_email
    found = validate_email(text, check_deliverability=False, test_environment=True)
    return Address("", found.local_part, found.ascii_domain)


def _encoding(text: str) -> str | None:
    """Leave ASCII as it is, so that links can be read in the source. By default, long lines are encoded."""
    is_plain = text.isascii() and max(map(len, text.splitlines()), default=0) <= LONGEST_LINE
    return "7bit" if is_plain else None
