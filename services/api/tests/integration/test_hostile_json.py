"""Hundreds of hostile bodies for every operation with a body: they are refused and change nothing."""

import os
from dataclasses import dataclass

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app import create_app
from app.database import db
from kit.data.base import Base
from kit.errors import FIELD_CODES
from kit.web.read_only_fields import IGNORED
from tests.support import plain_http
from tests.support.credentials import PASSWORD
from tests.support.hostile_json import Hostile, ValidBody, corpus
from tests.support.people import People, Person
from tests.support.problems import problem
from tests.support.servers import Live
from tests.support.settings import NEVER_OPENED, settings_for
from tests.support.world import World, documented_schema, operation_of, routes

pytestmark = pytest.mark.any_database
NO_NAMES = ["", "ab", "a" * 65, "-ann", ".ann", "_ann", "an n", "ann ", " ann", "ann\n", "a\0n", "ann\x7f",
    "änn",
            "\u0430nn", "\u212aann", "\u0131nn", "\u017fann", "\uff41\uff4e\uff4e", "an😀", "a/n",
            "a@n.example", "ann\u200b", "\u202eann"]  # fmt: skip
NO_PASSWORDS = ["", "x" * 129, "a password with a \0 in it", "\0", "é" * 129, "😀" * 129, "e\u0301" * 129]
NEW_PASSWORD = "another horse, another staple"


@dataclass(frozen=True)
class Operation:
    """An operation with a body, and its status for a valid body."""

    method: str
    path: str
    valid: ValidBody
    success: int

    @property
    def step(self) -> int:
        """Return all bodies for one operation, and every fifth for the others, to save time."""
        return 1 if "FUZZ_EXAMPLES" in os.environ or self.path == "/auth/register" else 5


OPERATIONS = {
    "register": Operation(
        "POST",
        "/auth/register",
        ValidBody(
            {"username": "carol", "password": PASSWORD},
            ["username", "password"],
            {"username": NO_NAMES, "password": [*NO_PASSWORDS, "short", "carol carol", "a" * 15, "ab" * 9]},
        ),
        201,
    ),
    "login": Operation(
        "POST",
        "/auth/login",
        ValidBody(
            {"username": "ann", "password": PASSWORD},
            ["username", "password"],
            {"username": ["", "a" * 65, "a\0n"], "password": NO_PASSWORDS},
        ),
        200,
    ),
    "logout": Operation(
        "POST",
        "/auth/logout",
        ValidBody(
            {"scope": "session"},
            [],
            {"scope": ["", "SESSION", "session ", "sessions", "others,all", "none", "\0"]},
        ),
        204,
    ),
    "change_token": Operation(
        "PUT", "/auth/token/{token}", ValidBody({"revoke": True}, ["revoke"], ignored=IGNORED), 200
    ),
    "change": Operation(
        "PATCH",
        "/account",
        ValidBody(
            {"username": "Ann", "password": NEW_PASSWORD, "current_password": PASSWORD},
            ["current_password"],
            {"username": NO_NAMES, "password": [*NO_PASSWORDS, "short"], "current_password": NO_PASSWORDS},
            IGNORED,
        ),
        200,
    ),
    "replace": Operation(
        "PUT",
        "/account",
        ValidBody(
            {"username": "Ann", "password": NEW_PASSWORD, "current_password": PASSWORD},
            ["username", "password", "current_password"],
            {"username": NO_NAMES, "password": [*NO_PASSWORDS, "short"], "current_password": NO_PASSWORDS},
            IGNORED,
        ),
        200,
    ),
}


# The bodies of other resources, including generated ones, come from the document.
OTHERS = sorted(
    route
    for route in routes(create_app(settings_for(NEVER_OPENED)))
    if "requestBody" in operation_of(route) and operation_of(route)["tags"][0] not in ("auth", "account")
)


def rows(app: Flask) -> dict[str, list[str]]:
    """Return every row of every table."""
    with app.app_context():
        return {
            table.name: sorted(repr(row) for row in db.session.execute(table.select()))
            for table in Base.metadata.sorted_tables
        }


def verdict(response: TestResponse, hostile: Hostile) -> str | None:
    """Return why the response to a hostile body is wrong, or an empty string."""
    try:
        answered = problem(response)
    except (AssertionError, AttributeError, KeyError, TypeError) as reason:
        return f"{hostile.name}: {response.status_code}, not a valid problem ({reason})"
    if answered != (hostile.status, "malformed_json" if hostile.status == 400 else "validation_failed"):
        return f"{hostile.name}: {answered} instead of {hostile.status}"
    errors = response.get_json().get("errors", [])
    if bool(errors) != (hostile.status == 422):
        return f"{hostile.name}: {len(errors)} errors"
    for error in errors:
        if (
            set(error) != {"pointer", "code", "detail"}
            or error["code"] not in FIELD_CODES
            or not error["detail"]
        ):
            return f"{hostile.name}: {error}"
        if (error["pointer"], error["code"]) == ("", "invalid_format"):
            return f"{hostile.name}: the error has no pointer"
    return None


@pytest.mark.parametrize("name", OPERATIONS)
def test_hostile_json_is_refused_and_changes_nothing(
    app: Flask, ann: Person, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)  # report bugs as 500 responses
    operation = OPERATIONS[name]
    token = ann.get("/auth/token").json["items"][0]["id"]
    before = rows(app)

    def send(raw: bytes) -> TestResponse:
        path = operation.path.format(token=token)
        return ann.client.open(
            path, method=operation.method, headers=ann.headers, data=raw, content_type="application/json"
        )

    hostiles = corpus(operation.valid)
    verdicts = [verdict(send(hostile.raw), hostile) for hostile in hostiles[:: operation.step]]

    assert [reason for reason in verdicts if reason] == []
    assert rows(app) == before
    assert len(hostiles) >= 600
    assert send(operation.valid.text().encode()).status_code == operation.success


@pytest.mark.parametrize("route", OTHERS)
def test_other_resources_refuse_hostile_json_too(
    app: Flask, people: People, route: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Invalid values of fields are tested with each resource."""
    monkeypatch.setitem(app.config, "PROPAGATE_EXCEPTIONS", False)
    world = World(people)
    path, body, caller = world.path(route), world.body(route) or {}, world.caller(route)
    schema = documented_schema(operation_of(route)["requestBody"]["content"]["application/json"]["schema"])
    ignored = IGNORED if route.startswith(("PUT", "PATCH")) else frozenset[str]()
    valid = ValidBody(body, schema.get("required", []), ignored=ignored)
    own_values = tuple(f"{name} is " for name in body)
    before = rows(app)

    def send(raw: bytes) -> TestResponse:
        return caller.client.open(
            path,
            method=route.partition(" ")[0],
            headers=caller.headers | world.headers(route),
            data=raw,
            content_type="application/json",
        )

    hostiles = [hostile for hostile in corpus(valid) if not hostile.name.startswith(own_values)]
    verdicts = [verdict(send(hostile.raw), hostile) for hostile in hostiles[::5]]

    assert [reason for reason in verdicts if reason] == []
    assert rows(app) == before
    assert len(hostiles) >= 600
    assert send(valid.text().encode()).status_code < 300


def test_after_any_hostile_body_the_next_request_is_answered(live: Live) -> None:
    url, _ = live

    with plain_http.Client(base_url=url) as client:
        for hostile in corpus(OPERATIONS["register"].valid)[::16]:
            refused = client.post(
                "/auth/register", content=hostile.raw, headers={"Content-Type": "application/json"}
            )
            assert refused.status_code == hostile.status, hostile.name
            assert client.get("/health/live").status_code == 200
