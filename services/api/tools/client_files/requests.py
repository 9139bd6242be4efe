"""Turns steps and operations of the document into requests with their expected responses."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from app.model.models import Role
from tools.client_files.steps import CLEANUP, SCENARIO, START, UNKNOWN_ID, USER_FIELDS, VARIABLES, Step

Document = dict[str, Any]
Operation = dict[str, Any]

# Possible statuses of a valid request without a step, depending on the database.
POSSIBLE = ("403", "404", "409", "412")


@dataclass(frozen=True)
class Request:
    """A request, and the statuses that are expected."""

    title: str
    operation: Operation
    statuses: list[str]
    code: str = ""
    body: str | None = None
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    path: dict[str, str] = field(default_factory=dict)
    token: str | None = None
    store: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Folder:
    """A tag: its part of the scenario, and requests that each of its operations refuses."""

    name: str
    description: str
    requests: list[Request]
    refusals: list[Request] = field(default_factory=list)
    is_optional: bool = False  # for a feature that this API may not have


def folders(document: Document, full: Document | None = None) -> list[Folder]:
    """Return the scenario. Operations without a step are called once, at the end of their tag.

    `full` is the document of the same API with its optional features. Each tag that only `full` has becomes
    an optional folder.
    """
    own = [tag["name"] for tag in document["tags"]]
    tour = [
        _folder(tag, document) if tag["name"] in own else _folder(tag, full or document, is_optional=True)
        for tag in (full or document)["tags"]
    ]
    return [*tour, _end(document)]


def optional_folders(document: Document, full: Document) -> dict[str, list[Folder]]:
    """Return each optional folder by its name, with what must come before and after it to use it alone."""
    start = Folder("start", "", [_request(step, _by_id(document)) for step in START])
    optional = [folder for folder in folders(document, full) if folder.is_optional]
    return {folder.name: [start, folder, _end(document)] for folder in optional}


def variables(tour: list[Folder]) -> dict[str, str]:
    """Return the variables that these requests use before they store any, with their values."""
    sent = repr(tour)
    return {
        name: value for name, value in VARIABLES.items() if name == "baseUrl" or f"{{{{{name}}}}}" in sent
    }


def _folder(tag: dict[str, str], document: Document, *, is_optional: bool = False) -> Folder:
    operations = _by_id(document)
    own = [operation for operation in operations.values() if tag["name"] in operation["tags"]]
    named = {step.operation for steps in SCENARIO.values() for step in steps}
    requests = [_request(step, operations) for step in SCENARIO.get(tag["name"], ())]
    requests += [_call(operation) for operation in own if operation["operationId"] not in named]
    refusals = [request for operation in own for request in _refusals(operation)]
    return Folder(tag["name"], tag["description"], requests, refusals, is_optional)


def _end(document: Document) -> Folder:
    requests = [_request(step, _by_id(document)) for step in CLEANUP]
    return Folder("the end", "Nothing stays in the database.", requests)


def _by_id(document: Document) -> dict[str, Operation]:
    return {operation["operationId"]: operation for operation in _operations(document)}


def _operations(document: Document) -> Iterator[Operation]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield {**operation, "method": method.upper(), "path": path}


def _request(step: Step, operations: dict[str, Operation]) -> Request:
    if step.operation not in operations:
        raise LookupError(f"The document has no {step.operation}, which tools/client_files/steps.py names.")
    operation = operations[step.operation]
    return Request(
        step.title,
        operation,
        [str(step.status)],
        step.code,
        _body(operation, step.body),
        step.query,
        step.headers,
        step.path,
        step.token or _token(operation),
        step.store,
    )


def _call(operation: Operation) -> Request:
    """Return a request made from the document's examples, with every status that it may get."""
    success = next(status for status in operation["responses"] if status < "300")
    parameters = operation["parameters"]
    needed = {each["name"]: each for each in parameters if each["in"] == "query" and each["required"]}
    is_plain = operation["method"] == "GET" and not needed and "{" not in operation["path"]
    is_sure = is_plain and not _is_for_others(operation)
    # Without an example of the body or of a required parameter, the operation may refuse the values.
    example = _example(operation) if _takes_json(operation) else {}
    refers = any(name.endswith("_id") for name in example)
    is_made_up = "requestBody" in operation and (not example or refers)
    possible = () if is_sure else (*POSSIBLE, *(["422"] if is_made_up or needed else []))
    return Request(
        title(operation),
        operation,
        [success, *(status for status in possible if status in operation["responses"])],
        body=_body(operation),
        query={name: str(each["schema"].get("examples", ["1"])[0]) for name, each in needed.items()},
        headers=_headers(operation),
        path=_path(operation),
        token=_token(operation),
    )


def _refusals(operation: Operation) -> Iterator[Request]:
    """Return requests with the mistakes that each such operation refuses."""
    valid = {
        "token": _token(operation),
        "body": _body(operation),
        "headers": _headers(operation),
        "path": _path(operation),
    }
    ways: list[tuple[str, str, str, dict[str, Any]]] = []
    if operation.get("x-unknown-parameters") != "ignored":
        ways.append(("an unknown parameter", "422", "validation_failed", {"query": {"colour": "red"}}))
    if operation["security"]:
        ways.append(("no token", "401", "missing_token", {"token": None}))
    if _takes_json(operation):
        plain = {"headers": _headers(operation) | {"Content-Type": "text/plain"}}
        ways += [
            ("malformed JSON", "400", "malformed_json", {"body": '{"half": '}),
            ("another media type", "415", "unsupported_media_type", plain),
            ("an unknown field", "422", "validation_failed", {"body": _body(operation, {"colour": "red"})}),
        ]
    for name, status, code, wrong in ways:
        is_forbidden = status != "401" and _is_for_others(operation)
        statuses, word = (["403"], "forbidden") if is_forbidden else ([status], code)
        yield Request(f"{title(operation)}: {name}", operation, statuses, word, **(valid | wrong))


def _path(operation: Operation) -> dict[str, str]:
    """Return an unknown id for each path parameter that is an id."""
    ids = (
        each["name"] for each in operation["parameters"] if each["in"] == "path" and _is_id(each["schema"])
    )
    return dict.fromkeys(ids, UNKNOWN_ID)


def _is_id(schema: dict[str, Any]) -> bool:
    return schema.get("format") == "uuid"


def _headers(operation: Operation) -> dict[str, str]:
    """Return the required headers, such as If-Match with any version."""
    needed = [each["name"] for each in operation["parameters"] if each["in"] == "header" and each["required"]]
    return dict.fromkeys(needed, "*")


def _is_for_others(operation: Operation) -> bool:
    """Return whether the operation needs a role that the scenario's user doesn't have."""
    roles = [role for need in operation["security"] for role in need.get("access_token", ())]
    return bool(roles) and Role.USER not in roles


def title(operation: Operation) -> str:
    return f"{operation['method']} {operation['path']}"


def _token(operation: Operation) -> str | None:
    """Return the variable with the token. It has the name of the security scheme."""
    return next((scheme for need in operation["security"] for scheme in need), None)


def _body(operation: Operation, instead: dict[str, object] | None = None) -> str | None:
    if not _takes_json(operation):  # an upload is refused without a file
        return None
    example = _example(operation)
    own = {name: USER_FIELDS[name] for name in example if name in USER_FIELDS}
    return json.dumps(example | own | (instead or {}), indent=2, ensure_ascii=False)


def _takes_json(operation: Operation) -> bool:
    return "application/json" in operation.get("requestBody", {}).get("content", {})


def _example(operation: Operation) -> dict[str, Any]:
    example: dict[str, Any] = operation["requestBody"]["content"]["application/json"].get("example", {})
    return example
