"""E-mail addresses of accounts: given, verified, changed and removed."""

from collections.abc import Callable
from datetime import timedelta
from unittest.mock import patch
from uuid import UUID

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from app.database import db
from app.mail.jobs import ATTEMPTS
from app.model.models import Role
from app.model.user_repository import UserRepository
from kit.clock import now
from kit.mail.transports import MailFailed, MailRefused
from tests.support.credentials import PASSWORD, bearer
from tests.support.mail import Mailbox
from tests.support.people import People, Person
from tests.support.problems import errors, problem

pytestmark = pytest.mark.any_database
OWN, NEW = "ann@example.com", "another horse, another staple"


@pytest.fixture
def mailbox(app: Flask) -> Mailbox:
    return Mailbox(app)


@pytest.fixture
def verify(client: FlaskClient, mailbox: Mailbox) -> Callable[[Person, str], None]:
    """Return a function that gives a user a verified address."""

    def give(person: Person, address: str) -> None:
        body = {"email": address, "current_password": PASSWORD}
        assert person.put("/account/email", json=body).status_code == 202
        links = [sent for sent in mailbox.receive() if sent.template == "verify-email"]
        assert client.post("/auth/email/verify", json={"token": links[0].token}).status_code == 204

    return give


Verify = Callable[[Person, str], None]


def email_of(person: Person) -> tuple[str | None, bool]:
    account = person.get("/account").json
    return account["email"], account["email_verified"]


def register(client: FlaskClient, name: str, **body: object) -> object:
    response = client.post("/auth/register", json={"username": name, "password": PASSWORD, **body})
    assert response.status_code == 201, response.text
    return response.json


def test_an_account_has_no_address_at_first(ann: Person) -> None:
    assert email_of(ann) == (None, False)


def test_a_registered_address_is_verified_by_its_link(client: FlaskClient, mailbox: Mailbox) -> None:
    account = client.post(
        "/auth/register", json={"username": "ann", "password": PASSWORD, "email": "Ann@Example.com"}
    ).json
    [sent] = mailbox.receive()

    response = client.post("/auth/email/verify", json={"token": sent.token})

    assert (account["email"], account["email_verified"]) == ("Ann@Example.com", False)
    assert (sent.to, sent.template) == ("Ann@example.com", "verify-email")
    assert sent.link.startswith("https://app.example.com/verify-email#token=")
    assert response.status_code == 204
    assert client.post("/auth/login", json={"username": OWN, "password": PASSWORD}).status_code == 200


def test_registration_is_the_same_for_an_address_that_another_account_has(
    client: FlaskClient, ann: Person, mailbox: Mailbox, verify: Verify
) -> None:
    verify(ann, OWN)

    bob, carol = (
        client.post("/auth/register", json={"username": name, "password": PASSWORD, "email": address})
        for name, address in [("bob", OWN), ("carol", "carol@example.com")]
    )

    assert bob.status_code == carol.status_code == 201
    assert set(bob.json or {}) == set(carol.json or {})
    assert not bob.json["email_verified"]
    assert not carol.json["email_verified"]
    assert [sent.to for sent in mailbox.receive()] == [OWN, "carol@example.com"]


def test_only_the_holder_of_the_link_learns_that_an_address_is_taken(
    client: FlaskClient, ann: Person, bob: Person, mailbox: Mailbox, verify: Verify
) -> None:
    verify(ann, OWN)
    body = {"email": "ANN@example.com", "current_password": PASSWORD}
    assert bob.put("/account/email", json=body).status_code == 202
    [sent] = mailbox.receive()

    response = client.post("/auth/email/verify", json={"token": sent.token})

    assert problem(response) == (409, "email_taken")
    assert email_of(ann) == (OWN, True)
    assert email_of(bob) == ("ANN@example.com", False)


def test_two_accounts_can_wait_for_the_same_address_and_the_first_gets_it(
    client: FlaskClient, ann: Person, bob: Person, mailbox: Mailbox
) -> None:
    for person in (ann, bob):
        person.put("/account/email", json={"email": OWN, "current_password": PASSWORD})
    first, second = mailbox.receive()

    statuses = [
        client.post("/auth/email/verify", json={"token": sent.token}).status_code for sent in (second, first)
    ]

    assert statuses == [204, 409]
    assert email_of(bob) == (OWN, True)


def test_a_changed_address_counts_once_it_is_verified(
    client: FlaskClient, ann: Person, mailbox: Mailbox, verify: Verify
) -> None:
    verify(ann, OWN)

    ann.put("/account/email", json={"email": "new@example.com", "current_password": PASSWORD})
    before = email_of(ann)
    sent = mailbox.receive()
    link = next(each for each in sent if each.template == "verify-email")
    client.post("/auth/email/verify", json={"token": link.token})

    assert before == (OWN, True)
    assert email_of(ann) == ("new@example.com", True)
    assert {(each.to, each.template) for each in sent} == {
        ("new@example.com", "verify-email"),
        (OWN, "email-change-requested"),
    }
    assert [(each.to, each.template) for each in mailbox.receive()] == [(OWN, "email-changed")]


def test_a_newer_request_voids_the_link_of_an_older_one(
    client: FlaskClient, ann: Person, mailbox: Mailbox
) -> None:
    ann.put("/account/email", json={"email": "old@example.com", "current_password": PASSWORD})
    [old] = mailbox.receive()
    ann.put("/account/email", json={"email": "new@example.com", "current_password": PASSWORD})

    response = client.post("/auth/email/verify", json={"token": old.token})

    assert problem(response) == (400, "link_invalid")
    assert email_of(ann) == ("new@example.com", False)


def test_a_new_password_cancels_a_change_of_the_address(
    client: FlaskClient, ann: Person, mailbox: Mailbox, verify: Verify
) -> None:
    verify(ann, OWN)
    ann.put("/account/email", json={"email": "thief@example.com", "current_password": PASSWORD})
    link = next(each for each in mailbox.receive() if each.template == "verify-email")
    changed = ann.patch("/account", json={"password": "another horse, another", "current_password": PASSWORD})

    response = client.post("/auth/email/verify", json={"token": link.token})

    assert changed.status_code == 200
    assert problem(response) == (400, "link_invalid")
    assert (changed.json["email"], changed.json["email_verified"]) == (OWN, True)
    mailbox.receive()
    headers = bearer(changed.json["tokens"]["access_token"])
    client.post("/account/email/verification", headers=headers)
    assert mailbox.receive() == []  # there is nothing to verify


def test_a_new_password_drops_an_address_that_is_not_verified(ann: Person, mailbox: Mailbox) -> None:
    """Otherwise the owner could verify the address of a person who knew the old password."""
    ann.put("/account/email", json={"email": "thief@example.com", "current_password": PASSWORD})

    changed = ann.patch("/account", json={"password": NEW, "current_password": PASSWORD})

    assert (changed.json["email"], changed.json["email_verified"]) == (None, False)


@pytest.mark.parametrize("attempts_before", [0, 1])
def test_a_new_password_cancels_a_verification_that_is_still_in_the_queue(
    app: Flask, ann: Person, mailbox: Mailbox, attempts_before: int
) -> None:
    """The person who asked for it may have known the old password only."""
    ann.put("/account/email", json={"email": "other@example.com", "current_password": PASSWORD})
    if attempts_before:
        mailbox.fail()
    ann.patch("/account", json={"password": NEW, "current_password": PASSWORD})

    assert mailbox.receive() == []


def test_a_link_works_once_and_for_a_day(client: FlaskClient, ann: Person, mailbox: Mailbox) -> None:
    ann.put("/account/email", json={"email": OWN, "current_password": PASSWORD})
    [sent] = mailbox.receive()

    with time_machine.travel(now() + timedelta(hours=24, seconds=1), tick=False):
        late = client.post("/auth/email/verify", json={"token": sent.token})
    first, second = (client.post("/auth/email/verify", json={"token": sent.token}) for _ in range(2))

    assert problem(late) == problem(second) == (400, "link_invalid")
    assert late.json["detail"] == second.json["detail"]
    assert first.status_code == 204


def test_a_verification_can_be_sent_again_and_older_links_stay_valid(
    client: FlaskClient, ann: Person, mailbox: Mailbox
) -> None:
    ann.put("/account/email", json={"email": OWN, "current_password": PASSWORD})
    [first] = mailbox.receive()

    assert ann.post("/account/email/verification").status_code == 202
    [second] = mailbox.receive()

    assert second.token != first.token
    assert client.post("/auth/email/verify", json={"token": first.token}).status_code == 204
    assert problem(client.post("/auth/email/verify", json={"token": second.token})) == (400, "link_invalid")


def test_at_most_three_links_are_sent(app: Flask, ann: Person, mailbox: Mailbox) -> None:
    unlimited = app.extensions["settings"].model_copy(update={"mail_limit": None})
    ann.put("/account/email", json={"email": OWN, "current_password": PASSWORD})

    with patch.dict(app.extensions, settings=unlimited):
        responses = [ann.post("/account/email/verification").status_code for _ in range(4)]

        messages = mailbox.receive()

    assert responses == [202] * 4
    assert len(messages) == 3


@pytest.mark.parametrize(("error", "attempts"), [(MailRefused, 1), (MailFailed, ATTEMPTS)])
def test_messages_that_could_not_be_sent_do_not_count_as_links(
    app: Flask, ann: Person, mailbox: Mailbox, error: type[MailFailed], attempts: int
) -> None:
    unlimited = app.extensions["settings"].model_copy(update={"mail_limit": None})
    with patch.dict(app.extensions, settings=unlimited):
        ann.put("/account/email", json={"email": OWN, "current_password": PASSWORD})
        for _ in range(2):
            ann.post("/account/email/verification")
        for _ in range(attempts):
            mailbox.fail(error)
        assert mailbox.receive() == []

        ann.post("/account/email/verification")

        assert len(mailbox.receive()) == 1


def test_a_disabled_account_can_verify_no_address(
    client: FlaskClient, ann: Person, people: People, mailbox: Mailbox
) -> None:
    ann.put("/account/email", json={"email": OWN, "current_password": PASSWORD})
    [sent] = mailbox.receive()
    ann.post("/account/email/verification")

    people("root", Role.ADMIN).patch(f"/users/{ann.id}", json={"disabled": True})

    assert mailbox.receive() == []
    response = client.post("/auth/email/verify", json={"token": sent.token})
    assert problem(response) == (400, "link_invalid")


def test_there_is_nothing_to_verify_without_a_pending_address(ann: Person, mailbox: Mailbox) -> None:
    assert ann.post("/account/email/verification").status_code == 202
    assert mailbox.receive() == []


def test_an_address_can_be_removed(ann: Person, mailbox: Mailbox, verify: Verify) -> None:
    verify(ann, OWN)

    response = ann.delete("/account/email", json={"current_password": PASSWORD})

    assert response.status_code == 204
    assert email_of(ann) == (None, False)
    assert [(sent.to, sent.template) for sent in mailbox.receive()] == [(OWN, "email-removed")]


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
def test_a_change_needs_the_current_password(ann: Person, mailbox: Mailbox, method: str) -> None:
    body = {"current_password": "another horse, another"} | ({"email": OWN} if method == "PUT" else {})

    response = ann.client.open("/account/email", method=method, json=body, headers=ann.headers)

    assert problem(response) == (403, "wrong_current_password")
    assert mailbox.receive() == []
    assert email_of(ann) == (None, False)


def test_an_address_must_be_one(ann: Person) -> None:
    response = ann.put("/account/email", json={"email": "ann", "current_password": PASSWORD})

    assert errors(response) == {("/email", "invalid_format")}


def test_messages_to_one_address_are_limited_whoever_asks_for_them(people: People, mailbox: Mailbox) -> None:
    for name in ("ann", "bob", "carol", "dan"):
        people(name).put("/account/email", json={"email": OWN, "current_password": PASSWORD})

    assert len(mailbox.receive()) == 3


def test_registrations_with_an_address_do_not_prevent_its_password_reset(
    client: FlaskClient, ann: Person, mailbox: Mailbox, verify: Verify
) -> None:
    verify(ann, OWN)
    for number in range(3):
        register(client, f"other-{number}", email=OWN)
    mailbox.receive()

    client.post("/auth/password-reset", json={"email": OWN})

    assert [sent.template for sent in mailbox.receive()] == ["reset-password"]


def test_requests_for_messages_are_limited_per_client(ann: Person) -> None:
    responses = [ann.post("/account/email/verification") for _ in range(21)]

    assert [each.status_code for each in responses[:20]] == [202] * 20
    assert problem(responses[20]) == (429, "too_many_attempts")


def test_a_deleted_account_leaves_no_link_and_gets_no_message(
    client: FlaskClient, ann: Person, mailbox: Mailbox
) -> None:
    ann.put("/account/email", json={"email": OWN, "current_password": PASSWORD})
    [sent] = mailbox.receive()
    ann.post("/account/email/verification")
    assert ann.delete("/account").status_code == 204

    assert mailbox.receive() == []
    assert problem(client.post("/auth/email/verify", json={"token": sent.token})) == (400, "link_invalid")


def test_the_owner_learns_of_a_login_from_a_new_network(
    client: FlaskClient, ann: Person, mailbox: Mailbox, verify: Verify
) -> None:
    verify(ann, OWN)
    mailbox.receive()
    body = {"username": "ann", "password": PASSWORD}

    for address in ("198.51.100.7", "198.51.100.7", "203.0.113.9"):
        client.post("/auth/login", json=body, environ_overrides={"REMOTE_ADDR": address})

    sent = mailbox.receive()
    assert [(each.to, each.template) for each in sent] == [(OWN, "new-network")] * 2
    assert [each.client for each in sent] == ["198.51.100.7", "203.0.113.9"]


def test_the_owner_learns_of_a_new_password(ann: Person, mailbox: Mailbox, verify: Verify) -> None:
    verify(ann, OWN)
    mailbox.receive()

    ann.patch("/account", json={"password": "another horse, another", "current_password": PASSWORD})

    assert [(each.to, each.template) for each in mailbox.receive()] == [(OWN, "password-changed")]


def test_a_link_verifies_no_other_address(
    app: Flask, client: FlaskClient, ann: Person, mailbox: Mailbox
) -> None:
    ann.put("/account/email", json={"email": OWN, "current_password": PASSWORD})
    [sent] = mailbox.receive()
    with app.app_context():  # a link that nothing has voided
        UserRepository(db.session).find(UUID(ann.id)).pending_email = "other@example.com"
        db.session.commit()

    assert problem(client.post("/auth/email/verify", json={"token": sent.token})) == (400, "link_invalid")
