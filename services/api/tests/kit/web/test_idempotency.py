"""Idempotency-Key: a repeated request creates only once and gets the same response."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from secrets import token_hex
from threading import Event
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
import time_machine
from flask import Blueprint, Flask
from pydantic import SecretStr
from sqlalchemy import URL, MetaData, String, func, select, update
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from werkzeug.test import TestResponse

from app import create_app
from app.authentication import ACCESS_TOKEN, Caller
from app.database import db
from app.exceptions import LastAdmin
from app.model.user_repository import UserRepository
from kit.clock import now
from kit.data.stored_responses import StoredResponse
from kit.security.hashers import PasswordHash
from kit.web.endpoint import endpoint
from kit.web.idempotency import IDEMPOTENCY_ERRORS, Created, run_idempotently
from kit.web.schemas import RequestBody, ResponseBody
from tests.support.extended_app import delete_all_rows, extended_app
from tests.support.people import People, Person
from tests.support.problems import errors, problem
from tests.support.settings import settings_for

pytestmark = pytest.mark.long
KEY = "5f8ab1e0-8b3e-4c2b-9a57-0d8c8f0d6f5a"
REUSED = (422, "idempotency_key_reused")
IN_USE = (409, "idempotency_key_in_use")


class Notes(DeclarativeBase):
    """A separate base: the app's models are compared with the migrations."""

    metadata = MetaData()


class Note(Notes):
    __tablename__ = "notes_of_test_idempotency"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(String(100))


class NewNote(RequestBody):
    text: str
    colour: str = "white"


class ShownNote(ResponseBody):
    id: int
    text: str


class Desk:
    """Two views that create notes, and hooks that run during the creation."""

    def __init__(self) -> None:
        self.creating, self.go_on = Event(), Event()
        self.open()

    def open(self) -> None:
        self.is_full = False
        self.creating.clear()
        self.go_on.set()

    def hold(self) -> None:
        """Block the creation until `go_on` is set."""
        self.creating.clear()
        self.go_on.clear()

    def blueprint(self) -> Blueprint:
        blueprint = Blueprint("slips", __name__)
        for path in ("/slips", "/other-slips"):
            view = endpoint(
                auth=ACCESS_TOKEN,
                body=NewNote,
                returns=ShownNote,
                status=201,
                etag=True,
                raises=IDEMPOTENCY_ERRORS,
            )
            blueprint.add_url_rule(path, path[1:], view(self.add), methods=["POST"])
        return blueprint

    def add(self, caller: Caller, body: NewNote) -> Any:
        """Add a note."""
        if body.text == "farewell":  # the account is deleted during its own request
            UserRepository(db.session).remove(caller.user.id)
        return run_idempotently(caller.user.id, body, lambda: self.create(body))

    def create(self, body: NewNote) -> Created:
        note, is_full = Note(text=body.text), self.is_full
        db.session.add(note)
        db.session.flush()
        self.creating.set()
        assert self.go_on.wait(60)
        if is_full:
            raise LastAdmin  # any error
        return ShownNote(id=note.id, text=note.text), {"Location": f"/slips/{note.id}"}


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk()


@pytest.fixture(scope="module")
def notes_app(migrated_app: Flask, database_url: URL, desk: Desk) -> Iterator[Flask]:
    """An app with notes on a real engine, because these tests depend on commits."""
    with extended_app(database_url, desk.blueprint(), Notes.metadata) as app:
        yield app


@pytest.fixture
def impatient_ann(ann: Person, database_url: URL, desk: Desk) -> Iterator[Person]:
    """Ann, in an app with a lock timeout of 1.5 seconds."""
    app = create_app(settings_for(database_url, database_timeout_ms=2000))
    app.register_blueprint(desk.blueprint())
    yield replace(ann, client=app.test_client())
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def people(notes_app: Flask, desk: Desk, password_hash: PasswordHash) -> Iterator[People]:
    yield People(notes_app, password_hash)
    desk.open()
    delete_all_rows(notes_app, Notes.metadata)


def add(person: Person, text: str = "buy milk", key: str | None = KEY, path: str = "/slips") -> TestResponse:
    return person.post(path, {"text": text}, headers={"Idempotency-Key": key} if key else {})


def count(people: People, model: type[Any] = Note) -> int:
    with people.app.app_context():
        return db.session.scalar(select(func.count()).select_from(model)) or 0


def summary(response: TestResponse) -> tuple[int, bytes, dict[str, str]]:
    own = {"X-Request-ID", "Date"}
    return (
        response.status_code,
        response.data,
        {name: value for name, value in response.headers if name not in own},
    )


def test_a_repeated_request_has_the_path_prefix_of_its_own_proxy(people: People, ann: Person) -> None:
    headers, body = ann.headers | {"Idempotency-Key": KEY}, {"text": "buy milk"}

    found = [
        ann.client.post("/slips", json=body, headers=headers, base_url=f"http://localhost{prefix}")
        for prefix in ("/api", "/v2")
    ]

    path = f"/slips/{found[0].json['id']}"
    assert [each.headers["Location"] for each in found] == [f"/api{path}", f"/v2{path}"]
    assert count(people) == 1


def test_a_repeated_request_gets_the_same_response_and_creates_once(people: People, ann: Person) -> None:
    first = add(ann)

    again = [add(ann) for _ in range(3)]

    assert first.status_code == 201
    assert first.headers["Location"] == f"/slips/{first.json['id']}"
    assert "ETag" in first.headers
    assert {str(summary(answer)) for answer in again} == {str(summary(first))}
    assert (count(people), count(people, StoredResponse)) == (1, 1)


def test_without_a_key_each_request_creates(people: People, ann: Person) -> None:
    ids = {add(ann, key=None).json["id"] for _ in range(3)}

    assert len(ids) == 3
    assert (count(people), count(people, StoredResponse)) == (3, 0)


def test_each_key_creates_a_row(people: People, ann: Person) -> None:
    longest = "k" * 255

    assert {add(ann, key=key).status_code for key in (KEY, KEY.upper(), "!", "~", '"a"', longest)} == {201}

    assert count(people) == 6


def test_equivalent_json_is_the_same_request(people: People, ann: Person) -> None:
    headers = ann.headers | {"Idempotency-Key": KEY, "Content-Type": "application/json"}
    spellings = [
        '{"text": "buy milk", "colour": "red"}',
        '{"colour":"red","text":"buy\\u0020milk"}',
        ' {\n"colour": "red",\t"text": "buy milk"}',
    ]

    answers = [ann.client.post("/slips", data=text, headers=headers) for text in spellings]

    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert count(people) == 1


@pytest.mark.parametrize("other", [{"text": "buy bread"}, {"text": "buy milk", "colour": "white"}])
def test_another_body_is_another_request(people: People, ann: Person, other: dict[str, str]) -> None:
    first = add(ann)

    response = ann.post("/slips", other, headers={"Idempotency-Key": KEY})

    assert problem(response) == REUSED
    assert summary(add(ann)) == summary(first)
    assert count(people) == 1


def test_the_stored_fingerprint_depends_on_the_signing_key(people: People, ann: Person) -> None:
    first = add(ann)
    settings = people.app.extensions["settings"]
    [before] = fingerprints(people)

    with patch.dict(people.app.extensions):
        people.app.extensions["settings"] = settings.model_copy(
            update={"secret_key": SecretStr(token_hex(32)), "secret_key_fallbacks": (settings.secret_key,)}
        )
        add(ann, key="another")
        again = add(ann)

    assert len({before, *fingerprints(people)}) == 2
    assert summary(again) == summary(first)


def test_a_fingerprint_from_before_they_were_keyed_still_counts(people: People, ann: Person) -> None:
    first = add(ann)
    plain = sha256(b'POST\n/slips\n{"text":"buy milk"}').hexdigest()
    assert fingerprints(people) != [plain]
    with people.app.app_context():
        db.session.execute(update(StoredResponse).values(fingerprint=plain))
        db.session.commit()

    assert summary(add(ann)) == summary(first)
    assert problem(add(ann, "buy bread")) == REUSED


def fingerprints(people: People) -> list[str]:
    with people.app.app_context():
        return list(db.session.scalars(select(StoredResponse.fingerprint)))


def test_another_path_is_another_request(people: People, ann: Person) -> None:
    add(ann)

    assert problem(add(ann, path="/other-slips")) == REUSED
    assert count(people) == 1


def test_keys_of_different_users_are_independent(people: People, ann: Person, bob: Person) -> None:
    first = add(ann)

    of_bob = add(bob, "buy bread")

    assert of_bob.status_code == 201
    assert of_bob.json["id"] != first.json["id"]
    assert summary(add(ann)) == summary(first)
    assert summary(add(bob, "buy bread")) == summary(of_bob)


def test_a_key_is_shared_by_all_sessions_of_a_user(people: People, ann: Person) -> None:
    first = add(ann)

    assert summary(add(people.log_in("ann"))) == summary(first)


def test_a_refused_request_does_not_use_the_key(people: People, ann: Person) -> None:
    assert problem(ann.post("/slips", {"text": 1}, headers={"Idempotency-Key": KEY}))[0] == 422
    assert problem(ann.client.post("/slips", json={}, headers={"Idempotency-Key": KEY}))[0] == 401

    assert add(ann).status_code == 201


def test_a_failed_creation_stores_nothing(people: People, ann: Person, desk: Desk) -> None:
    desk.is_full = True
    assert problem(add(ann)) == (409, "last_admin")
    assert (count(people), count(people, StoredResponse)) == (0, 0)

    desk.is_full = False
    assert add(ann, "buy bread").status_code == 201
    assert (count(people), count(people, StoredResponse)) == (1, 1)


@pytest.mark.any_database
@pytest.mark.parametrize("key", ["", " ", "two words", "a\tb", "k" * 256, "\u00e9", "a\x7f"])
def test_a_malformed_key_is_refused(people: People, ann: Person, key: str) -> None:
    response = ann.post("/slips", {"text": "buy milk"}, headers={"Idempotency-Key": key})

    assert errors(response) == {("Idempotency-Key", "invalid_format")}
    assert count(people) == 0


def test_a_key_is_kept_for_a_day(people: People, ann: Person) -> None:
    begun = now()
    with time_machine.travel(begun, tick=False):
        first = add(ann)

    with time_machine.travel(begun + timedelta(hours=23, minutes=59), tick=False):
        ann = people.log_in("ann")
        assert summary(add(ann)) == summary(first)
        assert problem(add(ann, "buy bread")) == REUSED
    with time_machine.travel(begun + timedelta(hours=24), tick=False):
        ann = people.log_in("ann")
        later = add(ann, "buy bread")
        assert (later.status_code, later.json["text"]) == (201, "buy bread")
        assert summary(add(ann, "buy bread")) == summary(later)

    assert (count(people), count(people, StoredResponse)) == (2, 1)


def test_old_responses_are_pruned(people: People, ann: Person, bob: Person) -> None:
    begun = now()
    with time_machine.travel(begun, tick=False):
        for number in range(3):
            add(ann, key=f"{KEY}-{number}")
        add(bob)

    with time_machine.travel(begun + timedelta(hours=23), tick=False):
        assert add(people.log_in("ann"), key="new").status_code == 201
        assert count(people, StoredResponse) == 5
    with time_machine.travel(begun + timedelta(hours=25), tick=False):
        assert people.app.test_cli_runner().invoke(args=["token", "prune"]).exit_code == 0
        assert count(people, StoredResponse) == 1


def test_using_keys_prunes_the_users_expired_responses(people: People, ann: Person, bob: Person) -> None:
    begun = now()
    with time_machine.travel(begun, tick=False):
        add(ann)
        add(bob)
    with time_machine.travel(begun + timedelta(hours=24), tick=False):
        ann = people.log_in("ann")

    with time_machine.travel(begun + timedelta(hours=24, minutes=2), tick=False):
        add(ann, key="new")
        with people.app.app_context():
            kept = {(answer.user_id, answer.key) for answer in db.session.scalars(select(StoredResponse))}

    assert kept == {(UUID(ann.id), "new"), (UUID(bob.id), KEY)}


def test_stored_responses_are_deleted_with_the_account(people: People, ann: Person, bob: Person) -> None:
    add(ann)
    add(bob)

    assert ann.delete("/account").status_code == 204

    assert count(people, StoredResponse) == 1


def test_a_user_deleted_during_the_request_gets_an_error(people: People, ann: Person) -> None:
    assert problem(add(ann, "farewell")) == (401, "token_revoked")

    assert (count(people), count(people, StoredResponse)) == (0, 0)


def test_two_concurrent_requests_get_the_same_response(people: People, ann: Person, desk: Desk) -> None:
    desk.hold()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(add, ann)
        assert desk.creating.wait(60)
        second = pool.submit(add, ann)
        time.sleep(0.3)  # by now, the second one is waiting or done
        assert not second.done()
        desk.go_on.set()

    assert first.result().status_code == 201
    assert summary(second.result()) == summary(first.result())
    assert count(people) == 1


def test_the_second_creates_if_the_first_fails(people: People, ann: Person, desk: Desk) -> None:
    desk.hold()
    desk.is_full = True

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(add, ann)
        assert desk.creating.wait(60)
        second = pool.submit(add, ann)
        desk.is_full = False
        time.sleep(0.3)
        desk.go_on.set()

    assert problem(first.result()) == (409, "last_admin")
    assert second.result().status_code == 201
    assert count(people) == 1


# part: sqlite
def skip_without_locks_of_rows(database_url: URL) -> None:
    if database_url.drivername == "sqlite":
        pytest.skip("SQLite has one lock for all writes, so the timeout has another response")


# end of part


def add_while_held(desk: Desk, patient: Person, impatient: Person) -> tuple[TestResponse, TestResponse]:
    """Add twice with one key: the desk holds the first request until the second has its response."""
    desk.hold()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(add, patient)
        assert desk.creating.wait(60)
        second = add(impatient)
        desk.go_on.set()
    return first.result(), second


def test_waiting_too_long_for_a_key_asks_to_retry(
    people: People, ann: Person, impatient_ann: Person, desk: Desk, database_url: URL
) -> None:
    skip_without_locks_of_rows(database_url)  # part: sqlite

    first, second = add_while_held(desk, ann, impatient_ann)

    assert problem(second) == IN_USE
    assert int(second.headers["Retry-After"]) >= 1
    assert first.status_code == 201
    assert summary(add(ann)) == summary(first)
    assert count(people) == 1


def test_waiting_too_long_behind_an_expired_response_asks_to_retry(
    people: People, ann: Person, impatient_ann: Person, desk: Desk, database_url: URL
) -> None:
    skip_without_locks_of_rows(database_url)  # part: sqlite
    add(ann)
    with people.app.app_context():
        db.session.execute(StoredResponse.__table__.update().values(expires_at=now()))  # type: ignore[attr-defined]
        db.session.commit()

    first, second = add_while_held(desk, ann, impatient_ann)

    assert problem(second) == IN_USE
    assert first.status_code == 201
    assert count(people) == 2


def test_many_concurrent_requests_create_once(people: People, ann: Person) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: add(ann), range(6)))

    assert {str(summary(answer)) for answer in answers} == {str(summary(answers[0]))}
    assert answers[0].status_code == 201
    assert count(people) == 1
