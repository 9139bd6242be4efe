"""Files that no row refers to are deleted, and others are kept."""

from datetime import timedelta
from io import BytesIO
from uuid import UUID, uuid4

import pytest
from flask import Flask
from werkzeug.exceptions import RequestedRangeNotSatisfiable

from app.database import db
from kit.clock import now
from kit.errors import NotFound
from kit.storage import stored_files
from kit.storage.storage import NoSuchFile, storage
from kit.storage.stored_files import StoredFile, delete_unused_files, send_stored_file
from kit.web.uploads import ReceivedFile


def keep() -> UUID:
    upload = ReceivedFile(BytesIO(b"text"), 4, "image/png", "a.png", "")
    columns = stored_files.keep("cover", upload)
    assert columns == {"cover_id": columns["cover_id"], "cover_media_type": "image/png", "cover_size": 4}
    assert isinstance(columns["cover_id"], UUID)
    return columns["cover_id"]


def test_a_file_without_a_row_is_deleted_after_an_hour(app: Flask) -> None:
    with app.app_context():
        new, old = keep(), keep()
        db.session.get_one(StoredFile, old).created_at = now() - timedelta(minutes=61)
        db.session.commit()

        delete_unused_files.function()

        assert storage().size(str(new)) == 4
        with pytest.raises(NoSuchFile):
            storage().size(str(old))
        assert db.session.get(StoredFile, new, populate_existing=True)
        assert db.session.get(StoredFile, old, populate_existing=True) is None
        storage().delete(str(new))


def test_a_file_whose_storage_is_lost_is_not_found(app: Flask) -> None:
    with app.test_request_context(), pytest.raises(NotFound):
        send_stored_file(uuid4(), "image/png", 4, "cover")


@pytest.mark.parametrize(
    ("given", "status", "content"),
    [
        ("bytes=1-2", 206, b"ex"),
        ("bytes=-3", 206, b"ext"),
        ("bytes=-99", 206, b"text"),  # the last 99 bytes of four
        ("lines=1-2", 200, b"text"),  # an unknown unit is ignored
        ("nonsense", 200, b"text"),
        ("bytes=0-0,2-3", 200, b"text"),
    ],
)
def test_one_range_of_bytes_is_sent_and_any_other_is_ignored(
    app: Flask, given: str, status: int, content: bytes
) -> None:
    with app.test_request_context(headers={"Range": given}):
        id = keep()
        response = send_stored_file(id, "image/png", 4, "cover")
        response.direct_passthrough = False

        assert (response.status_code, response.get_data()) == (status, content)

        response.close()
        storage().delete(str(id))


@pytest.mark.parametrize("given", ["bytes=4-", "bytes=2-1", "bytes=-0"])
def test_a_range_outside_of_the_file_is_refused(app: Flask, given: str) -> None:
    with app.test_request_context(headers={"Range": given}):
        id = keep()
        with pytest.raises(RequestedRangeNotSatisfiable):
            send_stored_file(id, "image/png", 4, "cover")
        storage().delete(str(id))
