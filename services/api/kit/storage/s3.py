"""Stores files in a bucket of S3, or of a server that is compatible with it. Needs the extra `s3`."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from typing import IO, Any, cast

from kit.errors import StorageUnavailable
from kit.settings import Settings
from kit.storage.storage import NoSuchFile, check_key
from kit.storage_url import S3Bucket

PART_BYTES = 5_242_880  # the smallest part of a multipart upload
READ_BYTES = 262_144  # at once
TIMEOUT = timedelta(seconds=30)
RETRIES = {"max_retries": 3, "retry_timeout": timedelta(seconds=10)}


class S3:
    """Files in a bucket. Larger ones are sent in parts, of which S3 shows nothing until all are there."""

    def __init__(self, bucket: S3Bucket) -> None:
        self.obstore = _load()
        self.exceptions = import_module("obstore.exceptions")
        options: dict[str, Any] = {"region": bucket.region}
        if bucket.endpoint:
            options["endpoint"] = bucket.endpoint
        if bucket.key and bucket.secret:
            options["access_key_id"] = bucket.key.get_secret_value()
            options["secret_access_key"] = bucket.secret.get_secret_value()
        self.store = import_module("obstore.store").S3Store(
            bucket.name,
            prefix=bucket.prefix or None,
            client_options={"allow_http": bucket.endpoint.startswith("http:"), "timeout": TIMEOUT},
            retry_config=RETRIES,
            **options,
        )

    def put(self, key: str, file: IO[bytes]) -> None:
        with self._failures():
            self.obstore.put(
                self.store, check_key(key), _rest(file), chunk_size=PART_BYTES, max_concurrency=2
            )

    def open(self, key: str) -> IO[bytes]:
        with self._failures():
            reader = self.obstore.open_reader(self.store, check_key(key), buffer_size=READ_BYTES)
            return cast("IO[bytes]", Reader(reader))

    def size(self, key: str) -> int:
        with self._failures():
            return int(self.obstore.head(self.store, check_key(key))["size"])

    def delete(self, key: str) -> None:
        with self._failures():
            try:
                self.obstore.delete(self.store, check_key(key))
            except FileNotFoundError:
                return

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise NoSuchFile("Nothing is stored under this key.") from error
        except (self.exceptions.BaseError, OSError) as error:
            raise StorageUnavailable(f"S3 has failed: {type(error).__name__}.") from error


class Reader:
    """A file in S3, as Python's own files are. It has no `fileno`, so nothing takes it for a local one."""

    def __init__(self, reader: Any) -> None:
        self.reader = reader

    def read(self, size: int = -1) -> bytes:
        return bytes(self.reader.read(None if size < 0 else size))

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self.reader.seek(offset, whence))

    def tell(self) -> int:
        return int(self.reader.tell())

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self.reader.close()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _rest(file: IO[bytes]) -> Iterator[bytes]:
    while data := file.read(READ_BYTES):
        yield data


def _load() -> Any:
    try:
        return import_module("obstore")
    except ModuleNotFoundError as error:
        raise StorageUnavailable(
            "STORAGE_URL=s3://... needs the package obstore: see docs/2-build/files.md."
        ) from error


def make_storage(settings: Settings) -> S3:
    assert isinstance(settings.storage_url, S3Bucket)  # noqa: S101 # nosec B101
    return S3(settings.storage_url)
