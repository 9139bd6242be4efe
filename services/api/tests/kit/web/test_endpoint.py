"""How `endpoint` writes what a view returns."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from flask import Blueprint, Flask, Response, send_file
from flask.testing import FlaskClient

from app import create_app
from app.blueprint.schemas import UserAccount
from app.model.models import User
from kit.data.keyset import Page
from kit.web.endpoint import endpoint
from kit.web.pagination import page_response
from kit.web.schemas import ResponseBody, Text
from tests.support.settings import NEVER_OPENED, settings_for


class Note(ResponseBody):
    text: Text


class NoteList(ResponseBody):
    items: list[Note]
    next_cursor: Text | None
    unit: Text = "EUR"


class NoteRow(NamedTuple):
    text: str
    about: dict[str, str]


@pytest.fixture
def client() -> Callable[..., FlaskClient]:
    """Return a client of an app whose GET /note is a view."""

    def serve(view: Callable[[], object], **declaration: Any) -> FlaskClient:
        app: Flask = create_app(settings_for(NEVER_OPENED))
        blueprint = Blueprint("notes", __name__)
        blueprint.get("/note")(endpoint(uses_database=False, **declaration)(view))
        app.register_blueprint(blueprint)
        return app.test_client()

    return serve


def test_a_row_is_written_with_the_schema(client: Callable[..., FlaskClient]) -> None:
    response = client(lambda: NoteRow("hello", {}), returns=Note).get("/note")

    assert response.json == {"text": "hello"}


def test_a_body_needs_no_declared_schema_but_a_row_does(client: Callable[..., FlaskClient]) -> None:
    assert client(lambda: Note(text="hello")).get("/note").json == {"text": "hello"}
    with pytest.raises(TypeError, match=r"endpoint\(returns="):
        client(lambda: NoteRow("hello", {})).get("/note")


def test_a_row_can_have_headers(client: Callable[..., FlaskClient]) -> None:
    response = client(lambda: (NoteRow("hello", {}), {"X-Mine": "1"}), returns=Note).get("/note")

    assert (response.json, response.headers["X-Mine"]) == ({"text": "hello"}, "1")


def test_an_etag_identifies_the_version_and_leads_to_a_304(client: Callable[..., FlaskClient]) -> None:
    notes = client(lambda: Note(text="hello"), returns=Note, etag=True)

    tag = notes.get("/note").headers["ETag"]
    again = notes.get("/note", headers={"If-None-Match": tag})

    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)


def test_an_etag_set_by_the_view_is_kept(client: Callable[..., FlaskClient]) -> None:
    notes = client(lambda: (Note(text="hello"), {"ETag": '"mine"'}), returns=Note, etag=True)

    assert notes.get("/note").headers["ETag"] == '"mine"'


@pytest.mark.parametrize("status", [204, 302, 404])
def test_only_a_success_with_a_body_gets_an_etag(client: Callable[..., FlaskClient], status: int) -> None:
    notes = client(lambda: Response("" if status == 204 else "x", status), returns=Note, etag=True)

    response = notes.get("/note", headers={"If-None-Match": "*"})

    assert response.status_code == status
    assert "ETag" not in response.headers


def test_files_and_streams_are_sent_as_they_are(client: Callable[..., FlaskClient], tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("hello")

    file = client(lambda: send_file(tmp_path / "note.txt"), returns=Note, etag=True).get("/note")
    stream = client(lambda: Response(iter(["hel", "lo"])), returns=Note, etag=True).get("/note")

    assert (file.data, stream.data) == (b"hello", b"hello")
    assert "ETag" not in stream.headers
    file.close()


def test_a_list_keeps_the_defaults_of_its_schema() -> None:
    body, headers = page_response(NoteList, Page([NoteRow("hello", {})], "text", None), Note.of)

    assert body.model_dump() == {"items": [{"text": "hello"}], "next_cursor": None, "unit": "EUR"}
    assert headers == {}


def test_the_representation_of_an_account_is_stable() -> None:
    """Clients keep its ETag, and two releases run side by side during a deploy."""
    time = datetime(2026, 1, 2, tzinfo=UTC)
    user = User(id=UUID(int=1), username="ann", role="user", disabled=False, created_at=time, updated_at=time)

    assert UserAccount.of(user).model_dump_json() == (
        '{"id":"00000000-0000-0000-0000-000000000001","username":"ann","role":"user","disabled":false,'
        '"created_at":"2026-01-02T00:00:00Z","updated_at":"2026-01-02T00:00:00Z"}'
    )
