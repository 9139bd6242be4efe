"""The OpenAPI document and the interactive documentation."""

import gzip
from functools import cache, lru_cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from flask import Blueprint, Response, current_app, request
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import NotFound

from kit.web import openapi
from kit.web.conditional import not_modified
from kit.web.endpoint import endpoint
from kit.web.schemas import Document
from kit.web.validation import refuse_body

blueprint = Blueprint("documentation", __name__)

PAGE = Path(__file__).parent / "docs"
SWAGGER_UI = files("flask_swagger_ui") / "dist"
# Everything that /docs serves, so that clients can't choose a path on the disk.
FILES = {
    "": (PAGE / "index.html", "text/html; charset=utf-8"),
    "page.css": (PAGE / "page.css", "text/css; charset=utf-8"),
    "page.js": (PAGE / "page.js", "text/javascript; charset=utf-8"),
    "swagger-ui.css": (SWAGGER_UI / "swagger-ui.css", "text/css; charset=utf-8"),
    "swagger-ui-bundle.js": (SWAGGER_UI / "swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
    "favicon.png": (SWAGGER_UI / "favicon-32x32.png", "image/png"),
}
COMPRESSING = Lock()  # so that a file is compressed once, however many clients request it at the same time
# Nothing inline, nothing from other hosts. Swagger UI's style sheet contains images as data: URLs.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'"
)


@blueprint.get("/openapi.json")
@endpoint(
    returns=Document,
    headers=["ETag"],
    also={304: "The document hasn't changed."},
    uses_database=False,
)
def show_openapi() -> Response:
    """Get the OpenAPI document."""
    return _respond(_document(openapi.text(current_app, request.script_root)), "application/json")


def show_docs(name: str = "") -> Response:
    """Return the documentation page or one of its files. It's for people, so it isn't in the document."""
    refuse_body()
    if name not in FILES:
        raise NotFound
    response = _respond(_file(name), FILES[name][1])
    response.headers["Content-Security-Policy"] = POLICY
    return response


@blueprint.record
def _add_docs(state: BlueprintSetupState) -> None:
    """Add the paths only if DOCS_ENABLED."""
    if state.app.extensions["settings"].docs_enabled:
        state.add_url_rule("/docs", "show_docs", show_docs)
        state.add_url_rule("/docs/<name>", "show_docs", show_docs)


class Content(NamedTuple):
    """What all responses share, so that many slow clients don't need many copies."""

    plain: bytes
    compressed: bytes
    tag: str

    @classmethod
    def of(cls, data: bytes) -> "Content":
        return cls(data, gzip.compress(data, compresslevel=6, mtime=0), sha256(data).hexdigest()[:32])


def _file(name: str) -> Content:
    with COMPRESSING:
        return _load(name)


@cache
def _load(name: str) -> Content:
    return Content.of(FILES[name][0].read_bytes())


@lru_cache(maxsize=4)
def _document(text: str) -> Content:
    return Content.of(text.encode())


def _respond(content: Content, content_type: str) -> Response:
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
