"""REQUIRE_SECOND_FACTOR: an account that must add a factor can do nothing else. And apps without it."""

from collections.abc import Callable, Iterator
from unittest import mock

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from app.account_factor import AccountFactor
from app.model.models import Role
from app.second_factor.required_factor import RequiredFactor
from kit.web import openapi
from tests.support.authenticator import Authenticator, add_factor
from tests.support.credentials import PASSWORD, bearer
from tests.support.documented import documented_paths
from tests.support.people import People, Person
from tests.support.problems import problem
from tests.support.settings import NEVER_OPENED, settings_for
from tests.support.world import World, authorizations, operation_of

pytestmark = pytest.mark.any_database
REFUSED = (403, "second_factor_enrolment_required")
PERMITTED = {
    "GET /account/second-factor",
    "POST /account/second-factor",
    "POST /account/second-factor/confirmation",
    "POST /auth/logout",
    "POST /auth/refresh",
    "POST /auth/step-up",
}
ROUTES = [row[0] for row in authorizations()[1] if operation_of(row[0]).get("security")]


@pytest.fixture
def require(app: Flask) -> Iterator[Callable[[str], None]]:
    """Return a function that changes the setting of the running app."""
    settings = app.extensions["settings"]

    def change(value: str) -> None:
        patch.setitem(
            app.extensions, "settings", settings.model_copy(update={"require_second_factor": value})
        )
        patch.setitem(app.extensions, "account_factor", RequiredFactor(value))

    with pytest.MonkeyPatch.context() as patch:
        yield change


@pytest.mark.parametrize("route", ROUTES)
def test_an_account_that_needs_a_factor_can_only_add_one(
    app: Flask, people: People, require: Callable[[str], None], route: str
) -> None:
    world = World(people)
    path, body, headers = world.path(route), world.body(route), world.headers(route)
    person = people("eve", Role.ADMIN)
    token = person.refresh if route == "POST /auth/refresh" else person.access
    require("all")

    response = app.test_client().open(
        path, method=route.partition(" ")[0], json=body, headers=headers | bearer(token), buffered=True
    )

    code = (response.get_json(silent=True) or {}).get("code")
    assert (code == REFUSED[1]) == (route not in PERMITTED), response.text


@pytest.mark.parametrize(
    ("setting", "role", "refused"),
    [
        ("none", Role.USER, False),
        ("none", Role.ADMIN, False),
        ("admins", Role.USER, False),
        ("admins", Role.ADMIN, True),
        ("all", Role.USER, True),
        ("all", Role.ADMIN, True),
    ],
)
def test_the_setting_says_which_accounts_need_a_factor(
    people: People, require: Callable[[str], None], setting: str, role: Role, refused: bool
) -> None:
    person = people("ann", role)
    require(setting)

    without = person.get("/account")
    add_factor(people.app, person)
    with_factor = person.get("/account")

    assert (without.status_code == 403) == refused
    assert with_factor.status_code == 200


def test_the_last_admin_can_add_a_factor_with_a_session_of_any_age(
    app: Flask, client: FlaskClient, people: People, require: Callable[[str], None]
) -> None:
    people.register("root", Role.ADMIN)
    require("admins")
    pair = client.post("/auth/login", json={"username": "root", "password": PASSWORD}).json
    stale = client.post("/auth/refresh", headers=bearer(pair["refresh_token"])).json["access_token"]
    body = {"current_password": PASSWORD}

    refused = client.get("/users", headers=bearer(stale))
    fresh = bearer(client.post("/auth/step-up", json=body, headers=bearer(stale)).json["access_token"])
    started = client.post("/account/second-factor", json=body, headers=fresh).json
    code = Authenticator(started["secret"]).code()
    confirmed = client.post("/account/second-factor/confirmation", json={"code": code}, headers=bearer(stale))

    assert problem(refused) == REFUSED
    assert confirmed.status_code == 200
    assert client.get("/users", headers=bearer(stale)).status_code == 200


def test_a_new_admin_needs_a_factor_at_once(
    people: People, ann: Person, require: Callable[[str], None]
) -> None:
    root = people("root", Role.ADMIN)
    add_factor(people.app, root)
    require("admins")

    before = ann.get("/account").status_code
    root.patch(f"/users/{ann.id}", json={"role": "admin"})
    after = ann.get("/account")

    assert before == 200
    assert problem(after) == REFUSED


def test_the_document_lists_the_refusal_where_it_occurs() -> None:
    listed = {
        f"{method.upper()} {path}"
        for path, methods in documented_paths(require_second_factor="admins").items()
        for method, operation in methods.items()
        if REFUSED[1] in str(operation["responses"].get("403"))
    }
    secured = {
        f"{method.upper()} {path}"
        for path, methods in documented_paths(require_second_factor="admins").items()
        for method, operation in methods.items()
        if operation["security"]
    }

    assert listed == secured - PERMITTED
    assert REFUSED[1] not in str(documented_paths())


def test_an_app_without_the_feature_has_no_trace_of_it() -> None:
    with mock.patch("app.second_factor.init_app"):
        app = create_app(settings_for(NEVER_OPENED, require_second_factor="all"))

    text = openapi.text(app)
    assert not [rule for rule in app.url_map.iter_rules() if "second-factor" in rule.rule]
    assert not [
        word for word in ("second factor", "second_factor", "invalid_code", "recovery") if word in text
    ]
    assert "second-factor" not in app.cli.commands


def test_an_app_without_the_feature_logs_in_and_steps_up_with_the_password(
    app: Flask, client: FlaskClient, ann: Person
) -> None:
    with mock.patch.dict(app.extensions, account_factor=AccountFactor()):
        login = client.post("/auth/login", json={"username": "ann", "password": PASSWORD})
        step = ann.post("/auth/step-up", {"current_password": PASSWORD})

    assert (login.status_code, step.status_code) == (200, 200)
