"""Requests that schemathesis generates from the OpenAPI document."""

from typing import Any

import schemathesis
from schemathesis.config import SchemathesisConfig

from app import create_app
from app.model.models import Role
from kit.web import openapi
from tests.support.documented import roles_of
from tests.support.settings import NEVER_OPENED, settings_for

# A schema can't express that a cursor is signed, that a version is outdated, or that a key was used.
BEYOND_SCHEMA = {"cursor", "If-Match", "Idempotency-Key"}
# Or that a password is too weak, which links were sent, which scopes exist, or that a time is past.
NEW_VALUES = {
    *("auth_register", "auth_step_up", "email_verify_email", "email_reset_password"),
    *("keys_create", "keys_change"),
}


def _operations_beyond_schema() -> list[str]:
    paths = openapi.build(create_app(settings_for(NEVER_OPENED)))["paths"]
    return [
        operation["operationId"]
        for methods in paths.values()
        for operation in methods.values()
        if BEYOND_SCHEMA & {parameter["name"] for parameter in operation["parameters"]}
        or operation["operationId"] in NEW_VALUES
    ]


CONFIG = SchemathesisConfig.from_dict(
    {
        # A missing row is reported before a missing header, and a missing If-Match is a 428.
        "checks": {"missing_required_header": {"expected-statuses": [400, 401, 403, 404, 422, 428]}},
        "operations": [
            {
                "include-operation-id": name,
                "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", "4xx"]}},
            }
            for name in _operations_beyond_schema()
        ],
    }
)


@schemathesis.hook
def before_load_schema(_: Any, document: dict[str, Any]) -> None:
    """Remove the length limit of these headers: only the server enforces it (431), and not always."""
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation["parameters"]:
                if parameter["name"] in ("If-Match", "If-None-Match"):
                    parameter["schema"] = {"type": "string"}


def authorization(operation: Any, tokens: dict[str, Any]) -> dict[str, str]:
    """Return the header with the token that the operation needs, if it needs one."""
    needed = [scheme for need in operation.definition.raw["security"] for scheme in need]
    return {"Authorization": f"Bearer {tokens[needed[0]]}"} if needed else {}


def role_for(operation: Any) -> Role:
    """Return a role that may use the operation."""
    return roles_of(operation.definition.raw)[0]
