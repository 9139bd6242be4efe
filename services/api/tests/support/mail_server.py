"""A mail server (aiosmtpd) that keeps what it accepts, with a certificate for localhost."""

import asyncio
import ssl
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from threading import Thread
from typing import Any, cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USERNAME, PASSWORD = "ann@example.com", "pa:ss/word@1"
# What it answers to these recipients, and to messages that contain the word `spam`.
ANSWERS = {
    "unknown@example.com": "550 5.1.1 No such user",
    "busy@example.com": "451 4.7.1 Try again later",
}


class MailServer:
    """The handler of aiosmtpd's events, and what arrived."""

    def __init__(self) -> None:
        self.port = 0
        self.received: list[EmailMessage] = []
        self.envelopes: list[tuple[str, list[str]]] = []
        self.names: list[str] = []  # that clients gave in EHLO
        self.logins: list[str] = []
        self.answers = dict(ANSWERS)
        self.quit_delay = 0.0

    async def handle_EHLO(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.names.append(hostname)
        return responses

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        return self.answers.get(f"from {address}", "250 OK")

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.answers.get(address, "250 OK")

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = cast("bytes", envelope.content)
        if b"spam" in content:
            return f"554 5.7.1 Bad link {content.decode().partition('https:')[2].split()[0]}"
        self.received.append(message_from_bytes(content, policy=default))
        self.envelopes.append((str(envelope.mail_from), [str(each) for each in envelope.rcpt_tos]))
        return "250 OK"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        await asyncio.sleep(self.quit_delay)
        return "221 Bye"

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        is_right = data == LoginPassword(USERNAME.encode(), PASSWORD.encode())
        self.logins.append(mechanism)
        repeated = f"535 5.7.8 {data.login.decode()} can't log in with {data.password.decode()}"
        return AuthResult(success=is_right, handled=is_right, message=None if is_right else repeated)


@contextmanager
def mail_server(
    certificate: Path | None, security: str = "starttls", needs_login: bool = False, **options: Any
) -> Iterator[MailServer]:
    """Run a mail server in a thread."""
    handler, loop = MailServer(), asyncio.new_event_loop()
    tls = None
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate)

    def make_protocol() -> SMTP:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about passwords without STARTTLS
            return SMTP(
                handler,
                loop=loop,
                hostname="localhost",
                tls_context=tls if security == "starttls" else None,
                require_starttls=security == "starttls" and tls is not None,
                authenticator=handler.authenticate,
                auth_required=needs_login,
                auth_require_tls=security == "starttls",
                **{"enable_SMTPUTF8": True} | options,
            )

    server = loop.run_until_complete(
        loop.create_server(make_protocol, "127.0.0.1", 0, ssl=tls if security == "tls" else None)
    )
    handler.port = server.sockets[0].getsockname()[1]
    thread = Thread(target=loop.run_forever)
    thread.start()
    try:
        yield handler
    finally:
        asyncio.run_coroutine_threadsafe(_stop(server), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()


async def _stop(server: asyncio.Server) -> None:
    server.close()
    tasks = asyncio.all_tasks() - {cast("asyncio.Task[Any]", asyncio.current_task())}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def make_certificate(folder: Path) -> Path:
    """Return a file with a new key and a certificate for localhost, signed by itself."""
    file = folder / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-addext", "keyUsage=critical,digitalSignature,keyCertSign"),
            *("-keyout", str(folder / "key.pem"), "-out", str(file)),
        ],
        check=True,
        capture_output=True,
    )
    file.write_text(file.read_text() + (folder / "key.pem").read_text())
    return file
