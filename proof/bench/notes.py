"""The API with a resource as the scaffolder generates it: `note body:text! pinned:bool=false --owned`.

It runs in the API's image, as FLASK_APP. run.py creates the table and compares the views with the floor's.
"""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from flask import Blueprint, Flask, Response
from pydantic import Field
from sqlalchemy import ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

import app
from app.authentication import ACCESS_TOKEN, Caller
from app.blueprint.schemas import PageQuery
from app.config import Settings
from app.database import db
from app.model.repository import ResourceRepository
from app.model.user_repository import UserRepository
from kit.clock import now
from kit.data.base import Base
from kit.errors import NotFound
from kit.web import schemas
from kit.web.endpoint import endpoint
from kit.web.fields import LongText
from kit.web.idempotency import IDEMPOTENCY_ERRORS, Created, run_idempotently
from kit.web.pagination import Total, decode_cursor, page_response, sortable
from kit.web.schemas import Flag, Id, RequestBody, ResponseBody, Time

blueprint = Blueprint("note", __name__)


class Note(Base):
    __tablename__ = "notes"
    __table_args__ = (Index(None, "owner_id", "created_at", "id"),)

    owner_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    body: Mapped[str] = mapped_column(Text)
    pinned: Mapped[bool]
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now)


class NoteRepository(ResourceRepository[Note]):
    model = Note


class NewNote(RequestBody):
    body: LongText
    pinned: bool = False


class NoteResponse(ResponseBody):
    id: Id
    body: LongText
    pinned: bool
    created_at: Time
    updated_at: Time


class NoteList(ResponseBody):
    items: Annotated[list[NoteResponse], Field(max_length=100)]
    next_cursor: schemas.Text | None
    total: Total = Field(None, description="The number of matching rows.")
    total_at_least: Total = Field(None, description="Instead of `total`, if more rows match.")


class NoteQuery(PageQuery):
    rows = Note
    within = ("owner_id",)

    total: Flag = Field(False, description="Whether to count the matching rows.")
    sort: str = sortable("created_at", default="-created_at", most=1)


@blueprint.get("/notes")
@endpoint(auth=ACCESS_TOKEN, scope="notes:read", query=NoteQuery, returns=NoteList)
def list_notes(caller: Caller, query: NoteQuery) -> tuple[NoteList, dict[str, str]]:
    """List your notes."""
    after = decode_cursor(query.cursor, query.sort)
    notes = NoteRepository(db.session, caller.user.id)
    page = notes.page(query.sort, query.filters, query.limit, after)
    total = notes.count(query.filters) if query.total else None
    return page_response(NoteList, page, NoteResponse.of, total)


@blueprint.get("/users/<uuid:user_id>/notes")
@endpoint(auth=ACCESS_TOKEN, scope="notes:read", query=NoteQuery, returns=NoteList, raises=[NotFound])
def list_notes_of_user(query: NoteQuery, user_id: UUID) -> tuple[NoteList, dict[str, str]]:
    """List the notes of a user, as the scaffolder lists the rows of a parent."""
    after = decode_cursor(query.cursor, query.sort)
    UserRepository(db.session).require(user_id)
    notes = NoteRepository(db.session).filter_by(owner_id=user_id)
    page = notes.page(query.sort, query.filters, query.limit, after)
    total = notes.count(query.filters) if query.total else None
    return page_response(NoteList, page, NoteResponse.of, total)


@blueprint.post("/notes")
@endpoint(
    auth=ACCESS_TOKEN,
    scope="notes:write",
    body=NewNote,
    returns=NoteResponse,
    status=201,
    etag=True,
    headers=["Location"],
    raises=[*IDEMPOTENCY_ERRORS],
)
def create(caller: Caller, body: NewNote) -> Created | Response:
    """Create a note."""
    return run_idempotently(caller.user.id, body, lambda: _create(caller, body))


def _create(caller: Caller, body: NewNote) -> Created:
    note = Note(owner_id=caller.user.id, **body.model_dump())
    NoteRepository(db.session, caller.user.id).add(note)
    return NoteResponse.of(note), {"Location": f"/notes/{note.id}"}


def create_app(settings: Settings | None = None) -> Flask:
    api = app.create_app(settings)
    api.register_blueprint(blueprint)
    return api
