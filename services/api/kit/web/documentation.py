"""The OpenAPI document and the interactive documentation."""

from importlib.resources import files
from pathlib import Path

from flask import Blueprint, Response, current_app
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import NotFound

from kit.web import openapi
from kit.web.conditional import not_modified
from kit.web.endpoint import endpoint
from kit.web.schemas import Document, Query
from kit.web.validation import read_query, refuse_body

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
    return _cacheable(Response(openapi.text(current_app), content_type="application/json"))


def show_docs(name: str = "") -> Response:
    """Return the documentation page or one of its files. It's for people, so it isn't in the document."""
    read_query(Query)
    refuse_body()
    if name not in FILES:
        raise NotFound
    file, content_type = FILES[name]
    response = Response(file.read_bytes(), content_type=content_type)
    response.headers["Content-Security-Policy"] = POLICY
    return _cacheable(response)


@blueprint.record
def _add_docs(state: BlueprintSetupState) -> None:
    """Add the paths only if DOCS_ENABLED."""
    if state.app.extensions["settings"].docs_enabled:
        state.add_url_rule("/docs", "show_docs", show_docs)
        state.add_url_rule("/docs/<name>", "show_docs", show_docs)


def _cacheable(response: Response) -> Response:
    """Let clients cache the response but revalidate it each time, so that an upgrade shows immediately."""
    response.add_etag()
    response.headers["Cache-Control"] = "no-cache"
    return not_modified(response)
