"""Runs queued jobs, and returns the messages that they send."""

import email
import re
import tempfile
from email.policy import default
from pathlib import Path
from threading import Event
from typing import NamedTuple
from unittest.mock import patch

from flask import Flask
from sqlalchemy import update

from app.database import db
from app.mail import TEMPLATES
from kit.jobs.queue import QueuedJob
from kit.jobs.worker import Worker
from kit.mail.files import Files
from kit.mail.transports import MailFailed

TEMPLATE_BY_SUBJECT = {
    file.read_text(encoding="utf-8").partition("\n")[0].removeprefix("Subject: "): file.stem
    for file in TEMPLATES.glob("*.txt")
}
LINK = re.compile(r"https://\S+#token=([\w-]+)")
CLIENT = re.compile(r"^Client: (.+)$", re.MULTILINE)


class Sent(NamedTuple):
    """A message that was sent."""

    to: str
    template: str
    text: str

    @property
    def link(self) -> str:
        match = LINK.search(self.text)
        assert match, self.text
        return match[0]

    @property
    def token(self) -> str:
        return self.link.partition("#token=")[2]

    @property
    def client(self) -> str:
        match = CLIENT.search(self.text)
        assert match, self.text
        return match[1].strip()


class Mailbox:
    def __init__(self, app: Flask) -> None:
        self.app = app

    def receive(self) -> list[Sent]:
        """Run the queued jobs, and return their messages."""
        with tempfile.TemporaryDirectory() as folder:
            transport = Files(Path(folder))
            with patch.object(type(self.app.extensions["mail"]), "transport", transport):
                while Worker(self.app, Event()).run_next():
                    pass
            return [read(file) for file in sorted(Path(folder).iterdir())]

    def fail(self, error: type[MailFailed] = MailFailed) -> None:
        """Run the queued jobs while no message can be sent. Make them due again at once."""
        with patch.object(type(self.app.extensions["mail"]), "transport") as transport:
            transport.send.side_effect = error("refused")
            while Worker(self.app, Event()).run_next():
                pass
        with self.app.app_context():
            db.session.execute(update(QueuedJob).values(run_at=0))
            db.session.commit()


def read(file: Path) -> Sent:
    message = email.message_from_bytes(file.read_bytes(), policy=default)
    body = message.get_body(("plain",))
    assert body
    return Sent(
        message["To"].addresses[0].addr_spec, TEMPLATE_BY_SUBJECT[str(message["Subject"])], body.get_content()
    )
