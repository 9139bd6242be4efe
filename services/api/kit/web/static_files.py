"""Pages for people and their files: compressed, with an ETag and a strict Content-Security-Policy."""

import gzip
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from flask import Response, request
from werkzeug.exceptions import NotFound

from kit.web.conditional import not_modified
from kit.web.validation import refuse_body

CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".png": "image/png",
}
# Nothing inline, nothing from other hosts, and no form sends its fields in a URL. Style sheets may contain
# images as data: URLs.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
COMPRESSING = Lock()  # so that a file is compressed once, however many clients request it at the same time


class Content(NamedTuple):
    """What all responses share, so that many slow clients don't need many copies."""

    plain: bytes
    compressed: bytes
    tag: str

    @classmethod
    def of(cls, data: bytes) -> "Content":
        return cls(data, gzip.compress(data, compresslevel=6, mtime=0), sha256(data).hexdigest()[:32])


def send_file(files: Mapping[str, Path], name: str) -> Response:
    """Return one of the files, or raise NotFound. So clients can't choose a path on the disk.

    These pages are for people, so they aren't in the OpenAPI document.
    """
    refuse_body()
    if name not in files:
        raise NotFound
    file = files[name]
    with COMPRESSING:
        content = _load(file)
    response = send(content, CONTENT_TYPES[Path(file.name).suffix])
    response.headers["Content-Security-Policy"] = POLICY
    return response


@cache
def _load(file: Path) -> Content:
    return Content.of(file.read_bytes())


def send(content: Content, content_type: str) -> Response:
    """Compress if the client accepts that. Clients may cache the response, but must revalidate it each time.

    So an upgrade shows immediately.
    """
    is_compressed = request.accept_encodings["gzip"] > 0 and len(content.compressed) < len(content.plain)
    response = Response(content.compressed if is_compressed else content.plain, content_type=content_type)
    response.headers["ETag"] = f'"{content.tag}-gzip"' if is_compressed else f'"{content.tag}"'
    response.headers["Cache-Control"] = "no-cache"
    response.vary.add("Accept-Encoding")
    if is_compressed:
        response.headers["Content-Encoding"] = "gzip"
    return not_modified(response)
