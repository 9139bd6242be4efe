"""Request ids: in responses, problems and the log. Trace ids: in the log."""

import re
from random import getrandbits
from uuid import UUID

from flask import g, request

FORM = re.compile(r"[A-Za-z0-9._-]{1,128}")
# W3C Trace Context. Version ff and ids of zeros are invalid. Versions after 00 may add fields.
TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?"
)


def request_id() -> str:
    """Return the id of this request: the client's X-Request-ID if it is valid, else a new one."""
    kept = vars(g)
    if "request_id" not in kept:
        kept["request_id"] = choose(request.headers.get("X-Request-ID", ""))
    return str(kept["request_id"])


def trace_ids() -> dict[str, str]:
    """Return the ids in the client's traceparent, or nothing if it has none or an invalid one."""
    given = request.environ.get("HTTP_TRACEPARENT")
    match = TRACEPARENT.fullmatch(given) if given else None
    if not match or (match[1] == "00" and match[4]):
        return {}
    return {"trace_id": match[2], "parent_span_id": match[3]}


def choose(given: str) -> str:
    """Return the client's id if it is valid, else a new one.

    Clients choose ids, so new ones needn't be unpredictable. uuid4() asks the kernel, and releases the GIL.
    """
    return given if FORM.fullmatch(given) else str(UUID(int=getrandbits(128), version=4))  # nosec B311
