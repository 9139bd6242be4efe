"""Conditional requests (RFC 9110, section 13)."""

from hashlib import sha256

from flask import Response, request

from kit.web.errors import PreconditionFailed, PreconditionRequired
from kit.web.schemas import ResponseBody


def set_etag(response: Response) -> Response:
    """Set the ETag of a response, and empty it if the client has it already (304)."""
    response.headers["ETag"] = f'"{_tag(response.data)}"'
    return not_modified(response)


def not_modified(response: Response) -> Response:
    """Turn the response to GET or HEAD into a 304 if If-None-Match names its ETag."""
    if "If-None-Match" not in request.headers or request.method not in ("GET", "HEAD"):
        return response
    tag, _ = response.get_etag()
    if tag and request.if_none_match.contains_weak(tag):
        response.status_code, response.data = 304, b""
        del response.headers["Content-Length"], response.headers["Content-Type"]
    return response


def check_if_match(schema: type[ResponseBody], row: object, *, required: bool = False) -> None:
    """Compare If-Match with the ETag of a row, represented by a schema. Call it after locking the row.

    Raises PreconditionFailed, and PreconditionRequired if there is no If-Match although it is required.
    """
    if "If-Match" not in request.headers:
        if required:
            raise PreconditionRequired
    elif not request.if_match.contains(_tag(schema.of(row).model_dump_json().encode())):
        raise PreconditionFailed


def _tag(representation: bytes) -> str:
    return sha256(representation).hexdigest()[:32]
