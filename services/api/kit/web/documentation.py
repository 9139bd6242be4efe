"""The OpenAPI document and the interactive documentation."""

from functools import lru_cache
from importlib.resources import files
from pathlib import Path

from flask import Blueprint, Response, current_app, request
from flask.blueprints import BlueprintSetupState

from kit.web import openapi
from kit.web.endpoint import endpoint
from kit.web.schemas import Document
from kit.web.static_files import Content, send, send_file

blueprint = Blueprint("documentation", __name__)

PAGE = Path(__file__).parent / "docs"
SWAGGER_UI = Path(str(files("flask_swagger_ui"))) / "dist"
FILES = {
    "": PAGE / "index.html",
    "page.css": PAGE / "page.css",
    "page.js": PAGE / "page.js",
    "swagger-ui.css": SWAGGER_UI / "swagger-ui.css",
    "swagger-ui-bundle.js": SWAGGER_UI / "swagger-ui-bundle.js",
    "favicon.png": SWAGGER_UI / "favicon-32x32.png",
}


@blueprint.get("/openapi.json")
@endpoint(
    returns=Document,
    headers=["ETag"],
    also={304: "The document hasn't changed."},
    uses_database=False,
)
def show_openapi() -> Response:
    """Get the OpenAPI document."""
    return send(_document(openapi.text(current_app, request.script_root)), "application/json")


def show_docs(name: str = "") -> Response:
    return send_file(FILES, name)


@blueprint.record
def _add_docs(state: BlueprintSetupState) -> None:
    """Add the paths only if DOCS_ENABLED."""
    if state.app.extensions["settings"].docs_enabled:
        state.add_url_rule("/docs", "show_docs", show_docs)
        state.add_url_rule("/docs/<name>", "show_docs", show_docs)


@lru_cache(maxsize=4)
def _document(text: str) -> Content:
    return Content.of(text.encode())
