"""The OpenAPI document, and a check of each response's status against it."""

import re
from functools import cache
from typing import Any

from flask import Response, request

from app import create_app
from kit.web import openapi
from tests.support.settings import NEVER_OPENED, settings_for


@cache
def documented() -> dict[str, Any]:
    """Return the OpenAPI document."""
    return openapi.build(create_app(settings_for(NEVER_OPENED)))


def documented_paths() -> dict[str, Any]:
    return dict(documented()["paths"])


def refuse_undocumented(response: Response) -> Response:
    """Fail the test, whichever it is, that is answered a status which the document does not name."""
    path = re.sub(r"<(?:uuid:)?(\w+)>", r"{\1}", str(request.url_rule))
    operation = documented_paths().get(path, {}).get(request.method.lower())
    # Not the operation's own: a defect of ours, which one test makes, and a second spelling of its path.
    if operation and response.status_code != 500 and b'"not_found"' not in response.data:
        assert str(response.status_code) in operation["responses"], f"{request.method} {path}"
    return response
