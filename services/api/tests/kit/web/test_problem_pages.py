"""GET /problems and /problems/<code>."""

from flask.testing import FlaskClient

from app.blueprint.handlers import PROBLEMS
from kit.web.problems import KIT_PROBLEMS
from tests.support.problems import problem


def test_every_problem_has_its_page(client: FlaskClient) -> None:
    listed = client.get("/problems").json

    assert listed["next_cursor"] is None
    assert {item["code"] for item in listed["items"]} == {each.code for each in (*KIT_PROBLEMS, *PROBLEMS)}
    for item in listed["items"]:
        page = client.get(item["type"])
        assert (page.status_code, page.json) == (200, item)
        assert set(item) == {"type", "code", "status", "title", "meaning", "advice"}


def test_an_unknown_problem_is_not_found(client: FlaskClient) -> None:
    for name in ("unknown", "token_reused", "Token-Reused", ""):
        assert problem(client.get(f"/problems/{name}")) == (404, "not_found")
