"""Conditional requests (RFC 9110, 13): functions that a view calls in a line."""

from hashlib import sha256

from flask import Response, request
from pydantic import BaseModel

from app.blueprint.handlers import PreconditionFailed, PreconditionRequired


def tagged(resource: BaseModel, **headers: str) -> tuple[BaseModel, dict[str, str]]:
    """Answer the resource with its ETag; GET then answers 304 to an If-None-Match that names it."""
    return resource, {"ETag": f'"{_etag(resource)}"', **headers}


def not_modified(response: Response) -> Response:
    """Empty the answer to a GET or HEAD whose If-None-Match names it."""
    if "If-None-Match" not in request.headers or request.method not in ("GET", "HEAD"):
        return response
    tag, _ = response.get_etag()
    if tag and request.if_none_match.contains_weak(tag):
        response.status_code, response.data = 304, b""
        del response.headers["Content-Length"], response.headers["Content-Type"]
    return response


def refuse_stale(resource: BaseModel, *, required: bool = False) -> None:
    """Raises PreconditionFailed if there is an If-Match and it does not name the resource as it is now,
    and PreconditionRequired if there is none where one is required."""
    if "If-Match" not in request.headers:
        if required:
            raise PreconditionRequired
    elif not request.if_match.contains(_etag(resource)):
        raise PreconditionFailed


def _etag(resource: BaseModel) -> str:
    return sha256(resource.model_dump_json().encode()).hexdigest()[:32]
