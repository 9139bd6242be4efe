"""GET /openapi.json: the document is valid, complete and matches the app."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cached_property
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from referencing import Registry, Resource
from werkzeug.test import TestResponse

from app import create_app, limits
from app.database import db
from app.exceptions import InvalidCode
from app.mail import pages
from app.model.models import Role
from app.model.user_repository import UserRepository
from kit.web import openapi
from tests.support.authenticator import add_challenge, add_factor, start_factor
from tests.support.credentials import PASSWORD, bearer
from tests.support.documented import roles_of
from tests.support.keys import make_key
from tests.support.people import People, Person
from tests.support.servers import Live, exchange
from tests.support.settings import NEVER_OPENED, settings_for
from tests.support.world import World
from tools.client_files.steps import SCENARIO, UNKNOWN_ID

pytestmark = pytest.mark.any_database

DOCUMENT = openapi.build(create_app(settings_for(NEVER_OPENED)))
OPERATIONS = {
    operation["operationId"]: (path, method, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}
# For generated resources, their own tests cover these.
ANSWERS = [
    (name, status)
    for name, (_, _, each) in OPERATIONS.items()
    for status in each["responses"]
    if each["tags"][0] in {*SCENARIO, "email"}
]
# Only the server gives these responses. The last test covers them.
BY_SERVER = {"431", "501"}


def resolved(schema: Any) -> Draft202012Validator:
    registry: Any = Registry().with_resource("urn:document", Resource.opaque(DOCUMENT))
    text = json.dumps(schema).replace("#/components", "urn:document#/components")
    return Draft202012Validator(json.loads(text), registry=registry)


def test_the_document_is_valid_openapi() -> None:
    validate(DOCUMENT)


def test_the_served_and_the_printed_document_are_equal(client: FlaskClient, runner: FlaskCliRunner) -> None:
    response = client.get("/openapi.json")

    assert response.content_type == "application/json"
    assert response.text == runner.invoke(args=["openapi"]).output
    again = client.get("/openapi.json", headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_every_route_is_documented(app: Flask) -> None:
    undocumented = {"/docs", "/docs/<name>", *pages.FILES}  # HTML pages
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:uuid:)?(\w+)>", r"{\1}", rule.rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            assert rule.rule in undocumented or method.lower() in DOCUMENT["paths"][path]


def test_operation_ids_are_unique() -> None:
    assert len(OPERATIONS) == sum(len(methods) for methods in DOCUMENT["paths"].values())


def parts(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every object of the document with its path."""
    if isinstance(node, dict):
        yield path, node
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, part in items:
        if name not in ("example", "examples"):
            yield from parts(part, f"{path}/{name}")


def test_every_string_array_and_number_has_its_limits() -> None:
    needed = {"string": "maxLength", "array": "maxItems", "integer": "maximum", "number": "maximum"}
    unlimited = [
        path
        for path, schema in parts(DOCUMENT)
        if isinstance(schema.get("type"), str)
        and needed.get(schema["type"], "type") not in schema
        and not {"enum", "const"} & set(schema)
    ]
    assert not unlimited, (
        "Give each a limit in its schema (app/blueprint): max_length for a text or list, le for a number, "
        "such as Annotated[str, Field(max_length=64)]. Without one:\n" + "\n".join(unlimited)
    )


def test_every_example_fits_its_schema() -> None:
    shown = 0
    for _, part in parts(DOCUMENT):
        if "schema" in part:
            examples = [part["example"]] if "example" in part else []
            examples += [
                DOCUMENT["components"]["examples"][code]["value"] for code in part.get("examples", {})
            ]
            for example in examples:
                resolved(part["schema"]).validate(example)
                shown += 1
    assert shown > 100
    for schema in DOCUMENT["components"]["schemas"].values():
        for example in schema.get("examples", []):
            resolved(schema).validate(example)


# How to get a response that is specific to one operation. A key is (operationId, status).
Scenario = Callable[["Stage"], TestResponse]
WRONG = {"current_password": "wrong"}
SCENARIOS: dict[tuple[str, str], Scenario] = {
    ("index_show", "302"): lambda s: s.send("index_show", headers={"Accept": "text/html"}),
    ("documentation_show_openapi", "304"): lambda s: s.unchanged("documentation_show_openapi"),
    ("account_read", "304"): lambda s: s.unchanged("account_read"),
    # These ignore parameters.
    ("index_show", "422"): lambda s: s.send("index_show", data=b"x"),
    ("health_live", "422"): lambda s: s.send("health_live", data=b"x"),
    ("health_ready", "422"): lambda s: s.send("health_ready", data=b"x"),
    ("health_ready", "503"): lambda s: s.stopping(),
    ("problems_show", "404"): lambda s: s.client.get("/problems/unknown"),
    ("auth_register", "409"): lambda s: s.send(
        "auth_register", json={"username": s.ann.name, "password": PASSWORD}
    ),
    ("auth_register", "429"): lambda s: s.until_refused(("auth_register", "409")),
    ("auth_login", "429"): lambda s: s.until_refused(("auth_login", "401")),
    ("account_change", "429"): lambda s: s.until_refused(("account_change", "403")),
    ("account_replace", "429"): lambda s: s.until_refused(("account_replace", "403")),
    ("auth_login", "401"): lambda s: s.send("auth_login", json={"username": "ann", "password": "wrong"}),
    ("auth_change_token", "404"): lambda s: s.ann.put("/auth/token/unknown", json={"revoke": True}),
    ("auth_change_token", "409"): lambda s: s.revive(),
    ("account_change", "403"): lambda s: s.change("wrong"),
    ("account_change", "409"): lambda s: s.change(PASSWORD, username=s.bob.name),
    ("account_change", "412"): lambda s: s.change(PASSWORD, headers={"If-Match": "0"}),
    ("account_replace", "403"): lambda s: s.replace("wrong"),
    ("account_replace", "409"): lambda s: s.replace(PASSWORD, username=s.bob.name),
    ("account_replace", "412"): lambda s: s.replace(PASSWORD, headers={"If-Match": "0"}),
    ("account_delete", "409"): lambda s: s.root.delete("/account"),
    ("auth_login", "403"): lambda s: s.with_required_addresses("auth_login"),
    ("email_change_email", "403"): lambda s: s.send(
        "email_change_email", json=WRONG | {"email": "a@b.example"}
    ),
    ("email_change_email", "429"): lambda s: s.until_refused(("email_change_email", "403")),
    ("email_remove_email", "403"): lambda s: s.send("email_remove_email", json=WRONG),
    ("email_remove_email", "409"): lambda s: s.with_required_addresses("email_remove_email"),
    ("email_remove_email", "429"): lambda s: s.until_refused(("email_remove_email", "403")),
    ("email_resend_verification", "429"): lambda s: s.until_refused(("email_resend_verification", "202")),
    ("email_resend_verification", "202"): lambda s: s.send("email_resend_verification"),
    ("email_verify_email", "204"): lambda s: s.open_link("email_verify_email"),
    ("email_verify_email", "400"): lambda s: s.send("email_verify_email"),
    ("email_verify_email", "409"): lambda s: s.open_link("email_verify_email", taken=True),
    ("email_request_password_reset", "202"): lambda s: s.send("email_request_password_reset"),
    ("email_request_password_reset", "429"): lambda s: s.until_refused(
        ("email_request_password_reset", "202")
    ),
    ("email_reset_password", "204"): lambda s: s.open_link("email_reset_password"),
    ("email_reset_password", "400"): lambda s: s.send("email_reset_password"),
    ("keys_create", "409"): lambda s: s.until_refused(("keys_create", "201"), status=409),
    ("keys_create", "201"): lambda s: s.send("keys_create"),
    ("keys_read", "404"): lambda s: s.ann.get(f"/account/keys/{UNKNOWN_ID}"),
    ("keys_change", "404"): lambda s: s.ann.patch(f"/account/keys/{UNKNOWN_ID}", json={}),
    ("keys_delete", "404"): lambda s: s.ann.delete(f"/account/keys/{UNKNOWN_ID}"),
    ("auth_step_up", "403"): lambda s: s.send("auth_step_up", json=WRONG),
    ("auth_step_up", "429"): lambda s: s.until_refused(("auth_step_up", "403")),
    # part: second-factor
    ("second_factor_complete_login", "200"): lambda s: s.with_factor("second_factor_complete_login"),
    ("second_factor_complete_login", "401"): lambda s: s.send("second_factor_complete_login"),
    ("second_factor_complete_login", "429"): lambda s: s.after_wrong_codes("second_factor_complete_login"),
    ("second_factor_start", "403"): lambda s: s.send("second_factor_start", json=WRONG),
    ("second_factor_start", "409"): lambda s: s.with_factor("second_factor_start"),
    ("second_factor_start", "429"): lambda s: s.until_refused(("second_factor_start", "403")),
    ("second_factor_confirm", "200"): lambda s: s.with_factor("second_factor_confirm"),
    ("second_factor_confirm", "404"): lambda s: s.send("second_factor_confirm"),
    ("second_factor_confirm", "409"): lambda s: s.with_factor("second_factor_confirm", confirmed=True),
    ("second_factor_confirm", "429"): lambda s: s.after_wrong_codes("second_factor_confirm"),
    ("second_factor_replace_recovery_codes", "200"): lambda s: s.with_factor(
        "second_factor_replace_recovery_codes"
    ),
    ("second_factor_replace_recovery_codes", "404"): lambda s: s.send("second_factor_replace_recovery_codes"),
    ("second_factor_replace_recovery_codes", "429"): lambda s: s.after_wrong_codes(
        "second_factor_replace_recovery_codes"
    ),
    ("second_factor_remove", "204"): lambda s: s.with_factor("second_factor_remove"),
    ("second_factor_remove", "404"): lambda s: s.send("second_factor_remove"),
    ("second_factor_remove", "429"): lambda s: s.after_wrong_codes("second_factor_remove"),
    ("second_factor_remove_for_user", "204"): lambda s: s.with_factor("second_factor_remove_for_user"),
    ("second_factor_remove_for_user", "404"): lambda s: s.send("second_factor_remove_for_user"),
    # end of part
    ("users_read", "304"): lambda s: s.unchanged("users_read"),
    ("users_read", "404"): lambda s: s.root.get(f"/users/{UNKNOWN_ID}"),
    ("users_change", "404"): lambda s: s.root.patch(f"/users/{UNKNOWN_ID}", json={"role": "user"}),
    ("users_change", "409"): lambda s: s.root.patch(f"/users/{s.root.id}", json={"role": "user"}),
    ("users_change", "412"): lambda s: s.send("users_change", headers={"If-Match": "0"}),
    ("users_delete", "404"): lambda s: s.root.delete(f"/users/{UNKNOWN_ID}"),
    ("users_delete", "409"): lambda s: s.root.delete(f"/users/{s.root.id}"),
    ("users_delete", "412"): lambda s: s.send("users_delete", headers={"If-Match": "0"}),
}


# How to get a status from any operation. Other statuses need only the example.
GENERAL: dict[str, dict[str, Any]] = {
    "400": {"environ_overrides": {"HTTP_HOST": ""}},
    "401": {"headers": {"Authorization": ""}},
    "413": {"data": b"x" * 100_000, "content_type": "application/json"},
    "415": {"data": b"{}", "content_type": "text/plain"},
    "422": {"query_string": "colour=red"},
}


class Stage:
    """Ann, other users if needed, and a request for each status."""

    def __init__(self, app: Flask, people: People) -> None:
        self.app = app
        self.client: FlaskClient = app.test_client()
        self.people: People = people
        self.ann: Person = people("ann")

    @cached_property
    def bob(self) -> Person:
        return self.people("bob")

    @cached_property
    def root(self) -> Person:
        return self.people("root", Role.ADMIN)

    def send(self, name: str, client: FlaskClient | None = None, **changes: Any) -> TestResponse:
        """Send the operation's example with some changes."""
        path, method, operation = OPERATIONS[name]
        security = {scheme for need in operation["security"] for scheme in need}
        caller = self.ann if Role.USER in roles_of(operation) else self.root
        token = caller.refresh if "refresh_token" in security else caller.access
        headers = (bearer(token) if security else {}) | changes.pop("headers", {})
        body = operation.get("requestBody")
        if body and not {"json", "data"} & set(changes):
            changes["json"] = body["content"]["application/json"]["example"]
        if "{token_id}" in path:
            path = path.replace("{token_id}", str(self.ann.get("/auth/token").json["items"][0]["id"]))
        if "{user_id}" in path:
            path = path.replace("{user_id}", self.bob.id)
        if "{key_id}" in path:
            created = self.ann.post("/account/keys", json={"name": "deploy", "scopes": ["account:read"]}).json
            path = path.replace("{key_id}", str(created["id"]))
        path = path.replace("{name}", "not-found")
        return (client or self.client).open(path, method=method.upper(), headers=headers, **changes)

    def unchanged(self, name: str) -> TestResponse:
        return self.send(name, headers={"If-None-Match": self.send(name).headers["ETag"]})

    def stopping(self) -> TestResponse:
        self.app.extensions["stopping"].set()
        response = self.client.get("/health/ready")
        self.app.extensions["stopping"].clear()
        return response

    def until_refused(self, scenario: tuple[str, str], status: int = 429) -> TestResponse:
        """Repeat a request until a limit is reached."""
        for _ in range(21):
            if (response := SCENARIOS[scenario](self)).status_code == status:
                break
        return response

    def with_required_addresses(self, name: str) -> TestResponse:
        settings = self.app.extensions["settings"].model_copy(update={"register_email": "required"})
        with patch.dict(self.app.extensions, settings=settings):
            return self.send(name)

    def open_link(self, name: str, *, taken: bool = False) -> TestResponse:
        """Send the example with the token of a link."""
        world = World(self.people)
        if taken:
            with self.app.app_context():
                users = UserRepository(db.session)
                users.verify_email(users.find(UUID(self.bob.id)), "owner@example.com")
                db.session.commit()
        path, method, _ = OPERATIONS[name]
        return self.send(name, json=world.body(f"{method.upper()} {path}"))

    # part: second-factor
    def with_factor(self, name: str, *, confirmed: bool = False) -> TestResponse:
        """Send the example with a code, when the account has the second factor that the operation needs."""
        path, _, operation = OPERATIONS[name]
        if name == "second_factor_confirm" and not confirmed:
            return self.send(name, json={"code": start_factor(self.app, self.ann).code()})
        code = add_factor(self.app, self.bob if "{user_id}" in path else self.ann)[0].code()
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
        if body and "code" in body:
            body = body | {"code": code}
        if body and "challenge" in body:
            body = body | {"challenge": add_challenge(self.app, self.ann)}
        return self.send(name, json=body)

    def after_wrong_codes(self, name: str) -> TestResponse:
        """Send the example with a code, when too many codes were wrong."""
        with self.app.test_request_context():
            for _ in range(10):
                with suppress(InvalidCode), limits.code(UUID(self.ann.id)):
                    raise InvalidCode
        return self.with_factor(name)

    # end of part
    def revive(self) -> TestResponse:
        id_ = self.ann.get("/auth/token").json["items"][0]["id"]
        elsewhere = self.people.log_in("ann")
        elsewhere.put(f"/auth/token/{id_}", json={"revoke": True})
        return elsewhere.put(f"/auth/token/{id_}", json={"revoke": False})

    def change(self, current: str, username: str = "Ann", **more: Any) -> TestResponse:
        return self.ann.patch("/account", json={"username": username, "current_password": current}, **more)

    def replace(self, current: str, username: str = "Ann", **more: Any) -> TestResponse:
        body = {"username": username, "password": "a whole new passphrase", "current_password": current}
        return self.ann.put("/account", json=body, **more)

    def provoke(self, name: str, status: str) -> TestResponse:
        """Get a status from an operation, with its own scenario or the general one."""
        if (name, status) in SCENARIOS:
            return SCENARIOS[name, status](self)
        if status == "503":
            return self.send(name, client=without_database())
        if status == "403":
            return self.send(name, headers=bearer(make_key(self.ann, "other:read")))
        if (name, status) == ("auth_register", "201"):
            self.ann.delete("/account")  # the example has the same name
        return self.send(name, **GENERAL.get(status, {}))


def without_database() -> FlaskClient:
    app = create_app(settings_for(NEVER_OPENED))
    app.config["PROPAGATE_EXCEPTIONS"] = False
    return app.test_client()


@pytest.mark.parametrize(("name", "status"), [each for each in ANSWERS if each[1] not in BY_SERVER])
def test_every_documented_response_occurs_as_documented(
    app: Flask, people: People, name: str, status: str
) -> None:
    documented = OPERATIONS[name][2]["responses"][status]

    response = Stage(app, people).provoke(name, status)

    assert response.status_code == int(status)
    assert set(documented["headers"]) <= {header for header, _ in response.headers}
    if "content" in documented:
        content = documented["content"][response.mimetype]
        resolved(content["schema"]).validate(response.json)
        assert response.json["code"] in content["examples"] if "examples" in content else True
    else:
        assert response.data == b""


def test_the_server_gives_the_remaining_responses_for_every_operation(live: Live) -> None:
    url, _ = live
    for path, method, _ in OPERATIONS.values():
        line = f"{method.upper()} {path.replace('{', '').replace('}', '')} HTTP/1.1\r\nHost: a\r\n".encode()

        assert exchange(url, line + b"Transfer-Encoding: gzip\r\n\r\n")[0] == 501
        assert exchange(url, line + b"X: " + b"x" * 20_000 + b"\r\n\r\n")[0] == 431


def test_the_document_describes_only_headers_that_are_sent() -> None:
    text = json.dumps(DOCUMENT["paths"])

    described = DOCUMENT["components"]["headers"]

    assert [name for name in described if f'"#/components/headers/{name}"' not in text] == []
