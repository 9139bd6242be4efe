"""An account that changes during the verification of its password is checked again."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from unittest.mock import patch

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, func, select, update

from app.authentication import client_info, lifetimes
from app.database import db
from app.model.models import Reason, Session, Token, TokenType, User
from app.model.session_repository import PresentedToken, SessionRepository
from kit.clock import now
from kit.errors import TokenRevoked
from kit.security.hashers import Argon2id
from tests.support.credentials import PASSWORD
from tests.support.people import People, Person
from tests.support.problems import problem


def meanwhile(change: Callable[[], object]) -> AbstractContextManager[object]:
    """Run a change of the database while the password is verified. The lock comes afterwards."""

    def verify(hasher: Argon2id, password: str, hashed: str) -> bool:
        change()
        db.session.commit()
        return True

    return patch.object(Argon2id, "verify", verify)


def rename() -> object:
    return db.session.execute(update(User).values(username="annie", username_key="annie"))


def disable() -> object:
    return db.session.execute(update(User).values(disabled=True))


def remove() -> object:
    return db.session.execute(delete(User))


def test_the_version_of_an_account_is_checked_again(ann: Person) -> None:
    version = {"If-Match": ann.get("/account").headers["ETag"]}

    with meanwhile(rename):
        response = ann.patch("/account", {"username": "anna", "current_password": PASSWORD}, headers=version)

    assert problem(response) == (412, "precondition_failed")
    assert ann.get("/account").json["username"] == "annie"


def test_a_disabled_account_cannot_be_changed(app: Flask, ann: Person) -> None:
    with meanwhile(disable):
        response = ann.patch("/account", {"username": "anna", "current_password": PASSWORD})

    assert response.status_code in (401, 403)
    with app.app_context():
        assert db.session.scalars(select(User.username)).all() == ["ann"]


def end_sessions() -> object:
    return db.session.execute(update(Session).values(ended_at=now(), ended_reason=Reason.LOGOUT))


@pytest.mark.parametrize("change", [{"username": "anna"}, {"password": "another horse, another staple"}])
def test_a_session_that_ended_meanwhile_changes_nothing(
    app: Flask, ann: Person, change: dict[str, str]
) -> None:
    with meanwhile(end_sessions):
        response = ann.patch("/account", change | {"current_password": PASSWORD})

    assert problem(response) == (401, "token_revoked")
    with app.app_context():
        assert db.session.scalars(select(User.username)).all() == ["ann"]
        assert db.session.scalar(select(func.count()).where(Session.ended_at.is_(None))) == 0


@pytest.mark.parametrize("change", [disable, remove])
def test_a_disabled_or_deleted_account_cannot_be_logged_in_to(
    client: FlaskClient, people: People, change: Callable[[], object]
) -> None:
    people.register("ann")

    with meanwhile(change):
        response = client.post("/auth/login", json={"username": "ann", "password": PASSWORD})

    assert problem(response) == (401, "invalid_credentials")


def test_a_session_that_ends_just_before_its_lock_gets_no_fresh_token(app: Flask, ann: Person) -> None:
    with app.test_request_context():
        token = db.session.scalars(select(Token).where(Token.type == TokenType.ACCESS)).one()
        presented = PresentedToken(token.user_id, token.session_id, token.id)
        end_sessions()

        with pytest.raises(TokenRevoked):
            SessionRepository(db.session).step_up(presented, client_info(), lifetimes())


def test_a_token_that_is_revoked_meanwhile_gets_no_fresh_one(app: Flask, ann: Person) -> None:
    def revoke() -> object:
        return db.session.execute(update(Token).where(Token.type == "access").values(revoked_at=now()))

    with meanwhile(revoke):
        response = ann.post("/auth/step-up", {"current_password": PASSWORD})

    assert problem(response) == (401, "token_revoked")
    with app.app_context():
        assert len(db.session.scalars(select(Token)).all()) == 2
