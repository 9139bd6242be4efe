"""send_mail: templates, headers, and errors in templates that stop the start."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from jinja2 import UndefinedError

from kit import settings as kit_settings
from kit.data import database
from kit.jobs.jobs import CurrentJob
from kit.mail import mailer
from kit.mail.mailer import send_mail
from kit.mail.templates import InvalidTemplates
from kit.mail.transports import MailRefused
from tests.support.paths import API, REPOSITORY
from tests.support.settings import NEVER_OPENED, WITHOUT_MAIL, settings_for

pytestmark = pytest.mark.any_database

TEXT = """Subject: {{ name }}, welcome to {{ app_name }}

Hello {{ name }},

{{ app_url }}/verify-email#token={{ token }}
"""
HTML = '<p>Hello {{ name }}, <a href="{{ app_url }}/verify-email#token={{ token }}">confirm</a></p>\n'
Sent = Callable[[], list[EmailMessage]]


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    folder = tmp_path / "templates"
    folder.mkdir()
    (folder / "welcome.txt").write_text(TEXT, encoding="utf-8")
    (folder / "welcome.html").write_text(HTML, encoding="utf-8")
    (folder / "short.txt").write_text("Subject: Grüße\r\n\r\nGrüße\r\n", encoding="utf-8", newline="")
    return folder


@pytest.fixture
def sent(templates: Path, tmp_path: Path) -> Iterator[Sent]:
    """Push the context of an app that sends to files, and return what reads them."""
    outbox = tmp_path / "outbox"
    with app_with(templates, f"file:{outbox}").app_context():
        yield lambda: [
            message_from_bytes(file.read_bytes(), policy=default) for file in sorted(outbox.glob("*.eml"))
        ]


def app_with(templates: Path, smtp_url: str, values: Mapping[str, tuple[str, ...]] | None = None) -> Flask:
    app = Flask(__name__)
    settings = settings_for(
        NEVER_OPENED,
        smtp_url=smtp_url,
        mail_from="Ann's shop <noreply@example.com>",
        app_url="https://app.example.com/shop/",
    )
    kit_settings.init_app(app, settings)
    mailer.init_app(app, settings, templates, values)
    return app


def content(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body
    return str(body.get_content()).replace("\r\n", "\n")


def test_a_message_has_a_text_and_its_html(sent: Sent) -> None:
    send_mail("bob@example.com", "welcome", name="Bob <b>", token="a-token")

    [message] = sent()
    assert message["Subject"] == "Bob <b>, welcome to flask-api"
    assert message.get_content_type() == "multipart/alternative"
    assert content(message, "plain") == (
        "Hello Bob <b>,\n\nhttps://app.example.com/shop/verify-email#token=a-token\n"
    )
    assert content(message, "html") == (
        "<p>Hello Bob &lt;b&gt;, "
        '<a href="https://app.example.com/shop/verify-email#token=a-token">confirm</a></p>\n'
    )


def test_the_html_is_optional_and_windows_line_ends_are_fine(sent: Sent) -> None:
    send_mail("bob@example.com", "short")

    [message] = sent()
    assert message.get_content_type() == "text/plain"
    assert (message["Subject"], content(message, "plain")) == ("Grüße", "Grüße\n")


def test_a_message_has_the_headers_that_mail_needs(sent: Sent) -> None:
    send_mail("bob@example.com", "short")
    send_mail("bob@example.com", "short")

    first, second = sent()
    assert first["From"] == "Ann's shop <noreply@example.com>"
    assert first["To"] == "bob@example.com"
    assert first["Auto-Submitted"] == "auto-generated"
    assert abs(first["Date"].datetime - datetime.now(UTC)) < timedelta(minutes=10)
    assert re.fullmatch(r"<[^@]+@example\.com>", first["Message-ID"])
    assert first["Message-ID"] != second["Message-ID"]


def test_a_link_is_not_broken_in_the_source_of_a_message(sent: Sent, tmp_path: Path) -> None:
    send_mail("bob@example.com", "welcome", name="Bob", token="t" * 200)

    [file] = (tmp_path / "outbox").iterdir()
    assert file.read_text().count("#token=" + "t" * 200) == 2


def test_only_ascii_is_transmitted(sent: Sent, tmp_path: Path) -> None:
    send_mail("bob@example.com", "welcome", name="Jürgen", token="a")

    [file] = (tmp_path / "outbox").iterdir()
    assert file.read_bytes().isascii()


@pytest.mark.parametrize("line_break", ["\n", "\r", "\r\n", "\x0b", "\x85", "\u2028"])
def test_a_value_cannot_add_a_header_or_text(sent: Sent, line_break: str) -> None:
    with pytest.raises(MailRefused, match="invalid header"):
        send_mail("bob@example.com", "welcome", name=f"Bob{line_break}Bcc: eve@example.com", token="a")

    assert sent() == []


@pytest.mark.parametrize(
    "to",
    [
        "bob@example.com\r\nBcc: eve@example.com",
        "bob@example.com, eve@example.com",
        "Bob <bob@example.com>",
        "bob@example.com>",
        "bob",
        "",
    ],
)
def test_another_recipient_than_one_address_is_refused(sent: Sent, to: str) -> None:
    with pytest.raises(MailRefused, match="invalid header"):
        send_mail(to, "short")

    assert sent() == []


def test_a_missing_value_is_an_error(sent: Sent) -> None:
    with pytest.raises(UndefinedError, match="token"):
        send_mail("bob@example.com", "welcome", name="Bob")

    assert sent() == []


def test_the_documented_message_is_sent(templates: Path, tmp_path: Path) -> None:
    page = (REPOSITORY / "docs/2-build/mail.md").read_text(encoding="utf-8")
    [template], [code] = (
        re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL) for kind in ("jinja", "python")
    )
    (templates / "receipt.txt").write_text(template)
    names: dict[str, Any] = {}
    exec(compile(code, "mail.md", "exec", dont_inherit=True), names)
    app = app_with(templates, f"file:{tmp_path / 'outbox'}", {"receipt": ("number",)})
    database.init_app(app, app.extensions["settings"])

    with app.app_context():
        running = CurrentJob(uuid4(), 1)
        names["send_receipt"].run('{"to": "bob@example.com", "number": "7"}', running)

    [file] = (tmp_path / "outbox").iterdir()
    message = message_from_bytes(file.read_bytes(), policy=default)
    assert message["Subject"] == "Your order 7"
    assert "https://app.example.com/shop/orders/7" in content(message, "plain")


def test_an_app_without_mail_drops_a_message(caplog: pytest.LogCaptureFixture) -> None:
    app = Flask(__name__)
    kit_settings.init_app(app, settings_for(NEVER_OPENED, **WITHOUT_MAIL))

    with app.app_context():
        send_mail("bob@example.com", "receipt", number="7")

    assert caplog.messages == ["a message wasn't sent, because SMTP_URL isn't set"]


def test_correct_templates_are_accepted_at_the_start(templates: Path) -> None:
    (templates / "layout.html").write_text("{% block body %}{% endblock %} {{ app_name }}")
    (templates / "long.txt").write_text("Subject: a\n\n{% for i in range(2) %}{{ i }}{% endfor %}")
    (templates / "long.html").write_text(
        "{% extends 'layout.html' %}{% block body %}{{ name }}{% endblock %}"
    )

    app_with(templates, "file:unused", {"welcome": ("name", "token"), "short": (), "long": ("name",)})


@pytest.mark.parametrize(
    ("file", "text", "error"),
    [
        ("welcome.txt", "Hello\n\nHello", "welcome.txt must begin with the line `Subject: ...`"),
        ("welcome.txt", "Subject:\n\nHello", "welcome.txt must begin with"),
        ("welcome.txt", "Subject: Hello\nHello", "welcome.txt must begin with"),
        ("welcome.txt", "", "welcome.txt must begin with"),
        ("welcome.txt", "Subject: a\n\n{{ name", "welcome.txt has an error in line 3"),
        (
            "welcome.txt",
            "Subject: {{ nam }}\n\nHello",
            "welcome.txt uses nam. It can only use app_name, app_url, name",
        ),
        ("welcome.txt", "Subject: a\n\n{% include 'part.txt' %}", "part.txt can't be read"),
        ("welcome.html", "{{ tokn }}", "welcome.html uses tokn"),
        ("welcome.html", "{% if name %}", "welcome.html has an error in line 1"),
        ("welcome.html", "{% extends 'layout.html' %}", "welcome.html uses title"),
    ],
)
def test_a_wrong_template_stops_the_start(templates: Path, file: str, text: str, error: str) -> None:
    (templates / "layout.html").write_text("<title>{{ title }}</title>")
    (templates / file).write_text(text)

    with pytest.raises(InvalidTemplates) as refused:
        app_with(templates, "file:unused", {"welcome": ("name", "token")})

    assert error in refused.value.message
    assert "\n" not in refused.value.message


def test_a_missing_template_stops_the_start(templates: Path) -> None:
    with pytest.raises(InvalidTemplates, match=r"goodbye\.txt can't be read \(FileNotFoundError\)"):
        app_with(templates, "file:unused", {"goodbye": ()})


def test_a_server_that_only_queues_messages_does_not_load_the_smtp_client(templates: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from tests.kit.mail.test_mailer import app_with
app_with(Path({str(templates)!r}), "smtp://mail.example.com", {{"welcome": ("name", "token")}})
print(*sys.modules)
"""
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=API, stdout=subprocess.PIPE, text=True, check=True
    ).stdout.split()

    assert "kit.mail.mailer" in loaded
    assert "smtplib" not in loaded
