"""Where messages go: to a mail server, to files, or nowhere. SMTP_URL decides."""

from email.message import EmailMessage
from importlib import import_module
from types import NoneType
from typing import Protocol, cast

from kit.settings import Settings
from kit.smtp_url import MailFolder, SmtpServer

# Imported at the first message, because a server that only queues messages doesn't need them.
MODULES = {SmtpServer: "kit.mail.smtp", MailFolder: "kit.mail.files", NoneType: "kit.mail.nowhere"}


class MailFailed(Exception):
    """The message wasn't sent, or it's unknown whether it was. Another attempt may succeed."""


class MailRefused(MailFailed):
    """The message or its recipient is refused for good. Another attempt would fail too."""


class Transport(Protocol):
    def send(self, message: EmailMessage) -> None:
        """Send a message from the address in From to the one in To. Raises MailFailed."""


def make_transport(settings: Settings) -> Transport:
    module = import_module(MODULES[type(settings.smtp_url)])
    return cast("Transport", module.make_transport(settings))
