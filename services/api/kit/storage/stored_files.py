"""Files of rows: stored before the row refers to them, and deleted when no row does any more.

A row of `kit_files` is committed before its file is stored, and a column such as `cover_id` refers to it. So
the jobs find each file without a reference, after a failure: a failed request, a stopped process, a deleted
row, or an account that was deleted with its rows.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

from flask import Response
from sqlalchemy import ColumnElement, Select, delete, exists, select
from sqlalchemy.orm import Mapped, mapped_column

from kit.clock import now
from kit.data.base import Base
from kit.data.database import db, release
from kit.data.repository import Repository
from kit.errors import NotFound
from kit.jobs.jobs import enqueue, job
from kit.jobs.schedules import every
from kit.storage.storage import NoSuchFile, storage
from kit.web.responses import send_file
from kit.web.uploads import ReceivedFile

# No request takes so long, so that a younger file may still get its reference.
UNUSED_AFTER = timedelta(hours=1)
BATCH = 500


class StoredFile(Base):
    """A file in the storage, under its id. Other tables refer to it."""

    __tablename__ = "kit_files"

    created_at: Mapped[datetime] = mapped_column(default=now)


class StoredFileRepository(Repository[StoredFile]):
    model = StoredFile

    def remove_unused(self, id: UUID) -> bool:
        """Remove a file that no row refers to. Return whether it was there."""
        return self.change(delete(StoredFile).where(StoredFile.id == id, *_is_unused())) == 1

    def unused(self) -> Select[UUID]:
        """Return the query of some files that no row has referred to for long enough."""
        is_old = StoredFile.created_at < now() - UNUSED_AFTER
        return select(StoredFile.id).where(is_old, *_is_unused()).limit(BATCH)


def _is_unused() -> Iterator[ColumnElement[bool]]:
    """Return a condition for each column that refers to stored files."""
    for table in StoredFile.metadata.tables.values():
        for key in table.foreign_keys:
            if key.column.table is StoredFile.__table__:
                yield ~exists().where(key.parent == StoredFile.id)


def keep(field: str, upload: ReceivedFile) -> dict[str, object]:
    """Store a received file. Return the columns of the row for it. Raises StorageUnavailable.

    Commits first, so that the jobs find the file if the row isn't changed after all.
    """
    file = StoredFileRepository(db.session).add(StoredFile())
    db.session.commit()
    storage().put(str(file.id), upload.file)
    return {
        f"{field}_id": file.id,
        f"{field}_media_type": upload.media_type,
        f"{field}_size": upload.size,
    }


def removed(field: str) -> dict[str, object]:
    """Return the columns of a row without a file."""
    return {f"{field}_id": None, f"{field}_media_type": None, f"{field}_size": None}


def discard(id: UUID | None) -> None:
    """Delete a file after the commit of a change that no longer refers to it."""
    if id:
        enqueue(delete_file, file_id=id)


def send_stored_file(id: UUID | None, media_type: str | None, size: int | None, name: str) -> Response:
    """Return the file of a row, or a part of it. Raises NotFound and StorageUnavailable."""
    if id is None or media_type is None or size is None:
        raise NotFound("There is no such file.")
    release()
    try:
        file = storage().open(str(id))
    except NoSuchFile as error:  # it was replaced a moment ago, or a backup was restored without its files
        raise NotFound("There is no such file.") from error
    return send_file(file, size=size, media_type=media_type, name=name, etag=str(id))


@job()
def delete_file(file_id: UUID) -> None:
    """Delete a file that no row refers to."""
    if StoredFileRepository(db.session).remove_unused(file_id):
        storage().delete(str(file_id))  # before the commit: if it fails, the job repeats both


@job(schedule=every(timedelta(hours=1)), seconds=600, attempts=1, priority=1)
def delete_unused_files() -> None:
    """Delete files that no row refers to, such as those of deleted rows and accounts, in committed steps."""
    files = StoredFileRepository(db.session)
    while ids := list(db.session.scalars(files.unused())):
        for id in ids:
            delete_file.function(file_id=id)
            db.session.commit()


JOBS = (delete_file, delete_unused_files)
