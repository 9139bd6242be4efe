"""The transports of mail. One contract for all, and what a mail server can do wrong."""

import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import pytest

from kit.mail import smtp
from kit.mail.mailer import compose
from kit.mail.smtp import Smtp
from kit.mail.templates import Rendered
from kit.mail.transports import MailFailed, MailRefused, Transport, make_transport
from kit.setting_types import Sender
from tests.support.mail_server import PASSWORD, USERNAME, MailServer, mail_server, make_certificate
from tests.support.settings import NEVER_OPENED, WITHOUT_MAIL, settings_for

pytestmark = pytest.mark.any_database

TOKEN = "kJ3" * 14
LINK = f"https://app.example.com/reset-password#token={TOKEN}"
SENDER = Sender("Bücher & Söhne, Köln", "noreply", "xn--bcher-kva.example")
LOGIN = f"{quote(USERNAME, safe='')}:{quote(PASSWORD, safe='')}"
WRONG = f"{quote(USERNAME, safe='')}:wrong-password"
Received = Callable[[], list[EmailMessage]]


def a_message(to: str = "ann@example.com", text: str = f"Grüße!\n\n{LINK}\n") -> EmailMessage:
    return compose(to, SENDER, Rendered("Grüße an 你好", text, f"<p>Grüße! {LINK}</p>\n"))


def transport_to(url: str) -> Transport:
    return make_transport(
        settings_for(
            NEVER_OPENED, smtp_url=url, mail_from="noreply@bücher.example", app_url="http://localhost"
        )
    )


def smtp_to(url: str, wait_seconds: float = 20, total_seconds: float = 45) -> Smtp:
    transport = transport_to(url)
    assert isinstance(transport, Smtp)
    return replace(transport, wait_seconds=wait_seconds, total_seconds=total_seconds)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    return certificate


@pytest.fixture
def server(trusted: Path) -> Iterator[MailServer]:
    with mail_server(trusted) as running:
        yield running


@pytest.fixture(params=["starttls", "tls", "plain", "file"])
def transport(
    request: pytest.FixtureRequest, trusted: Path, tmp_path: Path
) -> Iterator[tuple[Transport, Received]]:
    """Each transport that delivers, and what it has delivered."""
    if request.param == "file":
        yield transport_to(f"file:{tmp_path}"), lambda: read_files(tmp_path)
        return
    with mail_server(
        None if request.param == "plain" else trusted, request.param, needs_login=True
    ) as running:
        scheme = "smtps" if request.param == "tls" else "smtp"
        end = "?tls=off" if request.param == "plain" else ""
        yield (
            transport_to(f"{scheme}://{LOGIN}@localhost:{running.port}{end}"),
            lambda: running.received,
        )


def read_files(folder: Path) -> list[EmailMessage]:
    return [message_from_bytes(file.read_bytes(), policy=default) for file in sorted(folder.glob("*.eml"))]


def content(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body
    return str(body.get_content()).replace("\r\n", "\n")


def test_every_transport_delivers_a_message_unchanged(transport: tuple[Transport, Received]) -> None:
    mail, received = transport
    sent = a_message()

    mail.send(sent)

    [found] = received()
    for header in ("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"):
        assert found[header] == sent[header]
    assert found["Subject"] == "Grüße an 你好"
    assert found["From"].addresses[0].display_name == "Bücher & Söhne, Köln"
    assert content(found, "plain") == f"Grüße!\n\n{LINK}\n"
    assert content(found, "html") == f"<p>Grüße! {LINK}</p>\n"


def test_every_transport_delivers_to_international_addresses(transport: tuple[Transport, Received]) -> None:
    mail, received = transport

    mail.send(a_message("jürgen@münchen.example"))
    mail.send(a_message("jurgen@münchen.example"))

    assert [str(each["To"]) for each in received()] == [
        "jürgen@xn--mnchen-3ya.example",
        "jurgen@xn--mnchen-3ya.example",
    ]


def test_without_smtp_url_nothing_is_sent(caplog: pytest.LogCaptureFixture) -> None:
    make_transport(settings_for(NEVER_OPENED, **WITHOUT_MAIL)).send(a_message())

    assert caplog.messages == ["a message wasn't sent, because SMTP_URL isn't set"]
    assert TOKEN not in caplog.text


def test_a_file_is_announced_with_its_link(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "app.mail")

    transport_to(f"file:{tmp_path / 'new'}").send(a_message("ann/x@example.com"))

    [record] = caplog.records
    [file] = (tmp_path / "new").iterdir()
    assert vars(record)["fields"] == {
        "to": "ann/x@example.com",
        "subject": "Grüße an 你好",
        "link": LINK,
        "file": str(file),
    }


def test_an_unwritable_folder_is_a_failure(tmp_path: Path) -> None:
    transport = transport_to(f"file:{tmp_path / 'folder'}")
    (tmp_path / "folder").touch()

    with pytest.raises(MailFailed, match="Can't write"):
        transport.send(a_message())


def test_the_client_introduces_itself_with_the_senders_domain(server: MailServer) -> None:
    smtp_to(f"smtp://localhost:{server.port}").send(a_message())

    assert set(server.names) == {"xn--bcher-kva.example"}
    assert server.envelopes == [("noreply@xn--bcher-kva.example", ["ann@example.com"])]


def test_the_log_of_a_sent_message_has_no_address_and_no_token(
    server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "app.mail")
    message = a_message()

    smtp_to(f"smtp://localhost:{server.port}").send(message)

    [record] = caplog.records
    assert record.getMessage() == "mail sent"
    assert vars(record)["fields"] == {"server": "localhost", "message_id": message["Message-ID"]}


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize("fault", ["unknown authority", "another host"])
def test_a_wrong_certificate_is_refused_before_the_password_is_sent(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, security: str, fault: str
) -> None:
    if fault == "another host":
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    host = "127.0.0.1" if fault == "another host" else "localhost"
    scheme = "smtps" if security == "tls" else "smtp"

    with mail_server(certificate, security) as running:
        with pytest.raises(MailFailed, match="CERTIFICATE_VERIFY_FAILED") as failed:
            smtp_to(f"{scheme}://{LOGIN}@{host}:{running.port}").send(a_message())

        assert (running.logins, running.received) == ([], [])
    assert not isinstance(failed.value, MailRefused)


def test_a_server_without_starttls_gets_no_password_and_no_message() -> None:
    with mail_server(None, needs_login=False) as running:
        with pytest.raises(MailFailed, match="STARTTLS"):
            smtp_to(f"smtp://{LOGIN}@localhost:{running.port}").send(a_message())

        assert (running.logins, running.received) == ([], [])


def test_a_wrong_password_is_a_failure_that_shows_no_secret(trusted: Path) -> None:
    with (
        mail_server(trusted, needs_login=True) as running,
        pytest.raises(MailFailed, match=r"localhost port .* 535 5\.7\.8 .* can't log in") as failed,
    ):
        smtp_to(f"smtp://{WRONG}@localhost:{running.port}").send(a_message())

    assert not isinstance(failed.value, MailRefused)  # an operator can correct it
    assert USERNAME not in str(failed.value)
    assert "wrong-password" not in str(failed.value)
    assert failed.value.__cause__ is None
    assert failed.value.__suppress_context__


@pytest.mark.parametrize(
    ("to", "text", "sender", "is_permanent"),
    [
        ("unknown@example.com", "", "250 OK", True),
        ("busy@example.com", "", "250 OK", False),
        ("ann@example.com", f"spam {LINK}", "250 OK", True),
        ("ann@example.com", "", "553 5.7.1 This sender isn't yours", False),
    ],
)
def test_a_refusal_is_permanent_if_only_another_message_could_succeed(
    server: MailServer, to: str, text: str, sender: str, is_permanent: bool
) -> None:
    server.answers["from noreply@xn--bcher-kva.example"] = sender

    with pytest.raises(MailFailed, match=r" [45]5[0-4] [45]\.\d\.\d ") as failed:
        smtp_to(f"smtp://localhost:{server.port}").send(a_message(to, text))

    assert isinstance(failed.value, MailRefused) is is_permanent
    assert TOKEN not in str(failed.value)
    assert server.received == []


def test_a_server_without_international_addresses_refuses_only_those(trusted: Path) -> None:
    with mail_server(trusted, enable_SMTPUTF8=False) as running:
        transport = smtp_to(f"smtp://localhost:{running.port}")

        with pytest.raises(MailRefused, match="international"):
            transport.send(a_message("jürgen@example.com"))
        transport.send(a_message("jurgen@münchen.example"))

        assert len(running.received) == 1


def test_a_server_that_is_gone_is_a_failure(server: MailServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    with pytest.raises(MailFailed, match="ConnectionRefusedError"):
        smtp_to(f"smtp://localhost:{port}").send(a_message())


@contextmanager
def raw_server(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """Run a server that handles one connection, and return its port."""

    def run() -> None:
        with suppress(OSError), listener.accept()[0] as connection:
            talk(connection)

    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        thread = Thread(target=run)
        thread.start()
        yield int(listener.getsockname()[1])
    thread.join(60)


def stay_silent(connection: socket.socket) -> None:
    connection.recv(1)  # until the client goes


def hang_up(connection: socket.socket) -> None:
    connection.sendall(b"220 hello\r\n")
    connection.recv(4096)


def drip(connection: socket.socket) -> None:
    connection.sendall(b"220 hello\r\n")
    for _ in range(200):
        connection.sendall(b"250-wait\r\n")
        time.sleep(0.05)


@pytest.mark.parametrize("talk", [stay_silent, hang_up, drip])
def test_a_server_that_answers_nothing_or_never_ends_is_a_failure(
    talk: Callable[[socket.socket], None],
) -> None:
    with raw_server(talk) as port, pytest.raises(MailFailed, match=r"timed out|closed"):
        smtp_to(f"smtp://localhost:{port}?tls=off", 1, 1).send(a_message())


def test_the_time_for_a_message_also_ends_after_starttls(trusted: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(trusted)

    def talk(connection: socket.socket) -> None:
        connection.sendall(b"220 hello\r\n")
        for response in (b"250-localhost\r\n250 STARTTLS\r\n", b"220 go ahead\r\n"):
            connection.recv(4096)
            connection.sendall(response)
        with tls.wrap_socket(connection, server_side=True) as encrypted:
            drip(encrypted)

    started = time.monotonic()
    with raw_server(talk) as port, pytest.raises(MailFailed, match="closed"):
        smtp_to(f"smtp://localhost:{port}", 1, 1).send(a_message())
    assert time.monotonic() - started < 5


def test_a_failure_after_the_message_was_accepted_does_not_send_it_again(
    server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "QUIT_SECONDS", 0.1)
    server.quit_delay = 60

    smtp_to(f"smtp://localhost:{server.port}").send(a_message())

    assert len(server.received) == 1
