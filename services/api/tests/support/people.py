"""Test users: `people("ann")` registers ann and logs her in."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import uuid4

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from app.authentication import encode, lifetimes
from app.database import db
from app.model.models import Role, User
from app.model.session_repository import ClientInfo, SessionRepository
from app.model.user_repository import UserRepository
from kit.security.hashers import PasswordHash
from tests.support.credentials import bearer


@dataclass(frozen=True)
class Person:
    """A logged-in user."""

    client: FlaskClient
    name: str
    id: str
    access: str
    refresh: str
    session_id: str

    @cached_property
    def headers(self) -> dict[str, str]:
        return bearer(self.access)

    def get(self, path: str, **more: Any) -> TestResponse:
        return self.client.get(path, headers=self.headers | more.pop("headers", {}), **more)

    def post(self, path: str, json: Any = None, **more: Any) -> TestResponse:
        return self.client.post(path, json=json, headers=self.headers | more.pop("headers", {}), **more)

    def put(self, path: str, json: Any = None, **more: Any) -> TestResponse:
        return self.client.put(path, json=json, headers=self.headers | more.pop("headers", {}), **more)

    def patch(self, path: str, json: Any = None, **more: Any) -> TestResponse:
        return self.client.patch(path, json=json, headers=self.headers | more.pop("headers", {}), **more)

    def delete(self, path: str, **more: Any) -> TestResponse:
        return self.client.delete(path, headers=self.headers | more.pop("headers", {}), **more)


def new_account(person: Person) -> str:
    """Register another user, who can't log in, and return the id."""
    with person.client.application.app_context():
        user = UserRepository(db.session).register(f"account-{uuid4().hex}", PasswordHash("none"))
        db.session.commit()
        return str(user.id)


class People:
    """Create users. All have the same password hash, because hashing is slow."""

    def __init__(self, app: Flask, password_hash: PasswordHash) -> None:
        self.app = app
        self.password_hash = password_hash

    def register(self, name: str, role: Role = Role.USER) -> None:
        with self.app.app_context():
            self._register(name, role)
            db.session.commit()

    def log_in(self, name: str) -> Person:
        with self.app.app_context():
            user = UserRepository(db.session).find_by_username(name)
            assert user is not None
            return self._log_in(user)

    def __call__(self, name: str, role: Role = Role.USER) -> Person:
        with self.app.app_context():
            return self._log_in(self._register(name, role))

    def _register(self, name: str, role: Role) -> User:
        return UserRepository(db.session).register(name, self.password_hash, role)

    def _log_in(self, user: User) -> Person:
        name, id_ = user.username, user.id
        pair = SessionRepository(db.session).open(
            id_, ClientInfo("192.0.2.1", "192.0.2.1", "tests"), lifetimes()
        )
        db.session.commit()
        access, refresh = encode(pair.access), encode(pair.refresh)
        return Person(self.app.test_client(), name, str(id_), access, refresh, str(pair.access.session_id))
