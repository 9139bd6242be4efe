"""Read problem details (RFC 9457) and check their format."""

from collections.abc import Iterable
from importlib import import_module

from werkzeug.test import TestResponse

from kit.web.problems import ProblemType

FEATURES: tuple[str, ...] = (
    "app.mail",
    "app.keys",
    "app.cookies",  # part: cookies
    "app.second_factor",  # part: second-factor
)


def problem(response: TestResponse) -> tuple[int, str]:
    """Return status and code of a problem, which must have exactly the contract's members."""
    body = response.get_json(force=True)
    members = {"type", "title", "status", "detail", "code", "request_id"}
    if body["code"] == "second_factor_required":
        members |= {"challenge", "challenge_expires_in"}
    assert response.content_type == "application/problem+json"
    assert set(body) - {"errors"} == members
    assert body["status"] == response.status_code
    assert body["type"] == f"/problems/{body['code'].replace('_', '-')}"
    assert body["request_id"] == response.headers["X-Request-ID"]
    return response.status_code, body["code"]


def errors(response: TestResponse) -> set[tuple[str, str]]:
    """Return where and why a 422 refused the request."""
    assert problem(response) == (422, "validation_failed")
    return {
        (error.get("pointer", error.get("parameter")), error["code"]) for error in response.json["errors"]
    }


def problems_of(features: Iterable[str]) -> list[ProblemType]:
    """Return the problems that optional features add."""
    return [problem for feature in features for problem in import_module(feature).PROBLEMS]
