"""Files that no row refers to are deleted, and others are kept."""

from datetime import timedelta
from io import BytesIO
from uuid import UUID, uuid4

import pytest
from flask import Flask

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
