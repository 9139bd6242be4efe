"""GET /problems and /problems/<code>."""

from flask.testing import FlaskClient

from app.blueprint.handlers import PROBLEMS
from kit.web.problems import KIT_PROBLEMS
from tests.support.problems import FEATURES, problem, problems_of


def test_every_problem_has_its_page(client: FlaskClient) -> None:
    listed = client.get("/problems").json

    assert listed["next_cursor"] is None
    on = (feature for feature in FEATURES if feature != "app.cookies")
    every = (*KIT_PROBLEMS, *PROBLEMS, *problems_of(on))
    assert {item["code"] for item in listed["items"]} == {each.code for each in every}
    for item in listed["items"]:
        page = client.get(item["type"])
        assert (page.status_code, page.json) == (200, item)
        assert set(item) == {"type", "code", "status", "title", "meaning", "advice"}


def test_a_problem_is_found_by_its_code_in_either_spelling(client: FlaskClient) -> None:
    assert client.get("/problems/token_reused").json == client.get("/problems/token-reused").json


def test_an_unknown_problem_is_not_found(client: FlaskClient) -> None:
    for name in ("unknown", "Token-Reused", "token_reused-", ""):
        assert problem(client.get(f"/problems/{name}")) == (404, "not_found")
