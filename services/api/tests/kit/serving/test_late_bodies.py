"""A request whose body arrives late: its caller is checked on the headers, and again on the complete body."""

import json
import socket
import time
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from app.database import db
from app.model.models import Role, User
from kit.security.hashers import PasswordHash
from tests.support.people import People, Person
from tests.support.servers import Process

pytestmark = [pytest.mark.any_database, pytest.mark.long]
BODY = json.dumps({"role": "admin"}).encode()


@pytest.fixture
def people(committed_app: Flask, password_hash: PasswordHash) -> People:
    return People(committed_app, password_hash)


def promotion(of: Person, access: str) -> bytes:
    """Return the head of a request that makes a user an admin."""
    return (
        f"PATCH /users/{of.id} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {access}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    ).encode()


def change(app: Flask, person: Person, values: dict[str, Any]) -> None:
    with app.app_context():
        db.session.execute(update(User).where(User.username == person.name).values(values))
        db.session.commit()


@pytest.mark.parametrize(
    ("values", "status"),
    [({"disabled": False}, 200), ({"disabled": True}, 401), ({"role": Role.USER}, 403)],
    ids=["unchanged", "disabled", "demoted"],
)
def test_an_admin_who_loses_the_right_before_the_last_byte_changes_nothing(
    process: Process, people: People, committed_app: Flask, values: dict[str, Any], status: int
) -> None:
    people("root", Role.ADMIN)
    ann, bob = people("ann", Role.ADMIN), people("bob")

    with socket.create_connection(("127.0.0.1", process.port), timeout=60) as client:
        client.sendall(promotion(bob, ann.access) + BODY[:-1])
        time.sleep(0.5)  # for gunicorn to check the headers. If it's slower, the test proves less, but passes
        change(committed_app, ann, values)
        client.sendall(BODY[-1:])
        answer = client.recv(65_536)

    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert bob.get("/account").json["role"] == ("admin" if status == 200 else "user")


@pytest.mark.parametrize("process", ["gunicorn"], indirect=True)  # waitress reads the whole request first
def test_an_unknown_caller_is_refused_before_the_body_arrives(process: Process, people: People) -> None:
    with socket.create_connection(("127.0.0.1", process.port), timeout=20) as client:
        client.sendall(promotion(people("bob"), "x.y.z"))

        assert client.recv(12) == b"HTTP/1.1 401"
