"""The storages: a folder, and a bucket of a server that is compatible with S3."""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from kit.storage.folder import Folder
from kit.storage.s3 import S3
from kit.storage.storage import Storage
from kit.storage_url import S3Bucket, read


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Run moto's server. It and obstore are in the lock for development, so they are always there."""
    server = import_module("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket_url(s3_server: str) -> str:
    name = f"files-{uuid4()}"
    httpx.put(f"{s3_server}/{name}").raise_for_status()
    return f"s3://a-key:a-secret@{name}/some/prefix?endpoint={s3_server}"


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return Folder(tmp_path / "files")
    bucket = read(request.getfixturevalue("bucket_url"))
    assert isinstance(bucket, S3Bucket)
    return S3(bucket)
