"""Everyone reads, the owner and admins change. The resource of this file is authored."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from uuid import UUID, uuid4

import pytest
from flask import Blueprint, Flask
from sqlalchemy import URL, MetaData, String, delete
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.authentication import ACCESS_TOKEN, Caller, require_owner_or_admin
from app.database import db
from app.exceptions import Forbidden
from app.model.api_keys import ApiKey
from app.model.models import Reason, Role, User
from app.model.session_repository import SessionRepository
from kit.clock import now
from kit.data.base import NAMING
from kit.data.column_types import UtcDateTime
from kit.data.resource_repository import ResourceRepository
from kit.errors import NotFound
from kit.security.hashers import PasswordHash
from kit.web.endpoint import endpoint
from kit.web.schemas import RequestBody, ResponseBody, Text
from tests.support.credentials import bearer
from tests.support.extended_app import delete_all_rows, extended_app
from tests.support.keys import make_key
from tests.support.people import People, Person
from tests.support.problems import problem

pytestmark = pytest.mark.any_database

FORBIDDEN = (403, "forbidden")
REVOKED = (401, "token_revoked")
blueprint = Blueprint("posters", __name__, url_prefix="/posters")


class Wall(DeclarativeBase):
    """A separate base: the app's models are compared with the migrations."""

    metadata = MetaData(naming_convention=NAMING)


class Poster(Wall):
    __tablename__ = "posters_of_test_row_owners"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    owner_id: Mapped[UUID]
    text: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class PosterRepository(ResourceRepository[Poster]):  # type: ignore[type-var]  # not on the app's Base
    model = Poster


class PosterBody(RequestBody):
    text: str


class PosterResponse(ResponseBody):
    text: Text


@blueprint.patch("/<uuid:poster_id>")
@endpoint(
    auth=ACCESS_TOKEN,
    scope="posters:write",
    body=PosterBody,
    returns=PosterResponse,
    raises=[NotFound, Forbidden],
)
def change(caller: Caller, body: PosterBody, poster_id: UUID) -> Poster:
    posters = PosterRepository(db.session)
    poster = posters.find_locked(poster_id)
    require_owner_or_admin(caller, poster.owner_id)
    posters.update(poster, body.model_dump())
    db.session.commit()
    return poster


@pytest.fixture(scope="module")
def wall_app(migrated_app: Flask, database_url: URL) -> Iterator[Flask]:
    with extended_app(database_url, blueprint, Wall.metadata) as app:
        yield app


@pytest.fixture
def people(wall_app: Flask, password_hash: PasswordHash) -> Iterator[People]:
    yield People(wall_app, password_hash)
    delete_all_rows(wall_app, Wall.metadata)


@pytest.fixture
def poster(wall_app: Flask, ann: Person) -> UUID:
    """The id of one of Ann's posters."""
    with wall_app.app_context():
        row = PosterRepository(db.session).add(Poster(owner_id=UUID(ann.id), text="For sale"))
        db.session.commit()
        return row.id


def text_of(app: Flask, poster: UUID) -> str:
    with app.app_context():
        return PosterRepository(db.session).find(poster).text


def test_only_the_owner_and_admins_change_a_row(
    wall_app: Flask, people: People, ann: Person, bob: Person, poster: UUID
) -> None:
    root, path = people("root", Role.ADMIN), f"/posters/{poster}"

    assert problem(bob.patch(path, {"text": "Stolen"})) == FORBIDDEN
    assert text_of(wall_app, poster) == "For sale"
    assert ann.patch(path, {"text": "Sold"}).status_code == 200
    assert root.patch(path, {"text": "Removed"}).status_code == 200
    assert text_of(wall_app, poster) == "Removed"


def demote(user: User) -> None:
    user.role = Role.USER


def disable(user: User) -> None:
    user.disabled = True


def remove(user: User) -> None:
    db.session.delete(user)


def end_sessions(user: User) -> None:
    SessionRepository(db.session).end_all(user.id, Reason.LOGOUT)


def delete_keys(user: User) -> None:
    db.session.execute(delete(ApiKey).where(ApiKey.user_id == user.id))


@pytest.mark.parametrize(
    ("credential", "lose", "expected"),
    [
        ("session", demote, FORBIDDEN),
        ("session", disable, REVOKED),
        ("session", remove, REVOKED),
        ("session", end_sessions, REVOKED),
        ("key", demote, FORBIDDEN),
        ("key", disable, REVOKED),
        ("key", delete_keys, REVOKED),
    ],
)
def test_an_admin_who_loses_the_right_while_a_request_waits_changes_no_row(
    wall_app: Flask,
    people: People,
    poster: UUID,
    credential: str,
    lose: Callable[[User], None],
    expected: tuple[int, str],
) -> None:
    root = people("root", Role.ADMIN)
    token = make_key(root, "posters:write") if credential == "key" else root.access

    def send() -> tuple[int, str]:
        client, body = wall_app.test_client(), {"text": "Removed"}
        return problem(client.patch(f"/posters/{poster}", json=body, headers=bearer(token)))

    with wall_app.app_context(), ThreadPoolExecutor(1) as pool:
        PosterRepository(db.session).find_locked(poster)
        lose(db.session.get_one(User, UUID(root.id)))
        db.session.flush()
        request = pool.submit(send)
        time.sleep(0.3)  # by now, the request is waiting or done
        db.session.commit()

    assert request.result(timeout=60) == expected
    assert text_of(wall_app, poster) == "For sale"
