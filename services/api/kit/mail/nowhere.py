"""Drops messages, because SMTP_URL isn't set."""

import logging
from email.message import EmailMessage

from kit.settings import Settings

logger = logging.getLogger("app.mail")


class Nowhere:
    def send(self, message: EmailMessage) -> None:
        logger.warning("a message wasn't sent, because SMTP_URL isn't set")


def make_transport(_: Settings) -> Nowhere:
    return Nowhere()
