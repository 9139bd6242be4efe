"""The maximum number of SQL statements of each route. More of them make it slower."""

import re
from typing import Any

import pytest

from app.events import Event
from app.model.models import User
from kit.data.base import Base
from kit.data.ownership import find_ownership
from kit.data.relations import links_of
from kit.data.soft_deletion import deletion_time, references_to, references_to_soft
from tests.support.credentials import PASSWORD, bearer
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
    "GET /verify-email": 0,
    "GET /reset-password": 0,
    "GET /mail-pages/page.css": 0,
    "GET /mail-pages/page.js": 0,
    "GET /problems": 0,
    "GET /problems/<name>": 0,
    "POST /auth/register": 5,
    "POST /auth/login": 8,  # one of them is only for a client that isn't known yet
    "POST /auth/refresh": 4,  # one of them deletes old tokens, about every seventh time
    "POST /auth/logout": 3,
    "GET /auth/token": 2,
    "PUT /auth/token/<token_id>": 6,
    "GET /account": 1,
    "PATCH /account": 8,
    "PUT /account": 15,  # three of them open the new session, one of these for a client that isn't known
    "DELETE /account": 6,
    "GET /account/events": 2,
    "GET /audit": 2,
    "GET /account/export": 1 + len(find_ownership(User).owned),
    "PUT /account/email": 11,
    "DELETE /account/email": 9,
    "GET /account/keys": 2,
    "POST /account/keys": 6,  # two of them lock the account and check the token again
    "GET /account/keys/<uuid:key_id>": 2,
    "PATCH /account/keys/<uuid:key_id>": 6,
    "DELETE /account/keys/<uuid:key_id>": 4,
    "POST /account/email/verification": 3,
    "POST /auth/email/verify": 8,
    "POST /auth/password-reset": 2,
    "POST /auth/password-reset/confirm": 14,
    "POST /auth/step-up": 12,
    "POST /auth/login/second-factor": 12,  # part: second-factor
    "GET /account/second-factor": 3,  # part: second-factor
    "POST /account/second-factor": 8,  # part: second-factor
    "POST /account/second-factor/confirmation": 12,  # part: second-factor
    "POST /account/second-factor/recovery-codes": 10,  # part: second-factor
    "DELETE /account/second-factor": 11,  # part: second-factor
    "DELETE /users/<uuid:user_id>/second-factor": 8,  # part: second-factor
    "GET /users": 2,
    "GET /users/<uuid:user_id>": 2,
    "PATCH /users/<uuid:user_id>": 8,
    "DELETE /users/<uuid:user_id>": 9,
}
# A generated resource: the caller, the row, and its change.
OTHERS = {"GET": 2, "POST": 2, "PATCH": 3, "PUT": 3, "DELETE": 3}
# Reading the links, and writing them: the linked rows are locked, and links are deleted and added.
OF_LINKS = {"GET": 1, "POST": 2, "PATCH": 4, "PUT": 4, "DELETE": 1}
UPLOAD = 9  # the caller twice, the row twice, the file, the change, and the job that deletes the file before
ROUTES = [row[0] for row in authorizations()[1]]  # every route, as another test checks


def has_parent(route: str) -> bool:
    """Return whether a generated view also reads the row whose children it lists."""
    return bool(re.fullmatch(r"GET /[\w-]+/<uuid:\w+>/[\w-]+", route))


def is_audited(route: str) -> bool:
    """Return whether a generated view also adds a row to the audit trail."""
    tag = operation_of(route).get("tags", [""])[0]
    return not route.startswith("GET") and f"{tag}_created" in set(Event)


def for_links(route: str) -> int:
    """Return how many more statements a generated view needs for many-to-many relationships."""
    tag = operation_of(route).get("tags", [""])[0]
    return sum(OF_LINKS[route.partition(" ")[0]] * len(links_of(model)) for model in models_of(tag))


def for_soft_deletion(route: str) -> int:
    """Return how many more statements a generated view needs because rows are deleted softly.

    A reference to such a row is looked up. A deletion locks the row, and looks for rows that refer to it.
    """
    method = route.partition(" ")[0]
    tables = [model.__table__ for model in models_of(operation_of(route).get("tags", [""])[0])]
    if method == "DELETE":
        return sum(1 + 2 * len(references_to(table)) for table in tables if deletion_time(table) is not None)
    return sum(len(references_to_soft(table)) for table in tables if method != "GET")


def models_of(tag: str) -> list[Any]:
    return [each.class_ for each in Base.registry.mappers if each.class_.__module__ == f"app.model.{tag}"]


@pytest.mark.parametrize("route", ROUTES)
def test_a_request_takes_no_more_statements_than_its_budget(people: People, route: str) -> None:
    method = route.partition(" ")[0]
    world = World(people)
    path, headers, content = world.path(route), world.headers(route), world.content(route)
    body = content.get("json")
    if body and "current_password" in body:
        body["current_password"] = PASSWORD
    if operation_of(route).get("security"):
        caller = world.caller(route)
        headers["Authorization"] = (
            f"Bearer {caller.refresh if route == 'POST /auth/refresh' else caller.access}"
        )

    more = is_audited(route) + has_parent(route) + for_links(route) + for_soft_deletion(route)
    of_method = UPLOAD if "data" in content else OTHERS[method]
    with assert_statements(BUDGET.get(route, of_method + more)):
        response = people.app.test_client().open(path, method=method, **content, headers=headers)

    has_no_file_yet = response.status_code == 404 and "206" in operation_of(route).get("responses", {})
    assert response.status_code < 300 or has_no_file_yet, response.text


def test_a_login_of_a_known_client_takes_no_statement_for_that(people: People) -> None:
    people.register("ann")
    client, body = people.app.test_client(), {"username": "ann", "password": PASSWORD}
    client.post("/auth/login", json=body)

    with assert_statements(BUDGET["POST /auth/login"] - 1):
        assert client.post("/auth/login", json=body).status_code == 200


def test_a_refresh_usually_deletes_nothing(people: People) -> None:
    ann = people("ann")

    with assert_statements(BUDGET["POST /auth/refresh"] - 1):
        assert ann.client.post("/auth/refresh", headers=bearer(ann.refresh)).status_code == 200


def test_a_refresh_takes_no_more_statements_however_often_it_is_repeated(people: People) -> None:
    ann = people("ann")
    token = ann.refresh
    for _ in range(35):
        with assert_statements(BUDGET["POST /auth/refresh"]):
            token = ann.client.post("/auth/refresh", headers=bearer(token)).json["refresh_token"]
