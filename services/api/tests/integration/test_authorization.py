"""Authorization: every route with every kind of caller, compared with tests/authorization.md."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import pytest
import time_machine
from flask import Flask

from app.authentication import REFRESH_TOKEN
from app.database import db
from app.model.models import Role, User
from kit.clock import now
from kit.web.endpoint import declared_scopes
from tests.support.credentials import bearer
from tests.support.keys import make_key
from tests.support.people import People
from tests.support.world import World, authorizations, routes, routes_for_recent_logins, scope_of

pytestmark = pytest.mark.any_database


HEADER, ROWS = authorizations()
CALLERS = HEADER[1:]


def _disabled(world: World, _: str) -> str:
    """Disable an account but keep its session, unlike the API."""
    db.session.get_one(User, UUID(world.owner.id)).disabled = True
    db.session.commit()
    return world.owner.access


def _revoked(world: World, _: str) -> str:
    session = world.people.log_in("owner")
    assert session.post("/auth/logout").status_code == 204
    return session.access


def _expired(world: World, _: str) -> str:
    with time_machine.travel(now() - timedelta(hours=1), tick=False):
        return world.people.log_in("owner").access


def _with_role(role: Role) -> Callable[[World, str], str]:
    """Return a caller with this role, who owns none of the rows."""
    return lambda world, _: world.people(role.value, role).access


def _key_with(world: World, route: str) -> str:
    scope = scope_of(world.people.app, route)
    return make_key(world.caller(route), *([scope] if scope else declared_scopes(world.people.app)))


def _key_without(world: World, route: str) -> str:
    others = set(declared_scopes(world.people.app)) - {scope_of(world.people.app, route)}
    return make_key(world.caller(route), *others)


# Owner and other have the role user. Every other role has a column with its name.
ROLES = {role.value: _with_role(role) for role in Role if role != Role.USER}
TOKENS: dict[str, Callable[[World, str], str]] = {
    "anonymous": lambda *_: "",
    "owner": lambda world, _: world.owner.access,
    "other": lambda world, _: world.people("other").access,
    **ROLES,
    "disabled": _disabled,
    "revoked": _revoked,
    "expired": _expired,
    "refresh": lambda world, _: world.owner.refresh,
    "key with the scope": _key_with,
    "key without": _key_without,
}


@contextmanager
def undone(app: Flask) -> Iterator[None]:
    """Roll back the changes of each caller."""
    with app.app_context():
        savepoint = db.engines[None].begin_nested()  # type: ignore[attr-defined]
        yield
        db.session.remove()
        savepoint.rollback()


def test_every_route_has_its_row(app: Flask) -> None:
    rows = [row[0] for row in ROWS]

    without_row, without_route = sorted(routes(app) - set(rows)), sorted(set(rows) - routes(app))

    assert not without_row, f"Add a row to tests/authorization.md for each: {without_row}"
    assert not without_route, f"Remove the rows of routes that no longer exist: {without_route}"
    assert len(set(rows)) == len(rows)
    assert {len(row) for row in ROWS} == {len(HEADER)}


def test_every_kind_of_caller_has_its_column() -> None:
    without_column, unknown = sorted(set(TOKENS) - set(CALLERS)), sorted(set(CALLERS) - set(TOKENS))

    assert not without_column, f"Add a column to tests/authorization.md for each: {without_column}"
    assert not unknown, f"Remove the columns of roles that no longer exist: {unknown}"
    assert len(set(CALLERS)) == len(CALLERS)


def test_every_route_declares_whether_api_keys_may_use_it(app: Flask) -> None:
    undeclared = [
        f"{rule.rule} ({rule.endpoint})"
        for rule in app.url_map.iter_rules()
        if (declaration := getattr(app.view_functions[rule.endpoint], "declaration", None))
        and declaration.auth not in (None, REFRESH_TOKEN)
        and declaration.keys
        and not declaration.scope
    ]

    assert not undeclared, f'Declare scope="notes:read" or keys=False in @endpoint of each: {undeclared}'


@pytest.mark.parametrize("route", [row[0] for row in ROWS])
def test_only_the_listed_routes_require_a_recent_login(app: Flask, people: People, route: str) -> None:
    world = World(people)
    refreshed = app.test_client().post("/auth/refresh", headers=bearer(world.chief.refresh)).json
    path, content, headers = world.path(route), world.content(route), world.headers(route)
    token = refreshed["refresh_token" if route == "POST /auth/refresh" else "access_token"]

    response = app.test_client().open(
        path, method=route.partition(" ")[0], **content, headers=headers | bearer(token), buffered=True
    )

    code = (response.get_json(silent=True) or {}).get("code")
    assert (code == "fresh_token_required") == (route in routes_for_recent_logins()), response.text


@pytest.mark.parametrize(
    ("route", "expected"), [(row[0], row[1:]) for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_every_caller_gets_the_status_in_the_table(
    app: Flask, people: People, route: str, expected: list[str]
) -> None:
    answered = {}

    for caller in CALLERS:
        with undone(app):
            world = World(people)
            path, content, headers = world.path(route), world.content(route), world.headers(route)
            token = TOKENS[caller](world, route)
            response = app.test_client().open(
                path,
                method=route.partition(" ")[0],
                **content,
                headers=headers | (bearer(token) if token else {}),
                buffered=True,  # also reads and closes streams
            )
            answered[caller] = str(response.status_code)

    assert answered == dict(zip(CALLERS, expected, strict=True))
