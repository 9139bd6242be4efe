"""What one user does doesn't count for another. What an admin does to an account is logged with both ids."""

import json
from io import StringIO
from unittest.mock import patch
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from app.database import db
from app.model.models import Role, Session
from kit.clock import now
from tests.support.credentials import PASSWORD
from tests.support.people import People, Person
from tests.support.problems import problem


def ended(app: Flask) -> int:
    with app.app_context():
        count = select(func.count()).select_from(Session).where(Session.ended_reason == "session_limit")
        return db.session.scalar(count) or 0


def test_the_sessions_of_other_users_do_not_count(app: Flask, people: People, bob: Person) -> None:
    for _ in range(49):
        people.log_in("bob")

    people("ann")

    assert ended(app) == 0
    assert bob.get("/account").status_code == 200


@pytest.mark.parametrize("change", ["ended_at", "expires_at"])
def test_sessions_that_have_ended_or_expired_do_not_count(
    app: Flask, people: People, ann: Person, change: str
) -> None:
    for _ in range(49):
        people.log_in("ann")
    with app.app_context():
        others = update(Session).where(Session.id != UUID(ann.session_id))
        db.session.execute(others.values({change: now()}))
        db.session.commit()

    people.log_in("ann")

    assert ended(app) == 0
    assert ann.get("/account").status_code == 200


def test_a_client_that_one_account_knows_is_limited_at_another(app: Flask, people: People) -> None:
    def log_in(name: str, password: str, address: str) -> tuple[int, str]:
        body = {"username": name, "password": password}
        client = app.test_client()
        response = client.post("/auth/login", json=body, environ_base={"REMOTE_ADDR": address})
        return (200, "") if response.status_code == 200 else problem(response)

    for name in ("ann", "bob"):
        people.register(name)
    settings = app.extensions["settings"].model_copy(update={"login_limit_account": (2, 3600)})

    with patch.dict(app.extensions, settings=settings):
        assert log_in("bob", PASSWORD, "192.0.2.7") == (200, "")
        for number in range(2):
            log_in("ann", "wrong", f"198.51.100.{number}")

        assert log_in("ann", PASSWORD, "192.0.2.7") == (429, "too_many_attempts")


def test_changes_by_an_admin_are_logged_with_both_ids(output: StringIO, people: People, bob: Person) -> None:
    root = people("root", Role.ADMIN)

    root.patch(f"/users/{bob.id}", {"disabled": True})
    root.delete(f"/users/{bob.id}")

    lines = [json.loads(line) for line in output.getvalue().splitlines()]
    assert [(line["event"], line["user_id"], line["actor_id"]) for line in lines if "event" in line] == [
        ("account_changed_by_admin", bob.id, root.id),
        ("account_deleted", bob.id, root.id),
    ]
