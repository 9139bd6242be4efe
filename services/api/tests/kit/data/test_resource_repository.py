"""Each user has their own rows: for others they don't exist. The resource of this file is owned."""

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid4

import pytest
from flask import Blueprint, Flask
from pydantic import Field
from sqlalchemy import URL, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.authentication import ACCESS_TOKEN, Caller
from app.database import db
from kit.clock import now
from kit.data.base import NAMING
from kit.data.column_types import UtcDateTime
from kit.data.resource_repository import ResourceRepository
from kit.errors import NotFound
from kit.security.hashers import PasswordHash
from kit.web.conditional import check_if_match
from kit.web.endpoint import endpoint
from kit.web.pagination import PageQuery, decode_cursor, page_response, sortable
from kit.web.schemas import Id, RequestBody, ResponseBody, Text
from tests.support.extended_app import delete_all_rows, extended_app
from tests.support.people import People, Person
from tests.support.problems import problem

NOT_FOUND = (404, "not_found")
blueprint = Blueprint("letters", __name__, url_prefix="/letters")


class Desk(DeclarativeBase):
    """A separate base: the app's models are compared with the migrations."""

    metadata = MetaData(naming_convention=NAMING)


class Letter(Desk):
    __tablename__ = "letters_of_test_ownership"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    owner_id: Mapped[UUID]
    text: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class LetterRepository(ResourceRepository[Letter]):  # type: ignore[type-var]  # not on the app's Base
    model = Letter


class LetterBody(RequestBody):
    text: str


class LetterResponse(ResponseBody):
    id: Id
    text: Text


class LetterList(ResponseBody):
    items: Annotated[list[LetterResponse], Field(max_length=100)]
    next_cursor: Text | None


class LetterQuery(PageQuery):
    sort: str = sortable("created_at", default="created_at")


@blueprint.get("")
@endpoint(auth=ACCESS_TOKEN, query=LetterQuery, returns=LetterList)
def list_letters(caller: Caller, query: LetterQuery) -> tuple[LetterList, dict[str, str]]:
    after = decode_cursor(query.cursor, query.sort)
    page = LetterRepository(db.session, caller.user.id).page(query.sort, query.filters, query.limit, after)
    return page_response(LetterList, page, LetterResponse.of)


@blueprint.get("/<uuid:letter_id>")
@endpoint(auth=ACCESS_TOKEN, returns=LetterResponse, etag=True, raises=[NotFound])
def read(caller: Caller, letter_id: UUID) -> Letter:
    return LetterRepository(db.session, caller.user.id).find(letter_id)


@blueprint.patch("/<uuid:letter_id>")
@endpoint(auth=ACCESS_TOKEN, body=LetterBody, returns=LetterResponse, etag=True, raises=[NotFound])
def change(caller: Caller, body: LetterBody, letter_id: UUID) -> Letter:
    letters = LetterRepository(db.session, caller.user.id)
    letter = letters.find_locked(letter_id)
    check_if_match(LetterResponse, letter)
    letters.update(letter, body.model_dump())
    db.session.commit()
    return letter


@blueprint.delete("/<uuid:letter_id>")
@endpoint(auth=ACCESS_TOKEN, status=204, etag=True, raises=[NotFound])
def delete(caller: Caller, letter_id: UUID) -> None:
    letters = LetterRepository(db.session, caller.user.id)
    letters.delete(letters.find_locked(letter_id))
    db.session.commit()


@pytest.fixture(scope="module")
def desk_app(migrated_app: Flask, database_url: URL) -> Iterator[Flask]:
    with extended_app(database_url, blueprint, Desk.metadata) as app:
        yield app


@pytest.fixture
def people(desk_app: Flask, password_hash: PasswordHash) -> Iterator[People]:
    yield People(desk_app, password_hash)
    delete_all_rows(desk_app, Desk.metadata)


@pytest.fixture
def letter(ann: Person) -> str:
    """The path of one of Ann's letters."""
    with ann.client.application.app_context():
        row = LetterRepository(db.session).add(Letter(owner_id=UUID(ann.id), text="Dear Bob"))
        db.session.commit()
        return f"/letters/{row.id}"


def test_the_owner_can_list_read_change_and_delete(ann: Person, letter: str) -> None:
    assert [item["text"] for item in ann.get("/letters").json["items"]] == ["Dear Bob"]
    assert ann.get(letter).json["text"] == "Dear Bob"
    assert ann.patch(letter, {"text": "Dear Eve"}).json["text"] == "Dear Eve"
    assert ann.delete(letter).status_code == 204
    assert problem(ann.get(letter)) == NOT_FOUND


def test_another_user_cannot_list_read_change_or_delete(ann: Person, bob: Person, letter: str) -> None:
    assert bob.get("/letters").json["items"] == []
    assert problem(bob.get(letter)) == NOT_FOUND
    assert problem(bob.patch(letter, {"text": "Dear Eve"})) == NOT_FOUND
    assert problem(bob.delete(letter)) == NOT_FOUND
    assert ann.get(letter).json["text"] == "Dear Bob"


def test_a_row_of_another_user_looks_like_a_missing_one(bob: Person, letter: str) -> None:
    def answer(path: str) -> dict[str, object]:
        problem = dict(bob.get(path).get_json())
        del problem["request_id"]
        return problem

    assert answer(letter) == answer(f"/letters/{uuid4()}")


def test_a_repository_with_an_owner_has_no_rows_of_others(ann: Person, bob: Person, letter: str) -> None:
    id = UUID(letter.rpartition("/")[2])

    with bob.client.application.app_context():
        own, others = (LetterRepository(db.session, UUID(each.id)) for each in (ann, bob))

        assert (own.get(id), own.lock(id)) == (own.find(id), own.find(id))
        assert (others.get(id), others.lock(id)) == (None, None)


def test_a_cursor_of_another_user_leads_to_ones_own_rows(ann: Person, bob: Person) -> None:
    with bob.client.application.app_context():
        for person in (ann, ann, bob):
            LetterRepository(db.session).add(Letter(owner_id=UUID(person.id), text=f"From {person.name}"))
        db.session.commit()
    cursor = ann.get("/letters?limit=1").json["next_cursor"]

    items = bob.get(f"/letters?cursor={cursor}").json["items"]

    assert [item["text"] for item in items] == ["From bob"]


def test_a_filtered_repository_has_only_the_rows_with_these_values(
    ann: Person, bob: Person, letter: str
) -> None:
    id = UUID(letter.rpartition("/")[2])

    with ann.client.application.app_context():
        own, others = (LetterRepository(db.session, UUID(each.id)) for each in (ann, bob))
        to_bob, to_eve = (own.filter_by(text=text) for text in ("Dear Bob", "Dear Eve"))

        assert [row.id for row in to_bob.page("created_at", {}, 10, None).rows] == [id]
        assert to_bob.get(id) is own.get(id)
        assert (to_eve.page("created_at", {}, 10, None).rows, to_eve.lock(id)) == ([], None)
        assert to_bob.filter_by(text="Dear Eve").filter_by(id=id).get(id) is None
        assert others.filter_by(text="Dear Bob").get(id) is None
