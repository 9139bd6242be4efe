"""This API's own description, for people and for programs."""

from importlib.resources import files
from pathlib import Path

from flask import Blueprint, Response, current_app
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import NotFound

from app.blueprint import openapi
from app.blueprint.conditional import not_modified
from app.blueprint.endpoint import endpoint
from app.blueprint.schemas import Document, Query
from app.blueprint.validation import read_query, refuse_body

blueprint = Blueprint("documentation", __name__)

PAGE = Path(__file__).parent / "docs"
SWAGGER_UI = files("flask_swagger_ui") / "dist"
# All that /docs serves, by name: no path on the disk is made from what a client sends.
FILES = {
    "": (PAGE / "index.html", "text/html; charset=utf-8"),
    "page.css": (PAGE / "page.css", "text/css; charset=utf-8"),
    "page.js": (PAGE / "page.js", "text/javascript; charset=utf-8"),
    "swagger-ui.css": (SWAGGER_UI / "swagger-ui.css", "text/css; charset=utf-8"),
    "swagger-ui-bundle.js": (SWAGGER_UI / "swagger-ui-bundle.js", "text/javascript; charset=utf-8"),
    "favicon.png": (SWAGGER_UI / "favicon-32x32.png", "image/png"),
}
# Nothing inline and nothing from elsewhere; the images that Swagger UI's style brings are data: addresses.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'"
)


@blueprint.get("/openapi.json")
@endpoint(
    returns=Document,
    headers=["ETag"],
    also={304: "The document is the one that you have."},
    uses_database=False,
)
def show_openapi() -> Response:
    """Answer this document, OpenAPI 3.1."""
    return _cacheable(Response(openapi.text(current_app), content_type="application/json"))


def show_docs(name: str = "") -> Response:
    """Answer the interactive page or a file of it. No operation of the document: it is for people."""
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
    """Without DOCS_ENABLED these paths do not exist, whatever the method."""
    if state.app.extensions["settings"].docs_enabled:
        state.add_url_rule("/docs", "show_docs", show_docs)
        state.add_url_rule("/docs/<name>", "show_docs", show_docs)


def _cacheable(response: Response) -> Response:
    """Let a client keep the answer and ask each time whether it still holds: an upgrade shows at once."""
    response.add_etag()
    response.headers["Cache-Control"] = "no-cache"
    return not_modified(response)
