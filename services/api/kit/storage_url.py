"""Reads STORAGE_URL, or explains what to change.

Any part of a wrong URL may be a part of a secret, so no message quotes it.
"""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from pydantic import SecretStr

SHAPE = "file:FOLDER, or s3://KEY:SECRET@BUCKET/PREFIX?region=REGION&endpoint=URL"
BUCKET = re.compile("[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
PREFIX = re.compile("([A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)?")
ENDPOINT = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9A-Fa-f:]+\](:[0-9]{1,5})?")
REGION = re.compile("[a-z0-9-]{1,50}")


@dataclass(frozen=True)
class StorageFolder:
    """A folder for files. Relative paths begin in instance/."""

    path: str


@dataclass(frozen=True)
class S3Bucket:
    """A bucket of S3, or of a server that is compatible with it."""

    name: str
    prefix: str = ""
    region: str = "us-east-1"
    endpoint: str = ""  # of another server than Amazon's
    key: SecretStr | None = None  # without one, the credentials come from AWS_ variables or from the machine
    secret: SecretStr | None = None


def read(text: str) -> StorageFolder | S3Bucket:
    """Return where files are stored. Raises ValueError, whose message contains no part of the URL."""
    scheme, _, rest = text.partition(":")
    if scheme.lower() == "file":
        return _folder(rest)
    if scheme.lower() != "s3" or not rest.startswith("//"):
        raise ValueError(f"must be {SHAPE}")
    return _bucket(rest[2:])


def _folder(path: str) -> StorageFolder:
    if path.startswith("///"):
        path = path[2:]
    if not path or path.startswith("//") or not path.isprintable():
        raise ValueError("must be file:FOLDER, or file:/FOLDER for an absolute path")
    return StorageFolder(path)


def _bucket(rest: str) -> S3Bucket:
    place, _, query = rest.partition("?")
    credentials, at, location = place.rpartition("@")
    name, _, prefix = location.partition("/")
    if not BUCKET.fullmatch(name):
        raise ValueError(
            "has an invalid name of a bucket. If the secret contains @ / or ?, percent-encode it"
        )
    if not PREFIX.fullmatch(prefix.strip("/")):
        raise ValueError("has a prefix with characters other than letters, digits, and . _ - between slashes")
    key, _, secret = credentials.partition(":")
    if at and not (key and secret):
        raise ValueError("needs both KEY and SECRET before the @, or neither")
    return S3Bucket(
        name,
        prefix.strip("/"),
        key=SecretStr(unquote(key)) if at else None,
        secret=SecretStr(unquote(secret)) if at else None,
        **_parameters(query),
    )


def _parameters(query: str) -> dict[str, str]:
    given = dict(parse_qsl(query, keep_blank_values=True))
    forms = {"region": REGION, "endpoint": ENDPOINT}
    if set(given) - set(forms):
        raise ValueError("has a parameter other than region and endpoint")
    for name, value in given.items():
        if not forms[name].fullmatch(value):
            raise ValueError(f"has an invalid {name}")
    return given
