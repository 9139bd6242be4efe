"""The OpenAPI document, and a check of each response against it."""

import json
import re
from functools import cache
from typing import Any

from flask import Flask, Response, current_app, request

from app import create_app
from app.model.models import Role
from kit.web import openapi
from kit.web.problems import MEDIA_TYPE, all_problems
from tests.support.settings import NEVER_OPENED, settings_for

OPTIONS: tuple[str, ...] = (
    "browser_cookies",  # part: cookies
    "require_second_factor",  # part: second-factor
)


@cache
def documented(**settings: str) -> dict[str, Any]:
    """Return the OpenAPI document."""
    return openapi.build(create_app(settings_for(NEVER_OPENED, **settings)))


def documented_paths(**settings: str) -> dict[str, Any]:
    return dict(documented(**settings)["paths"])


def roles_of(operation: dict[str, Any]) -> list[Role]:
    """Return the roles that may use a documented operation. Without one, every account may."""
    named = [Role(name) for need in operation.get("security", ()) for name in need.get("access_token", ())]
    return named or [Role.USER]


def refuse_undocumented(response: Response) -> Response:
    """Fail the test if the document doesn't list the response's status, or the code of its problem."""
    path = re.sub(r"<(?:uuid:)?(\w+)>", r"{\1}", str(request.url_rule))
    settings = current_app.extensions["settings"]
    paths = documented_paths(**{name: getattr(settings, name) for name in OPTIONS})
    operation = paths.get(path, {}).get(request.method.lower())
    code = json.loads(response.get_data())["code"] if response.mimetype == MEDIA_TYPE else ""
    # Any path can be not found, if it is spelled in another way. A 500 is a bug, which some tests provoke.
    if operation and response.status_code != 500 and code != "not_found":
        listed = operation["responses"].get(str(response.status_code))
        if listed is None or (code and code not in listed["content"][MEDIA_TYPE]["examples"]):
            answer = f"{response.status_code} {code}".rstrip()
            raise AssertionError(
                f"{request.method} {path} answered {answer}, which the OpenAPI document doesn't list. "
                f"{_remedy(current_app, code)}"
            )
    return response


def _remedy(app: Flask, code: str) -> str:
    view = app.view_functions[str(request.endpoint)]
    name = f"{view.__module__}.{view.__name__}"
    if not code:
        return f"Add the status to also= of {name}."
    error = next(problem.errors[0].__name__ for problem in all_problems(app) if problem.code == code)
    return f"Add {error} to raises= of {name}."
