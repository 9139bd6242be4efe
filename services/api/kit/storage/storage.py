"""Stores files under keys. A folder and S3 behave alike: tests/kit/storage/test_storage.py."""

import re
from importlib import import_module
from typing import IO, Protocol, cast

from flask import Flask, current_app

from kit.settings import Settings
from kit.storage_url import S3Bucket, StorageFolder

# Imported when the first file is stored or read, because most processes need none of them.
MODULES = {StorageFolder: "kit.storage.folder", S3Bucket: "kit.storage.s3"}
KEY = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}(/[a-z0-9][a-z0-9_-]{0,99}){0,9}")


class NoSuchFile(LookupError):
    """Nothing is stored under this key."""


class Storage(Protocol):
    """A place for files. Keys are like `covers/6676cf0e`: lower-case letters, digits, - and _, with slashes.

    Each method raises ValueError for another key, and StorageUnavailable.
    """

    def put(self, key: str, file: IO[bytes]) -> None:
        """Store the rest of a file. Nothing is visible under the key until all of it is stored."""

    def open(self, key: str) -> IO[bytes]:
        """Open a file to read and seek. Close it. Raises NoSuchFile."""

    def size(self, key: str) -> int:
        """Return the number of bytes. Raises NoSuchFile."""

    def delete(self, key: str) -> None:
        """Delete a file, if it exists."""


def make_storage(settings: Settings) -> Storage:
    module = import_module(MODULES[type(settings.storage_url)])
    return cast("Storage", module.make_storage(settings))


def storage() -> Storage:
    """Return the storage of the current app."""
    return of_app(current_app)


def of_app(app: Flask) -> Storage:
    if "storage" not in app.extensions:
        app.extensions["storage"] = make_storage(app.extensions["settings"])
    return cast("Storage", app.extensions["storage"])


def check_key(key: str) -> str:
    """Return the key. Raises ValueError if it has characters that could leave the folder."""
    if not KEY.fullmatch(key):
        raise ValueError(f"{key!r} can't be the key of a stored file.")
    return key
