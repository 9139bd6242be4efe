"""Request ids: in responses, problems and the log."""

import re
from uuid import uuid4

from flask import g, request

FORM = re.compile(r"[A-Za-z0-9._-]{1,128}")


def request_id() -> str:
    """Return the id of this request: the client's X-Request-ID if it is valid, else a new one."""
    kept = vars(g)
    if "request_id" not in kept:
        kept["request_id"] = choose(request.headers.get("X-Request-ID", ""))
    return str(kept["request_id"])


def choose(given: str) -> str:
    return given if FORM.fullmatch(given) else str(uuid4())
