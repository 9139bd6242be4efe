"""This API's own description, for people and for programs."""

from flask import Blueprint, Response, current_app

from app.blueprint import openapi
from app.blueprint.conditional import not_modified
from app.blueprint.endpoint import endpoint
from app.blueprint.schemas import Document

blueprint = Blueprint("documentation", __name__)


@blueprint.get("/openapi.json")
@endpoint(
    returns=Document,
    headers=["ETag"],
    also={304: "The document is the one that you have."},
    uses_database=False,
)
def show_openapi() -> Response:
    """Answer this document, OpenAPI 3.1."""
    response = Response(openapi.text(current_app), content_type="application/json")
    response.add_etag()
    response.headers["Cache-Control"] = "no-cache"
    return not_modified(response)
