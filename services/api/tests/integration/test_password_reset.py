"""POST /auth/password-reset and its confirmation."""

from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from app.database import db
from app.model.links import Link
from app.model.models import Role
from app.model.user_repository import UserRepository
from kit.clock import now
from tests.support.credentials import PASSWORD, bearer
from tests.support.mail import Mailbox, Sent
from tests.support.people import People, Person
from tests.support.problems import errors, problem
from tests.support.statements import statements

pytestmark = pytest.mark.any_database
OWN, NEW = "Ann@example.com", "another horse, another staple"


@pytest.fixture
def mailbox(app: Flask) -> Mailbox:
    return Mailbox(app)


@pytest.fixture
def ann(people: People, app: Flask) -> Person:
    """A user with a verified address."""
    person = people("ann")
    with app.app_context():
        users = UserRepository(db.session)
        found = users.find_by_username("ann")
        assert found
        users.verify_email(found, OWN)
        db.session.commit()
    return person


def ask(client: FlaskClient, address: str = OWN) -> dict[str, object]:
    response = client.post("/auth/password-reset", json={"email": address})
    assert response.status_code == 202, response.text
    return dict(response.json or {})


def link(client: FlaskClient, mailbox: Mailbox) -> Sent:
    ask(client)
    [sent] = mailbox.receive()
    return sent


def confirm(client: FlaskClient, token: str, password: str = NEW) -> tuple[int, str]:
    response = client.post("/auth/password-reset/confirm", json={"token": token, "password": password})
    return (204, "") if response.status_code == 204 else problem(response)


def can_log_in(client: FlaskClient, name: str, password: str) -> bool:
    return client.post("/auth/login", json={"username": name, "password": password}).status_code == 200


def test_a_forgotten_password_is_replaced(client: FlaskClient, ann: Person, mailbox: Mailbox) -> None:
    sent = link(client, mailbox)

    assert (sent.to, sent.template) == (OWN, "reset-password")
    assert sent.link.startswith("https://app.example.com/reset-password#token=")
    assert confirm(client, sent.token) == (204, "")
    assert ann.get("/account").status_code == 401
    assert client.post("/auth/refresh", headers=bearer(ann.refresh)).status_code == 401
    assert can_log_in(client, "ann", NEW)
    assert not can_log_in(client, "ann", PASSWORD)
    assert [each.template for each in mailbox.receive()] == ["password-changed"]


def test_the_message_goes_to_the_stored_spelling(client: FlaskClient, ann: Person, mailbox: Mailbox) -> None:
    ask(client, "aNN@EXAMPLE.COM")

    assert [sent.to for sent in mailbox.receive()] == [OWN]


def test_a_request_answers_the_same_for_an_unknown_address(
    client: FlaskClient, ann: Person, mailbox: Mailbox
) -> None:
    with statements() as known:
        first = ask(client)
    with statements() as unknown:
        second = ask(client, "nemo@example.com")

    assert first == second
    assert known == unknown
    assert [sent.to for sent in mailbox.receive()] == [OWN]


def test_an_unverified_address_gets_no_link(client: FlaskClient, bob: Person, mailbox: Mailbox) -> None:
    bob.put("/account/email", json={"email": "bob@example.com", "current_password": PASSWORD})
    mailbox.receive()

    ask(client, "bob@example.com")

    assert mailbox.receive() == []


def test_a_host_header_does_not_change_the_link(client: FlaskClient, ann: Person, mailbox: Mailbox) -> None:
    client.post(
        "/auth/password-reset",
        json={"email": OWN},
        headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"},
    )

    [sent] = mailbox.receive()
    assert sent.link.startswith("https://app.example.com/")


def test_a_link_works_once_and_for_half_an_hour(client: FlaskClient, ann: Person, mailbox: Mailbox) -> None:
    token = link(client, mailbox).token

    with time_machine.travel(now() + timedelta(minutes=30, seconds=1), tick=False):
        assert confirm(client, token) == (400, "link_invalid")
    assert confirm(client, token) == (204, "")
    assert confirm(client, token) == (400, "link_invalid")


def test_using_one_link_voids_the_others(client: FlaskClient, ann: Person, mailbox: Mailbox) -> None:
    tokens = [link(client, mailbox).token for _ in range(3)]

    assert confirm(client, tokens[1]) == (204, "")
    assert confirm(client, tokens[0]) == confirm(client, tokens[2]) == (400, "link_invalid")


def test_requests_of_others_do_not_void_the_owners_link(
    client: FlaskClient, ann: Person, mailbox: Mailbox
) -> None:
    token = link(client, mailbox).token

    for _ in range(10):
        ask(client)

    assert len(mailbox.receive()) == 2  # three links at most
    assert confirm(client, token) == (204, "")


@pytest.mark.parametrize("change", ["password", "email"])
def test_a_change_of_the_account_voids_the_link(
    client: FlaskClient, ann: Person, mailbox: Mailbox, change: str
) -> None:
    token = link(client, mailbox).token
    if change == "password":
        ann.patch("/account", json={"password": NEW, "current_password": PASSWORD})
    else:
        ann.put("/account/email", json={"email": "new@example.com", "current_password": PASSWORD})

    assert confirm(client, token, "yet another horse, a staple") == (400, "link_invalid")


def test_a_new_password_cancels_a_reset_that_is_still_in_the_queue(
    client: FlaskClient, ann: Person, mailbox: Mailbox
) -> None:
    ask(client)
    mailbox.fail()
    ann.patch("/account", json={"password": NEW, "current_password": PASSWORD})

    assert [sent.template for sent in mailbox.receive()] == ["password-changed"]


def test_a_refused_password_keeps_the_link(client: FlaskClient, ann: Person, mailbox: Mailbox) -> None:
    token = link(client, mailbox).token

    response = client.post("/auth/password-reset/confirm", json={"token": token, "password": "short"})

    assert errors(response) == {("/password", "too_short")}
    assert confirm(client, token) == (204, "")


def test_an_invalid_link_is_refused_before_the_password(client: FlaskClient) -> None:
    assert confirm(client, "nothing", "short") == (400, "link_invalid")


def test_a_disabled_account_gets_no_link_and_cannot_use_one(
    client: FlaskClient, ann: Person, people: People, mailbox: Mailbox
) -> None:
    token = link(client, mailbox).token
    root = people("root", Role.ADMIN)
    assert root.patch(f"/users/{ann.id}", json={"disabled": True}).status_code == 200
    [notice] = mailbox.receive()
    assert (notice.to, notice.template) == (OWN, "account-disabled")
    assert "127.0.0.1" not in notice.text  # of the admin

    ask(client)

    assert mailbox.receive() == []
    assert confirm(client, token) == (400, "link_invalid")


def test_a_link_for_one_purpose_does_not_serve_another(
    client: FlaskClient, ann: Person, bob: Person, mailbox: Mailbox
) -> None:
    reset = link(client, mailbox).token
    bob.put("/account/email", json={"email": "bob@example.com", "current_password": PASSWORD})
    [verification] = mailbox.receive()

    assert problem(client.post("/auth/email/verify", json={"token": reset})) == (400, "link_invalid")
    assert confirm(client, verification.token) == (400, "link_invalid")


def test_only_the_hash_of_a_token_is_stored(
    app: Flask, client: FlaskClient, ann: Person, mailbox: Mailbox
) -> None:
    token = link(client, mailbox).token

    with app.app_context():
        row = db.session.query(Link).one()
        assert token not in str(vars(row))


def test_a_reset_lets_the_owner_log_in_while_others_guess(
    client: FlaskClient, ann: Person, mailbox: Mailbox
) -> None:
    for number in range(60):
        client.post(
            "/auth/login",
            json={"username": "ann", "password": "wrong"},
            environ_overrides={"REMOTE_ADDR": f"198.51.100.{number}"},
        )
    for _ in range(5):
        client.post("/auth/login", json={"username": "ann", "password": "wrong"})
    assert not can_log_in(client, "ann", PASSWORD)

    assert confirm(client, link(client, mailbox).token) == (204, "")

    assert can_log_in(client, OWN, NEW)


def test_a_name_and_an_address_share_the_limit(client: FlaskClient, ann: Person) -> None:
    for name in ("ann", OWN, "ANN", OWN.upper(), "ann"):
        assert not can_log_in(client, name, "wrong")

    response = client.post("/auth/login", json={"username": OWN, "password": PASSWORD})

    assert problem(response) == (429, "too_many_attempts")


@pytest.mark.parametrize("address", [OWN, "nemo@example.com"])
@pytest.mark.parametrize("replaced", [("n", "\uff4e"), ("@e", "@\uff45"), (".com", "\u3002COM")])
def test_the_limit_does_not_show_whether_an_address_exists(
    client: FlaskClient, ann: Person, address: str, replaced: tuple[str, str]
) -> None:
    """The spellings of an unknown address share a limit, too."""
    for _ in range(5):
        assert not can_log_in(client, address, "wrong")

    response = client.post("/auth/login", json={"username": address.replace(*replaced), "password": "wrong"})

    assert problem(response) == (429, "too_many_attempts")


def test_an_address_is_not_a_username_of_another_account(client: FlaskClient, ann: Person) -> None:
    assert can_log_in(client, "ANN@example.com", PASSWORD)
    assert not can_log_in(client, "ann@example.org", PASSWORD)
