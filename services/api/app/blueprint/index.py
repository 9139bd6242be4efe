"""The entrance: what this API is, and where to go on."""

from flask import Blueprint, Response, request

from app.blueprint.endpoint import endpoint
from app.blueprint.schemas import Index
from app.config import APP_NAME, VERSION, current

blueprint = Blueprint("index", __name__)


@blueprint.get("/")
@endpoint(returns=Index, also={302: "A browser is sent to the documentation."}, uses_database=False)
def show() -> tuple[Index, dict[str, str]] | Response:
    """Tell what this API is and where to go on. A browser is sent to the documentation."""
    vary = {"Vary": "Accept"}
    prefers = request.accept_mimetypes.best_match(["application/json", "text/html"])
    if prefers == "text/html" and current().docs_enabled:
        return Response(status=302, headers={"Location": "/docs", **vary})
    index = Index(
        name=APP_NAME,
        version=VERSION,
        documentation="/docs",
        openapi="/openapi.json",
        health="/health/ready",
    )
    return index, vary
