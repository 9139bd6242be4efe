"""Sends messages through an SMTP server (RFC 5321), with TLS and checked certificates."""

import logging
import re
import smtplib
import socket
import ssl
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from threading import Timer
from typing import Any

from kit.mail.transports import MailFailed, MailRefused
from kit.settings import Settings
from kit.smtp_url import SmtpServer

logger = logging.getLogger("app.mail")
QUIT_SECONDS = 2


@dataclass(frozen=True)
class Smtp:
    server: SmtpServer
    own_name: str  # for EHLO. The name of a container isn't a domain, which some servers require.
    wait_seconds: float = 20  # for the connection, and for each response
    total_seconds: float = 45  # for a message, once connected: less than the time limit of a job

    def send(self, message: EmailMessage) -> None:
        sender, recipient = (message[name].addresses[0].addr_spec for name in ("From", "To"))
        try:
            with self._connect() as smtp:
                if not (sender + recipient).isascii() and not smtp.has_extn("smtputf8"):
                    raise MailRefused(
                        f"{self.server.host} doesn't support international addresses (RFC 6531)."
                    )
                smtp.send_message(message, sender, [recipient])
        except (smtplib.SMTPException, OSError) as error:
            raise self._failure(error) from None  # the original may contain a secret
        fields = {"server": self.server.host, "message_id": message["Message-ID"]}
        logger.info("mail sent", extra={"fields": fields})

    @contextmanager
    def _connect(self) -> Iterator[smtplib.SMTP]:
        server, tls = self.server, ssl.create_default_context()  # checks the certificate and the host name
        if server.security == "tls":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, self.own_name, timeout=self.wait_seconds, context=tls
            )
        else:
            smtp = smtplib.SMTP(server.host, server.port, self.own_name, self.wait_seconds)
        # A server that sends a byte now and then would never exceed the time for one response.
        connection = _copy_of(smtp.sock)
        timer = Timer(self.total_seconds, _shut_down, [connection])
        timer.start()
        try:
            if server.security == "starttls":
                smtp.starttls(context=tls)
            if server.username and server.password:
                smtp.login(server.username.get_secret_value(), server.password.get_secret_value())
            smtp.ehlo_or_helo_if_needed()
            yield smtp
            _quit(smtp)
        finally:
            timer.cancel()
            connection.close()
            smtp.close()

    def _failure(self, error: Exception) -> MailFailed:
        code, text = 0, str(error).encode()
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            code, text = next(iter(error.recipients.values()))
        elif isinstance(error, smtplib.SMTPResponseException):
            code, text = error.smtp_code, _bytes(error.smtp_error)
        # Codes from 500 are permanent (RFC 5321, 4.2.1). But an operator can correct a password or a sender.
        is_about_message = isinstance(error, smtplib.SMTPRecipientsRefused | smtplib.SMTPDataError)
        kind = MailRefused if is_about_message and code >= 500 else MailFailed
        reason = self._without_secrets(text.decode("utf-8", "replace"))
        return kind(
            f"{self.server.host} port {self.server.port}: {type(error).__name__}: {code or ''} {reason}"
        )

    def _without_secrets(self, text: str) -> str:
        """Return a response in one line, without credentials and tokens that the server repeats."""
        given = [each.get_secret_value() for each in (self.server.username, self.server.password) if each]
        encoded = [b64encode(each.encode()).decode() for each in (*given, "\0".join(("", *given))) if given]
        for each in sorted([*given, *encoded], key=len, reverse=True):
            text = text.replace(each, "***")
        return re.sub(r"#\S+", "#***", " ".join(text.split()))[:300]


def _bytes(response: bytes | str) -> bytes:
    return response if isinstance(response, bytes) else response.encode()


def _quit(smtp: smtplib.SMTP) -> None:
    """End the session. The server has accepted the message, so a failure must not send it again."""
    with suppress(OSError, smtplib.SMTPException):
        if smtp.sock:
            smtp.sock.settimeout(QUIT_SECONDS)
        smtp.quit()


def _copy_of(connection: Any) -> socket.socket:
    """Return another socket for a connection, which can end it after STARTTLS has replaced the first one."""
    return socket.fromfd(connection.fileno(), connection.family, connection.type)


def _shut_down(connection: socket.socket) -> None:
    """Interrupt the thread that uses the connection."""
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def make_transport(settings: Settings) -> Smtp:
    assert isinstance(settings.smtp_url, SmtpServer)  # noqa: S101 # nosec B101
    assert settings.mail_from  # noqa: S101 # nosec B101
    return Smtp(settings.smtp_url, settings.mail_from.domain)
