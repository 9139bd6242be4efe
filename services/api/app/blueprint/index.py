"""The start page of the API."""

from flask import Blueprint, Response, request

from app.blueprint.schemas import Index
from app.config import APP_NAME, VERSION, current
from kit.web.endpoint import endpoint

blueprint = Blueprint("index", __name__)


@blueprint.get("/")
@endpoint(returns=Index, also={302: "Browsers are redirected to the documentation."}, uses_database=False)
def show() -> tuple[Index, dict[str, str]] | Response:
    """Get the API index. Browsers are redirected to the documentation."""
    vary = {"Vary": "Accept"}
    preferred = request.accept_mimetypes.best_match(["application/json", "text/html"])
    if preferred == "text/html" and current().docs_enabled:
        return Response(status=302, headers={"Location": "/docs", **vary})
    index = Index(
        name=APP_NAME,
        version=VERSION,
        documentation="/docs",
        openapi="/openapi.json",
        health="/health/ready",
    )
    return index, vary
