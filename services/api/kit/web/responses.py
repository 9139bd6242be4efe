"""Responses that aren't JSON: their media types in the OpenAPI document, and stored files."""

import mimetypes
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import quote

from flask import Response, request
from werkzeug.exceptions import RequestedRangeNotSatisfiable
from werkzeug.http import parse_range_header
from werkzeug.wsgi import FileWrapper, wrap_file

CHUNK_BYTES = 65_536
# What browsers may show on a page of the API. Any other type could contain scripts, so it is only downloaded.
SHOWN = ("image/avif", "image/gif", "image/jpeg", "image/png", "image/webp")
NOT_A_TOKEN = re.compile(r"[^A-Za-z0-9!#$&+.^_`|~ -]")


@dataclass(frozen=True, init=False)
class FileResponse:
    """The media types of a view's responses, for the OpenAPI document: `returns=FileResponse("image/png")`.

    With `ranges`, the view answers with `send_file`, which understands Range and If-None-Match.
    """

    media_types: Sequence[str]
    ranges: bool

    def __init__(self, *media_types: str, ranges: bool = False) -> None:
        object.__setattr__(self, "media_types", media_types)
        object.__setattr__(self, "ranges", ranges)

    def checked(self, response: object) -> Response:
        """Return the view's response. Raises TypeError if it isn't what the view declares."""
        if not isinstance(response, Response):
            raise TypeError(f"The view declares a FileResponse, but returns {type(response).__name__}.")
        has_body = response.status_code not in (204, 304)
        if has_body and response.mimetype not in self.media_types:
            raise TypeError(f"The view returns {response.mimetype}, which its FileResponse doesn't declare.")
        return response


def disposition(name: str, *, inline: bool = False) -> str:
    """Return the value of Content-Disposition for a file name in any language (RFC 6266, RFC 8187)."""
    kind = "inline" if inline else "attachment"
    name = name or "file"
    plain = NOT_A_TOKEN.sub("_", name)
    extended = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'{kind}; filename="{plain}"{extended}'


def send_file(file: IO[bytes], *, size: int, media_type: str, name: str, etag: str) -> Response:
    """Return a stored file, a part of it (Range), or 304 (If-None-Match). `name` needs no ending.

    The server closes the file. Raises RequestedRangeNotSatisfiable.
    """
    is_shown = media_type in SHOWN
    is_local = hasattr(file, "fileno")
    # waitress reads a local file in its I/O thread, which mustn't wait for another server.
    body = wrap_file(request.environ, file, CHUNK_BYTES) if is_local else FileWrapper(file, CHUNK_BYTES)
    response = Response(body, content_type=media_type, direct_passthrough=is_local)
    response.call_on_close(file.close)
    ending = mimetypes.guess_extension(media_type) or ""
    response.headers["Content-Disposition"] = disposition(f"{name}{ending}", inline=is_shown)
    response.headers["Cache-Control"] = "no-cache"  # to be stored, but checked each time
    response.content_length = size
    response.set_etag(etag)
    try:
        response.make_conditional(_conditions(size, etag), accept_ranges=True, complete_length=size)
    except RequestedRangeNotSatisfiable:
        file.close()
        raise
    if request.method == "HEAD" or response.status_code == 304:  # the body isn't used
        file.close()
    return response


def _conditions(size: int, etag: str) -> dict[str, Any]:
    """Return the request's environment with only those conditions and ranges that count.

    A matching If-None-Match is a 304, without a part. If-Match is for changes. A unit other than bytes and
    several ranges are ignored (RFC 9110, section 14.2).
    """
    environ = {name: value for name, value in request.environ.items() if name != "HTTP_IF_MATCH"}
    given = environ.get("HTTP_RANGE", "")
    found = parse_range_header(given)
    is_single = found is None or len(found.ranges) == 1
    is_bytes = given.partition("=")[0].strip().lower() == "bytes"
    if not (is_single and is_bytes) or request.if_none_match.contains_weak(etag):
        environ.pop("HTTP_RANGE", None)
    elif found and found.ranges[0][0] < -size:  # more than there is, counted from the end
        environ["HTTP_RANGE"] = "bytes=0-"
    return environ
