"""Read problem details (RFC 9457) and check their format."""

from werkzeug.test import TestResponse


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
