"""Writes messages to `.eml` files, for development, and logs the recipient, the subject and the link."""

import logging
import re
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from pathlib import Path
from secrets import token_hex

from kit.mail.transports import MailFailed
from kit.settings import Settings

logger = logging.getLogger("app.mail")
LINK = re.compile(r"https?://\S+")


class Files:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def send(self, message: EmailMessage) -> None:
        recipient = message["To"].addresses[0].addr_spec
        # The names sort by time. The rest is for people, so it needn't be complete.
        name = f"{datetime.now(UTC):%Y%m%d-%H%M%S-%f}-{re.sub('[^A-Za-z0-9@._-]', '_', recipient)[:64]}"
        file = self.folder / f"{name}-{token_hex(4)}.eml"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file.write_bytes(message.as_bytes(policy=SMTP if recipient.isascii() else SMTPUTF8))
        except OSError as error:
            raise MailFailed(f"Can't write {file} ({type(error).__name__}).") from None
        text = message.get_body(("plain",))
        link = LINK.search(text.get_content() if text else "")
        fields = {"to": recipient, "subject": message["Subject"], "link": link and link[0], "file": str(file)}
        logger.info("mail written to a file", extra={"fields": fields})


def make_transport(settings: Settings) -> Files:
    return Files(settings.mail_folder)
