"""Related rows: included in responses, and linked many-to-many. The resource of this file has both."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID, uuid4

import pytest
from flask import Blueprint, Flask
from flask.testing import FlaskClient
from pydantic import Field
from sqlalchemy import URL, Column, ForeignKey, MetaData, String, Table, select
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from app.database import db
from kit.clock import now
from kit.data.base import NAMING
from kit.data.column_types import UtcDateTime
from kit.data.resource_repository import ResourceRepository
from kit.errors import NotFound, UnknownReference
from kit.web.conditional import check_if_match
from kit.web.endpoint import endpoint
from kit.web.fields import Reference, References
from kit.web.includes import NOT_INCLUDED, WithRelated, includable, response_with_related
from kit.web.pagination import PageQuery, decode_cursor, page_response, sortable
from kit.web.schemas import UNSET, Id, Query, RequestBody, ResponseBody, Text
from tests.support.concurrency import at_once
from tests.support.extended_app import delete_all_rows, extended_app
from tests.support.problems import errors, problem
from tests.support.statements import statements

blueprint = Blueprint("volumes", __name__)


class Library(DeclarativeBase):
    """A separate base: the app's models are compared with the migrations."""

    metadata = MetaData(naming_convention=NAMING)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


volume_labels = Table(
    "volume_labels_of_test_relations",
    Library.metadata,
    Column("volume_id", ForeignKey("volumes_of_test_relations.id", ondelete="CASCADE"), primary_key=True),
    Column("label_id", ForeignKey("labels_of_test_relations.id", ondelete="CASCADE"), primary_key=True),
)


class Shelf(Library):
    __tablename__ = "shelves_of_test_relations"

    name: Mapped[str] = mapped_column(String(20))


class Label(Library):
    __tablename__ = "labels_of_test_relations"

    name: Mapped[str] = mapped_column(String(20))
    volumes: Mapped[list["Volume"]] = relationship(
        secondary=volume_labels, viewonly=True, lazy="selectin", info={"ids": "volume_ids"}
    )

    @property
    def volume_ids(self) -> list[UUID]:
        return [volume.id for volume in self.volumes]


class Volume(Library):
    __tablename__ = "volumes_of_test_relations"

    title: Mapped[str] = mapped_column(String(20))
    shelf_id: Mapped[UUID | None] = mapped_column(ForeignKey(Shelf.id))
    shelf: Mapped[Shelf | None] = relationship()
    labels: Mapped[list[Label]] = relationship(
        secondary=volume_labels, viewonly=True, lazy="selectin", order_by=Label.id, info={"ids": "label_ids"}
    )

    @property
    def label_ids(self) -> list[UUID]:
        return [label.id for label in self.labels]


class VolumeRepository(ResourceRepository[Volume]):  # type: ignore[type-var]  # not on the app's Base
    model = Volume


class LabelRepository(ResourceRepository[Label]):  # type: ignore[type-var]
    model = Label


class VolumeChange(RequestBody):
    title: str = UNSET
    label_ids: References = UNSET


class ShelfResponse(ResponseBody):
    name: Text


class LabelResponse(ResponseBody):
    name: Text
    volume_ids: References


class VolumeResponse(ResponseBody):
    id: Id
    title: Text
    shelf_id: Reference | None
    label_ids: References


class VolumeWithRelated(WithRelated, VolumeResponse):
    related = {"shelf": ShelfResponse, "labels": LabelResponse}

    shelf: ShelfResponse | None = NOT_INCLUDED
    labels: Annotated[list[LabelResponse], Field(max_length=100)] = NOT_INCLUDED


class VolumeList(ResponseBody):
    items: Annotated[list[VolumeWithRelated], Field(max_length=100)]
    next_cursor: Text | None


class VolumeQuery(PageQuery):
    rows = Volume  # type: ignore[assignment]
    reads_whole_list = True

    sort: str = sortable("created_at", default="created_at")
    label_id: Reference = UNSET
    include: tuple[str, ...] = includable(VolumeWithRelated)


class VolumeReadQuery(Query):
    include: tuple[str, ...] = includable(VolumeWithRelated)


@blueprint.get("/volumes")
@endpoint(query=VolumeQuery, returns=VolumeList)
def list_volumes(query: VolumeQuery) -> tuple[VolumeList, dict[str, str]]:
    after = decode_cursor(query.cursor, query.sort)
    page = VolumeRepository(db.session).page(query.sort, query.filters, query.limit, after, query.include)
    return page_response(VolumeList, page, lambda row: VolumeWithRelated.including(row, query.include))


@blueprint.get("/volumes/<uuid:volume_id>")
@endpoint(query=VolumeReadQuery, returns=VolumeWithRelated, etag=True, raises=[NotFound])
def read(query: VolumeReadQuery, volume_id: UUID) -> tuple[VolumeWithRelated, dict[str, str]]:
    volume = VolumeRepository(db.session).find(volume_id, query.include)
    return response_with_related(VolumeWithRelated, volume, query.include)


@blueprint.patch("/volumes/<uuid:volume_id>")
@endpoint(body=VolumeChange, returns=VolumeResponse, etag=True, raises=[NotFound, UnknownReference])
def change(body: VolumeChange, volume_id: UUID) -> Volume:
    volumes = VolumeRepository(db.session)
    volume = volumes.find_locked(volume_id)
    check_if_match(VolumeResponse, volume)
    volumes.update(volume, body.model_dump(exclude_unset=True))
    db.session.commit()
    return volume


@blueprint.delete("/labels/<uuid:label_id>")
@endpoint(status=204, raises=[NotFound])
def delete_label(label_id: UUID) -> None:
    labels = LabelRepository(db.session)
    labels.delete(labels.find_locked(label_id))
    db.session.commit()


@pytest.fixture(scope="module")
def library_app(migrated_app: Flask, database_url: URL) -> Iterator[Flask]:
    with extended_app(database_url, blueprint, Library.metadata) as app:
        yield app


@pytest.fixture
def app(library_app: Flask) -> Iterator[Flask]:
    yield library_app
    delete_all_rows(library_app, Library.metadata)


def add_labels(app: Flask, number: int) -> list[str]:
    """Store labels and return their ids, sorted."""
    with app.app_context():
        rows = [LabelRepository(db.session).add(Label(name=f"label {each}")) for each in range(number)]
        db.session.commit()
        return sorted(str(row.id) for row in rows)


def add_volume(app: Flask, labels: list[str] = [], *, shelved: bool = True) -> str:  # noqa: B006
    """Store a volume and return its path."""
    with app.app_context():
        if shelved:
            db.session.add(shelf := Shelf(name="A"))
            db.session.flush()
        volume = Volume(title="Emma", shelf_id=shelf.id if shelved else None)
        row = VolumeRepository(db.session).add(volume, label_ids=[UUID(id) for id in labels])
        db.session.commit()
        return f"/volumes/{row.id}"


def body_of(client: FlaskClient, path: str) -> dict[str, Any]:
    response = client.get(path)
    assert response.status_code == 200, response.text
    return dict(response.get_json())


def test_only_requested_relationships_are_in_a_response(app: Flask, client: FlaskClient) -> None:
    labels = add_labels(app, 2)
    path = add_volume(app, labels)
    volume = body_of(client, path)
    shelf = {"shelf": {"name": "A"}}

    assert set(volume) == {"id", "title", "shelf_id", "label_ids"}
    assert body_of(client, f"{path}?include=shelf") == volume | shelf
    both = body_of(client, f"{path}?include=labels,shelf")
    assert both == body_of(client, f"{path}?include=labels&include=shelf")
    assert both | {"labels": []} == volume | shelf | {"labels": []}
    assert [label["volume_ids"] for label in both["labels"]] == [[volume["id"]]] * 2
    assert body_of(client, "/volumes?include=shelf")["items"] == [volume | shelf]


@pytest.mark.parametrize(
    ("include", "more"), [("", 0), ("include=shelf", 1), ("include=labels", 1), ("include=shelf,labels", 2)]
)
def test_a_relationship_takes_one_statement_for_all_rows(
    app: Flask, client: FlaskClient, include: str, more: int
) -> None:
    labels = add_labels(app, 4)
    for _ in range(3):
        add_volume(app, labels)

    with statements() as sent:
        volumes = body_of(client, f"/volumes?{include}")["items"]

    assert [volume["label_ids"] for volume in volumes] == [labels] * 3
    # The rows, the ids of their labels, and the included rows.
    assert len(sent) <= 2 + more, "\n\n".join(sent)


def test_a_missing_row_is_included_as_null(app: Flask, client: FlaskClient) -> None:
    path = add_volume(app, shelved=False)

    assert body_of(client, f"{path}?include=shelf,labels") == body_of(client, path) | {
        "shelf": None,
        "labels": [],
    }


def test_the_version_covers_the_included_rows_but_a_change_only_compares_its_own(
    app: Flask, client: FlaskClient
) -> None:
    path = add_volume(app)
    plain, read = client.get(path), client.get(f"{path}?include=shelf")
    tag = read.headers["ETag"]
    with app.app_context():
        db.session.scalars(select(Shelf)).one().name = "B"
        db.session.commit()

    for given in (tag, f"W/{tag}", f'{tag[:-1]}-gzip"'):
        response = client.get(f"{path}?include=shelf", headers={"If-None-Match": given})
        assert (response.status_code, response.json["shelf"]) == (200, {"name": "B"})
        assert client.patch(path, json={}, headers={"If-Match": given}).status_code == 200
    newest = client.get(f"{path}?include=shelf").headers["ETag"]
    assert client.get(f"{path}?include=shelf", headers={"If-None-Match": newest}).status_code == 304
    assert client.get(path, headers={"If-None-Match": plain.headers["ETag"]}).status_code == 304
    client.patch(path, json={"title": "Persuasion"})
    for outdated in (tag, newest, plain.headers["ETag"]):
        refused = client.patch(path, json={}, headers={"If-Match": outdated})
        assert problem(refused) == (412, "precondition_failed")


def test_two_changes_at_once_leave_one_of_their_lists(app: Flask) -> None:
    labels = add_labels(app, 6)
    path = add_volume(app, labels[:2])
    wanted = [labels[:3], labels[2:5], labels[4:]]

    def patch(ids: list[str]) -> Any:
        return lambda: app.test_client().patch(path, json={"label_ids": ids})

    for _ in range(3):
        responses: list[Any] = at_once(*map(patch, wanted))
        assert [(each.status_code, each.json["label_ids"]) for each in responses] == [
            (200, ids) for ids in wanted
        ]
        assert body_of(app.test_client(), path)["label_ids"] in wanted


@pytest.mark.parametrize("wanted", ["added", "removed"])
def test_a_change_waits_for_the_deletion_of_a_linked_row(
    app: Flask, client: FlaskClient, wanted: str
) -> None:
    deleted, kept = add_labels(app, 2)
    path = add_volume(app, [kept] if wanted == "added" else [deleted, kept])
    ids = [kept, deleted] if wanted == "added" else [kept]

    with app.app_context(), ThreadPoolExecutor(1) as pool:
        labels = LabelRepository(db.session)
        labels.delete(labels.find_locked(UUID(deleted)))
        request = pool.submit(lambda: app.test_client().patch(path, json={"label_ids": ids}))
        time.sleep(0.3)  # by now, the request is waiting or done
        db.session.commit()

    response: Any = request.result(timeout=60)
    if wanted == "added":
        assert errors(response) == {("/label_ids/1", "unknown_reference")}
    else:
        assert response.json["label_ids"] == [kept]
    assert body_of(client, path)["label_ids"] == [kept]


def test_a_deletion_waits_for_the_change_that_links_the_row(app: Flask, client: FlaskClient) -> None:
    label, path = add_labels(app, 1)[0], add_volume(app)

    with app.app_context(), ThreadPoolExecutor(1) as pool:
        volumes = VolumeRepository(db.session)
        volume = volumes.find_locked(UUID(path.rpartition("/")[2]))
        assert volumes.update(volume, {"label_ids": [UUID(label)]}) == ["label_ids"]
        request = pool.submit(lambda: app.test_client().delete(f"/labels/{label}"))
        time.sleep(0.3)
        db.session.commit()

    assert request.result(timeout=60).status_code == 204
    assert body_of(client, path)["label_ids"] == []


def test_every_unknown_id_is_named_and_nothing_is_changed(app: Flask, client: FlaskClient) -> None:
    first, second = add_labels(app, 2)
    path = add_volume(app, [first])
    before = body_of(client, path)
    ids = [str(uuid4()), second, str(uuid4()), first]

    refused = client.patch(path, json={"title": "Persuasion", "label_ids": ids})

    assert errors(refused) == {("/label_ids/0", "unknown_reference"), ("/label_ids/2", "unknown_reference")}
    assert body_of(client, path) == before


def test_a_list_is_filtered_by_a_linked_row(app: Flask, client: FlaskClient) -> None:
    first, second = add_labels(app, 2)
    one, both = add_volume(app, [first]), add_volume(app, [first, second])
    add_volume(app)

    def found(label: str) -> list[str]:
        page = body_of(client, f"/volumes?label_id={label}&include=labels")
        return [f"/volumes/{item['id']}" for item in page["items"]]

    assert found(first) == [one, both]
    assert found(second) == [both]
    assert found(str(uuid4())) == []


@pytest.mark.parametrize("names", ["title", "", "shelf,", "shelf,shelf", "Shelf", " shelf"])
def test_a_name_that_cannot_be_included_is_refused_with_those_that_can(
    app: Flask, client: FlaskClient, names: str
) -> None:
    for path in ("/volumes", add_volume(app)):
        response = client.get(path, query_string={"include": names})
        assert errors(response) == {("include", "invalid_format")}
        assert "shelf, labels" in response.json["errors"][0]["detail"]


def test_the_document_lists_what_can_be_included() -> None:
    schema = VolumeReadQuery.model_json_schema()["properties"]["include"]

    assert schema["type"] == "array"
    assert schema["items"] == {"type": "string", "enum": ["shelf", "labels"]}
    assert "default" not in schema
    required = VolumeWithRelated.model_json_schema(mode="serialization")["required"]
    assert not {"shelf", "labels"} & set(required)
