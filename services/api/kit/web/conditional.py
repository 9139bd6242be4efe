"""Conditional requests (RFC 9110, section 13)."""

import re
from hashlib import sha256

from flask import Response, request
from werkzeug.datastructures import ETags

from kit.web import read_only_fields
from kit.web.errors import PreconditionFailed, PreconditionRequired
from kit.web.schemas import ResponseBody

CODING = re.compile("[-;](gzip|br|zstd|deflate)$")


def set_etag(response: Response) -> Response:
    """Set the ETag of a successful response that has none, unless it is streamed. Return it or a 304."""
    is_complete = isinstance(response.response, list) and not response.direct_passthrough
    if response.status_code in (200, 201) and is_complete and "ETag" not in response.headers:
        response.headers["ETag"] = f'"{_tag(response.data)}"'
    return not_modified(response)


def not_modified(response: Response) -> Response:
    """Turn a 200 to GET or HEAD into a 304 if If-None-Match names its ETag (RFC 9110, section 13.2)."""
    if "If-None-Match" not in request.headers or request.method not in ("GET", "HEAD"):
        return response
    if response.status_code != 200:
        return response
    tag, _ = response.get_etag()
    if tag and request.if_none_match.contains_weak(tag):
        response.status_code, response.data = 304, b""
        del response.headers["Content-Length"], response.headers["Content-Type"]
    return response


def check_if_match(schema: type[ResponseBody], row: object, *, required: bool = False) -> None:
    """Compare If-Match with the ETag of a row, represented by a schema. Call it after locking the row.

    Compares the read-only fields in the body with the row, too. Raises PreconditionFailed, ValidationFailed,
    and PreconditionRequired if there is no If-Match although it is required.
    """
    read_only_fields.check(schema, row)
    if "If-Match" not in request.headers:
        if required:
            raise PreconditionRequired
    elif not _is_named(_tag_of(schema, row), request.if_match):
        raise PreconditionFailed


def etag_of(schema: type[ResponseBody], row: object) -> str:
    """Return the ETag of a row, for a response that contains more than its representation by the schema."""
    return f'"{_tag_of(schema, row)}"'


def etag_with_related(body: ResponseBody, with_related: ResponseBody) -> str:
    """Return the ETag of a body that contains related resources: it begins with the ETag of the body alone.

    So If-None-Match notices a change of any of them, and If-Match only compares what it is about to change.
    """
    return f'"{_tag_of_body(body)}.{_tag_of_body(with_related)}"'


def _is_named(tag: str, given: ETags) -> bool:
    """Return whether the client has this version. Proxies that compress responses change the ETag.

    nginx and Cloudflare make it weak. Apache and Caddy append the content coding.
    """
    return given.star_tag or any(
        CODING.sub("", each or "").partition(".")[0] == tag for each in given.as_set(include_weak=True)
    )


def _tag_of(schema: type[ResponseBody], row: object) -> str:
    return _tag_of_body(schema.of(row))


def _tag_of_body(body: ResponseBody) -> str:
    return _tag(body.model_dump_json().encode())


def _tag(representation: bytes) -> str:
    return sha256(representation).hexdigest()[:32]
