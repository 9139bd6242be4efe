"""Requests that nobody thought of, made from the document by schemathesis."""

from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig

from app import create_app
from kit.web import openapi
from tests.support.settings import NEVER_OPENED, settings_for

# A schema cannot say that a cursor is not one of ours, that a version is an old one, or that a key was used.
MORE_THAN_A_SCHEMA_SAYS = {"cursor", "If-Match", "Idempotency-Key"}
PASSWORD_TO_GUESS = {"auth_register"}  # nor that a password is too easy


def _takes_more_than_a_schema_says() -> list[str]:
    paths = openapi.build(create_app(settings_for(NEVER_OPENED)))["paths"]
    return [
        operation["operationId"]
        for methods in paths.values()
        for operation in methods.values()
        if MORE_THAN_A_SCHEMA_SAYS & {parameter["name"] for parameter in operation["parameters"]}
        or operation["operationId"] in PASSWORD_TO_GUESS
    ]


CONFIG = SchemathesisConfig.from_dict(
    {
        # What is not there is told first, and what has to be changed by version has a status of its own.
        "checks": {"missing_required_header": {"expected-statuses": [400, 401, 403, 404, 422, 428]}},
        "operations": [
            {
                "include-operation-id": name,
                "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", "4xx"]}},
            }
            for name in _takes_more_than_a_schema_says()
        ],
    }
)


@schemathesis.hook
def before_load_schema(_: Any, document: dict[str, Any]) -> None:
    """Take the limit from headers that only the server has one for (431), and it is not always there."""
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation["parameters"]:
                if parameter["name"] in ("If-Match", "If-None-Match"):
                    parameter["schema"] = {"type": "string"}


def authorization(operation: Any, tokens: dict[str, Any]) -> dict[str, str]:
    """Return the header with the token that the operation needs, if it needs one."""
    needed = [scheme for need in operation.definition.raw["security"] for scheme in need]
    return {"Authorization": f"Bearer {tokens[needed[0]]}"} if needed else {}


def is_for_admins(operation: Any) -> bool:
    """Whether who is no admin is told no more than that."""
    told = operation.definition.raw["responses"].get("403", {}).get("content", {})
    return any("forbidden" in problems["examples"] for problems in told.values())
