"""The maximum number of SQL statements of each route. More of them make it slower."""

import pytest

from tests.support.credentials import PASSWORD
from tests.support.people import People
from tests.support.statements import assert_statements
from tests.support.world import World, authorizations, operation_of

pytestmark = pytest.mark.any_database

BUDGET = {
    "GET /": 0,
    "GET /openapi.json": 0,
    "GET /docs": 0,
    "GET /docs/<name>": 0,
    "GET /health/live": 0,
    "GET /health/ready": 2,
    "GET /problems": 0,
    "GET /problems/<name>": 0,
    "POST /auth/register": 2,
    "POST /auth/login": 6,
    "POST /auth/refresh": 4,
    "POST /auth/logout": 2,
    "GET /auth/token": 2,
    "PUT /auth/token/<token_id>": 5,
    "GET /account": 1,
    "PATCH /account": 6,
    "PUT /account": 8,
    "DELETE /account": 3,
    "GET /users": 2,
    "GET /users/<uuid:user_id>": 2,
    "PATCH /users/<uuid:user_id>": 7,
    "DELETE /users/<uuid:user_id>": 6,
}
# A generated resource: the caller, the row, and its change.
OTHERS = {"GET": 2, "POST": 2, "PATCH": 3, "PUT": 3, "DELETE": 3}
ROUTES = [row[0] for row in authorizations()[1]]  # every route, as another test checks


@pytest.mark.parametrize("route", ROUTES)
def test_a_request_takes_no_more_statements_than_its_budget(people: People, route: str) -> None:
    method = route.partition(" ")[0]
    world = World(people)
    path, body, headers = world.path(route), world.body(route), world.headers(route)
    if body and "current_password" in body:
        body["current_password"] = PASSWORD
    if operation_of(route).get("security"):
        caller = world.caller(route)
        headers["Authorization"] = (
            f"Bearer {caller.refresh if route == 'POST /auth/refresh' else caller.access}"
        )

    with assert_statements(BUDGET.get(route, OTHERS[method])):
        response = people.app.test_client().open(path, method=method, json=body, headers=headers)

    assert response.status_code < 300, response.text
