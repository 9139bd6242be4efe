"""The start page of the API."""

from flask import Blueprint, Response, request

from app.blueprint.schemas import Index
from app.config import APP_NAME, VERSION, current
from kit.web.endpoint import endpoint

blueprint = Blueprint("index", __name__)


@blueprint.get("/")
@endpoint(
    query=None,
    returns=Index,
    also={302: "Browsers are redirected to the documentation."},
    uses_database=False,
)
def show() -> tuple[Index, dict[str, str]] | Response:
    """Get the API index. Browsers are redirected to the documentation."""
    vary, root = {"Vary": "Accept"}, request.script_root
    preferred = request.accept_mimetypes.best_match(["application/json", "text/html"])
    if preferred == "text/html" and current().docs_enabled:
        return Response(status=302, headers={"Location": f"{root}/docs", **vary})
    index = Index(
        name=APP_NAME,
        version=VERSION,
        documentation=f"{root}/docs",
        openapi=f"{root}/openapi.json",
        health=f"{root}/health/ready",
    )
    return index, vary
