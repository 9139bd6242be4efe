"""Path, body and headers of a valid request to any route, including those of generated resources.

The OpenAPI document has the examples. Rows come from the factories in tests/factories, or else from a POST
of the document's example to the collection.
"""

import re
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any
from uuid import UUID, uuid4

from flask import Flask

from app.database import db
from app.model.links import LinkRepository, Purpose
from app.model.models import Role, User
from tests.support.authenticator import add_challenge, add_factor, start_factor
from tests.support.documented import documented, roles_of
from tests.support.paths import API
from tests.support.people import People, Person

VARIABLE = re.compile(r"<(?:\w+:)?(\w+)>")
LINKS = {
    "POST /auth/email/verify": Purpose.VERIFY_EMAIL,
    "POST /auth/password-reset/confirm": Purpose.RESET_PASSWORD,
}
# part: second-factor
WITH_FACTOR = (
    "POST /account/second-factor/recovery-codes",
    "DELETE /account/second-factor",
    "POST /auth/login/second-factor",
    "DELETE /users/<uuid:user_id>/second-factor",
)
# end of part
NAMES = {"/docs/": "swagger-ui.css", "/problems/": "not-found"}


def routes(app: Flask) -> set[str]:
    """Return all routes, such as `GET /users/<uuid:user_id>`."""
    return {
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def scope_of(app: Flask, route: str) -> str | None:
    """Return the scope that an API key needs for a route, or None if none may use it."""
    method, _, path = route.partition(" ")
    rules = (
        rule for rule in app.url_map.iter_rules() if rule.rule == path and method in (rule.methods or ())
    )
    views = (app.view_functions[rule.endpoint] for rule in rules)
    return next((view.declaration.scope for view in views if hasattr(view, "declaration")), None)


def authorizations() -> tuple[list[str], list[list[str]]]:
    """Return the table of tests/authorization.md: its header and its rows, which begin with a route."""
    text = (API / "tests/authorization.md").read_text(encoding="utf-8")
    lines = [re.sub(" *<!--.*?-->", "", line) for line in text.splitlines() if line.startswith("|")]
    header, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return header, rows


def routes_for_recent_logins() -> set[str]:
    """Return the routes that tests/authorization.md lists because they require a recent login."""
    text = (API / "tests/authorization.md").read_text(encoding="utf-8")
    return set(re.findall(r"^- ([A-Z]+ /\S+)", text, re.MULTILINE))


def operation_of(route: str) -> dict[str, Any]:
    """Return the documented operation of a route, or an empty dict for HTML pages."""
    method, _, rule = route.partition(" ")
    return dict(documented()["paths"].get(VARIABLE.sub(r"{\1}", rule), {}).get(method.lower(), {}))


def documented_schema(reference: dict[str, str]) -> dict[str, Any]:
    """Return the schema that a `$ref` refers to."""
    return dict(documented()["components"]["schemas"][reference["$ref"].rpartition("/")[2]])


@cache
def factory(name: str) -> Any:
    """Return the factory of a resource, or None if it has none."""
    module = f"tests.factories.{name}"
    return import_module(module) if find_spec(module) else None


class World:
    """A user who owns the rows, and an extra admin, so that no caller is the last one."""

    def __init__(self, people: People) -> None:
        self.people = people
        self.owner: Person = people("owner")
        self.chief: Person = people("chief", Role.ADMIN)
        self.callers = {Role.USER: self.owner, Role.ADMIN: self.chief}

    def path(self, route: str) -> str:
        """Return the route's path with the ids of existing rows."""
        path = ""
        for part in re.split(r"(<[^>]+>)", route.partition(" ")[2]):
            variable = VARIABLE.fullmatch(part)
            path += self._id(variable[1], path) if variable else part
        return path

    def body(self, route: str) -> dict[str, Any] | None:
        """Return the document's example, with references to existing rows."""
        operation = operation_of(route)
        code = self._code(route)  # part: second-factor
        if "requestBody" not in operation:
            return None
        body: dict[str, Any] = operation["requestBody"]["content"]["application/json"]["example"]
        made = factory(operation["tags"][0])
        references = [name for name in body if name.endswith(("_id", "_ids"))]
        if made and references:
            valid = made.body(self.owner)
            body = body | {name: valid[name] for name in references if name in valid}
        if route == "POST /auth/login":
            self.people.register(body["username"])
        if route in LINKS:
            body = body | {"token": self._link(LINKS[route])}
        # part: second-factor
        if code:
            body = body | {"code": code}
        # end of part
        # part: second-factor
        if "challenge" in body:
            body = body | {"challenge": add_challenge(self.people.app, self.owner)}
        # end of part
        return body

    def content(self, route: str) -> dict[str, Any]:
        """Return the body as arguments of the test client: JSON, or a file for an upload."""
        types = list(operation_of(route).get("requestBody", {}).get("content", {}))
        if "multipart/form-data" not in types:
            return {"json": self.body(route)}
        return {"data": b"a file", "content_type": types[-1]}

    # part: second-factor
    def _code(self, route: str) -> str:
        """Give the owner the second factor that a route needs. Return a code, or an empty text."""
        app = self.people.app
        if route == "POST /account/second-factor/confirmation":
            return start_factor(app, self.owner).code()
        return add_factor(app, self.owner)[0].code() if route in WITH_FACTOR else ""

    # end of part
    def _link(self, purpose: Purpose) -> str:
        """Return the token of a link that was mailed to the owner."""
        with self.people.app.app_context():
            user = db.session.get_one(User, UUID(self.owner.id))
            user.pending_email = "owner@example.com"
            token = LinkRepository(db.session).create(uuid4(), user.id, purpose, user.pending_email)
            db.session.commit()
        return token

    def caller(self, route: str) -> Person:
        """Return a user who may use the route: the owner, or else one with the first role that it names."""
        roles = roles_of(operation_of(route))
        role = Role.USER if Role.USER in roles else roles[0]
        if role not in self.callers:
            self.callers[role] = self.people(f"a-{role}", role)
        return self.callers[role]

    def headers(self, route: str) -> dict[str, str]:
        return {"If-Match": "*"} if "428" in operation_of(route).get("responses", {}) else {}

    def _id(self, name: str, collection: str) -> str:
        if name == "name":
            return NAMES[collection]
        if name == "user_id":
            return self.owner.id
        if name == "token_id":
            return str(self.owner.get("/auth/token").json["items"][0]["id"])
        if made := factory(name.removesuffix("_id")):
            return str(made.add(self.owner)["id"])
        route = f"POST {collection.removesuffix('/')}"
        for person in (self.owner, self.chief):
            response = person.post(self.path(route), self.body(route))
            if response.status_code == 201:
                return str(response.json["id"])
        raise LookupError(f"{route} created no row. Add a way to get a {name} to tests/support/world.py.")
