"""Stores files in a folder."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

from kit.errors import StorageUnavailable
from kit.settings import Settings
from kit.storage.storage import NoSuchFile, check_key

UNFINISHED = ".unfinished"  # no key begins with a dot


class Folder:
    """Files in a folder, which can be on a network drive that several servers share."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, key: str, file: IO[bytes]) -> None:
        target, unfinished = self._path(key), self.root / UNFINISHED
        with _failures():
            target.parent.mkdir(parents=True, exist_ok=True)
            unfinished.mkdir(exist_ok=True)
            with NamedTemporaryFile(dir=unfinished, delete=False) as copy:
                try:
                    shutil.copyfileobj(file, copy)
                    copy.flush()
                    os.fsync(copy.fileno())
                    Path(copy.name).replace(target)
                except BaseException:
                    Path(copy.name).unlink(missing_ok=True)
                    raise
            _sync(target.parent)

    def open(self, key: str) -> IO[bytes]:
        with _failures():
            return self._path(key).open("rb")

    def size(self, key: str) -> int:
        with _failures():
            path = self._path(key)
            if not path.is_file():  # a folder has a size, too
                raise FileNotFoundError
            return path.stat().st_size

    def delete(self, key: str) -> None:
        with _failures():
            self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)


def _sync(folder: Path) -> None:
    """Write the folder's entries to the disk, so that a stored file survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network drives can't
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise NoSuchFile("Nothing is stored under this key.") from error
    except OSError as error:
        raise StorageUnavailable(f"The folder can't be used: {error.strerror}.") from error


def make_storage(settings: Settings) -> Folder:
    assert settings.storage_folder  # noqa: S101 # nosec B101
    return Folder(settings.storage_folder)
