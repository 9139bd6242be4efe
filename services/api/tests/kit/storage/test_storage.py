"""The contract of every storage."""

from io import BytesIO
from pathlib import Path
from typing import IO, cast

import pytest

from kit.errors import StorageUnavailable
from kit.storage.folder import Folder
from kit.storage.s3 import S3
from kit.storage.storage import NoSuchFile, Storage
from kit.storage_url import S3Bucket

pytestmark = pytest.mark.any_database
LARGE = bytes(range(256)) * 50_000  # 12.8 MB, which S3 takes in three parts


@pytest.mark.parametrize("content", [b"", b"text", LARGE], ids=["empty", "short", "large"])
def test_a_stored_file_is_read_unchanged(storage: Storage, content: bytes) -> None:
    storage.put("covers/a-1_b", BytesIO(content))

    with storage.open("covers/a-1_b") as file:
        assert file.read() == content
    assert storage.size("covers/a-1_b") == len(content)


def test_the_rest_of_a_file_is_stored(storage: Storage) -> None:
    file = BytesIO(b"0123456789")
    file.seek(4)

    storage.put("a", file)

    with storage.open("a") as stored:
        assert stored.read() == b"456789"


def test_a_part_of_a_file_is_read(storage: Storage) -> None:
    storage.put("a", BytesIO(LARGE))

    with storage.open("a") as file:
        assert file.seekable()
        file.seek(10_000_000)
        assert file.read(5) == LARGE[10_000_000:10_000_005]
        assert file.tell() == 10_000_005
        file.seek(3)
        assert file.read(2) == b"\x03\x04"


def test_a_file_is_replaced(storage: Storage) -> None:
    storage.put("a", BytesIO(b"old and long"))
    storage.put("a", BytesIO(b"new"))

    with storage.open("a") as file:
        assert file.read() == b"new"


def test_a_deleted_file_no_longer_exists(storage: Storage) -> None:
    storage.put("a", BytesIO(b"text"))

    storage.delete("a")
    storage.delete("a")

    with pytest.raises(NoSuchFile):
        storage.open("a")
    with pytest.raises(NoSuchFile):
        storage.size("a")


@pytest.mark.parametrize("key", ["a", "covers", "covers/b"])
def test_an_unknown_key_is_reported(storage: Storage, key: str) -> None:
    storage.put("covers/a", BytesIO(b"text"))

    with pytest.raises(NoSuchFile):
        storage.open(key)
    with pytest.raises(NoSuchFile):
        storage.size(key)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/a",
        "a/",
        "a//b",
        "..",
        "../a",
        "a/../b",
        ".a",
        "a\\b",
        "a\0",
        "a\n",
        "A",
        "é",
        "a b",
        "a.png",
        "%2e",
    ],
    ids=repr,
)
def test_a_key_that_could_leave_the_storage_is_refused(storage: Storage, key: str) -> None:
    with pytest.raises(ValueError, match="can't be the key"):
        storage.put(key, BytesIO(b"text"))
    with pytest.raises(ValueError, match="can't be the key"):
        storage.open(key)
    with pytest.raises(ValueError, match="can't be the key"):
        storage.delete(key)


class Breaks(BytesIO):
    """A file that can't be read to its end."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 8_000_000:
            raise OSError("broken")
        return super().read(min(size or 0, 1_000_000))


def test_a_file_that_breaks_off_leaves_nothing(storage: Storage, tmp_path: Path) -> None:
    storage.put("a", BytesIO(b"old"))

    for key in ("a", "b"):
        with pytest.raises(Exception, match=r"broken|can't be used|has failed"):
            storage.put(key, cast("IO[bytes]", Breaks(LARGE)))

    with storage.open("a") as file:
        assert file.read() == b"old"
    with pytest.raises(NoSuchFile):
        storage.open("b")
    assert [file for file in tmp_path.rglob("*") if file.is_file()] in ([], [tmp_path / "files/a"])


def test_a_storage_that_fails_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    for storage in (
        Folder(Path("/proc/nothing-can-be-written-here")),
        S3(S3Bucket("files", endpoint="http://127.0.0.1:9")),
    ):
        with pytest.raises((StorageUnavailable, NoSuchFile)):
            storage.put("a", BytesIO(b"text"))
