"""The OpenAPI document: what the views declare, written down. Nothing is said here that no view says."""

import json
import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from typing import Any, cast

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from sqlalchemy.exc import OperationalError
from werkzeug import exceptions as http
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.routing import Rule

from app import limits
from app.blueprint import schemas
from app.blueprint.endpoint import Declaration
from app.blueprint.handlers import (
    MEDIA_TYPE,
    PROBLEMS,
    HostNotAllowed,
    PreconditionFailed,
    PreconditionRequired,
    Problem,
    document,
)
from app.blueprint.schemas import Body, FieldError, Query
from app.blueprint.validation import MalformedJson, UnsupportedMediaType, ValidationFailed
from app.config import APP_NAME, VERSION
from app.exceptions import KeyReused, TooManyAttempts

REF = "#/components/schemas/{model}"
REQUEST_ID = "0ff4be9c-7228-460c-a8d6-5685de10b5d5"
ALWAYS = (
    http.BadRequest,
    HostNotAllowed,
    http.RequestEntityTooLarge,
    http.RequestHeaderFieldsTooLarge,
    http.NotImplemented,
    ValidationFailed,
)
DESCRIPTION = """Accounts and JWT sessions.

Register with `POST /auth/register`, log in with `POST /auth/login`, and send the access token as
`Authorization: Bearer <access_token>`. When it expires, `POST /auth/refresh` gives a new pair for the refresh
token. Every error is a problem (RFC 9457) with a stable `code`; `GET /problems` explains them all."""
SECURITY_SCHEMES = {
    "access_token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The access token of a login or a refresh.",
    },
    "refresh_token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "The refresh token of a login or a refresh; it works once.",
    },
}
REQUEST_HEADERS = {
    "If-None-Match": "The ETag of the version that you have: unchanged, it is not sent again.",
    "If-Match": "The ETag of the version that you want to change, or `*` for any.",
    "Idempotency-Key": "A name for this request, such as a UUID. Repeated within a day, it is answered "
    "as the first one was, and nothing is made twice.",
}
KEY = {"minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
HEADERS = {
    "ETag": (
        "The version of the resource, for If-None-Match and If-Match.",
        '"04df85b301a4b7482554a823102665ce"',
    ),
    "Location": ("Where the new resource is.", "/account"),
    "Retry-After": ("Seconds to wait before trying again.", 1),
    "WWW-Authenticate": ("What the request lacks (RFC 6750).", 'Bearer error="invalid_token"'),
    "X-Request-ID": ("The id of this request: the client's own, or a new one.", REQUEST_ID),
}


def text(app: Flask) -> str:
    """Return the document as JSON, the same for the same code; written once for each app."""
    if "openapi" not in app.extensions:
        app.extensions["openapi"] = json.dumps(build(app), indent=2, ensure_ascii=False) + "\n"
    return cast("str", app.extensions["openapi"])


def build(app: Flask) -> dict[str, Any]:
    """Return the document of all views that are declared."""
    paths: dict[str, dict[str, Any]] = {}
    models: dict[type[BaseModel], Any] = {schemas.Problem: "serialization"}
    for rule, method, declaration, view in _operations(app):
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        paths.setdefault(path, {})[method.lower()] = _operation(
            rule, method, declaration, view, is_limited=limits.is_limited(app, rule.rule)
        )
        if declaration.body:
            models[declaration.body] = "validation"
        if declaration.returns:
            models[declaration.returns] = "serialization"
    used = set(re.findall(r"#/components/examples/(\w+)", json.dumps(paths)))
    _, definitions = models_json_schema(list(models.items()), ref_template=REF)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": APP_NAME,
            "version": VERSION,
            "description": DESCRIPTION,
            "contact": {"name": f"Whoever runs this {APP_NAME}"},
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "Where this document came from."}],
        "tags": _tags(app, paths),
        "paths": paths,
        "components": {
            "schemas": {name: _plain(schema) for name, schema in sorted(definitions["$defs"].items())},
            "examples": {
                problem.code: _problem_example(problem) for problem in PROBLEMS if problem.code in used
            },
            "headers": {name: _header(name) for name in HEADERS},
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def check(app: Flask) -> None:
    """Refuse a view that declares something that the document and the error handlers don't know.

    Called once all blueprints are registered. Raises TypeError with the place and the remedy.
    """
    for _, _, declaration, view in _operations(app):
        place = f"{view.__module__}.{view.__qualname__}"
        needs = declaration.needs
        for error in (*declaration.raises, *(needs.raises if needs else ())):
            if not any(issubclass(error, problem.facts) for problem in PROBLEMS):
                raise TypeError(
                    f"{place} declares raises=[{error.__name__}], which has no row in PROBLEMS. "
                    "Add one to app/blueprint/handlers.py."
                )
        for name in set(declaration.headers) - set(HEADERS):
            raise TypeError(
                f"{place} declares headers=[{name!r}], which HEADERS doesn't describe. "
                "Add it to app/blueprint/openapi.py."
            )
        if needs and needs.scheme not in SECURITY_SCHEMES:
            raise TypeError(
                f"{place} needs the security scheme {needs.scheme!r}, which SECURITY_SCHEMES doesn't have. "
                "Add it to app/blueprint/openapi.py."
            )


def _operations(app: Flask) -> Iterator[tuple[Rule, str, Declaration, Any]]:
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        declaration = getattr(view, "declaration", None)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            if declaration:
                yield rule, method, declaration, view


def _operation(
    rule: Rule, method: str, declaration: Declaration, view: Any, *, is_limited: bool
) -> dict[str, Any]:
    summary, _, more = (view.__doc__ or "").partition("\n")
    blueprint = rule.endpoint.partition(".")[0]
    operation: dict[str, Any] = {
        "operationId": rule.endpoint.replace(".", "_"),
        "tags": [blueprint],
        "summary": summary.partition(". ")[0].rstrip("."),
        "description": "\n".join(line.strip() for line in [summary, *more.splitlines()]).strip(),
        "security": [{declaration.needs.scheme: []}] if declaration.needs else [],
        "parameters": [
            *_path_parameters(rule),
            *_query_parameters(declaration.query),
            *_header_parameters(declaration),
        ],
        "responses": _responses(declaration, is_limited=is_limited),
    }
    if declaration.body:
        operation["requestBody"] = _request_body(
            method, declaration.body, optional=declaration.body_is_optional
        )
    return operation


def _path_parameters(rule: Rule) -> Iterator[dict[str, Any]]:
    for name in sorted(rule.arguments):
        is_uuid = f"<uuid:{name}>" in rule.rule
        uuid = {"type": "string", "format": "uuid", "minLength": 36, "maxLength": 36}
        yield {
            "name": name,
            "in": "path",
            "required": True,
            "description": f"The {name.replace('_', ' ')}.",
            "schema": uuid if is_uuid else {"type": "string", "minLength": 1, "maxLength": 100},
        }


def _query_parameters(query: type[Query]) -> Iterator[dict[str, Any]]:
    properties = _plain(query.model_json_schema()).get("properties", {})
    for name, schema in properties.items():
        yield {
            "name": name,
            "in": "query",
            "required": query.model_fields[name].is_required(),
            "description": schema.pop("description", f"The {name}."),
            "schema": schema,
        }


def _header_parameters(declaration: Declaration) -> Iterator[dict[str, Any]]:
    """Return the headers that an operation heeds, which is told by what they can bring about."""
    heeded = {"If-None-Match": 304 in declaration.also and "ETag" in declaration.headers}
    heeded["If-Match"] = PreconditionFailed in declaration.raises
    heeded["Idempotency-Key"] = KeyReused in declaration.raises
    for name in (name for name, is_heeded in heeded.items() if is_heeded):
        yield {
            "name": name,
            "in": "header",
            "required": name == "If-Match" and PreconditionRequired in declaration.raises,
            "description": REQUEST_HEADERS[name],
            "schema": {"type": "string", "maxLength": 8000} | (KEY if name == "Idempotency-Key" else {}),
        }


def _request_body(method: str, body: type[Body], *, optional: bool) -> dict[str, Any]:
    types = ["application/json"] + (["application/merge-patch+json"] if method == "PATCH" else [])
    return {"required": not optional, "content": dict.fromkeys(types, _content(body))}


def _content(model: type[BaseModel]) -> dict[str, Any]:
    extra: Any = model.model_config.get("json_schema_extra") or {}
    example = {"example": extra["examples"][0]} if "examples" in extra else {}
    return {"schema": {"$ref": REF.format(model=model.__name__)}, **example}


def _responses(declaration: Declaration, *, is_limited: bool) -> dict[str, Any]:
    success: dict[str, Any] = {
        "description": HTTP_STATUS_CODES[declaration.status],
        "headers": _headers(["X-Request-ID", *declaration.headers]),
    }
    if declaration.returns:
        success["content"] = {"application/json": _content(declaration.returns)}
    responses = {str(declaration.status): success}
    for status, meaning in declaration.also.items():
        responses[str(status)] = {
            "description": meaning,
            "headers": _headers(["X-Request-ID", *(["ETag"] if status == 304 else ["Location"])]),
        }
    by_status: dict[int, list[Problem]] = {}
    for problem in _problems(declaration, is_limited=is_limited):
        by_status.setdefault(problem.status, []).append(problem)
    for status, problems in sorted(by_status.items()):
        responses[str(status)] = _problem_response(problems)
    return responses


def _problems(declaration: Declaration, *, is_limited: bool) -> list[Problem]:
    """Return the problems that an operation can answer: its own, and those of what it takes and needs."""
    facts: list[type[Exception]] = [*ALWAYS, *declaration.raises]
    if is_limited:
        facts += [TooManyAttempts, OperationalError]
    if declaration.needs:
        facts += declaration.needs.raises
    if declaration.body:
        facts += [MalformedJson, UnsupportedMediaType]
    if declaration.uses_database:
        facts.append(OperationalError)
    return [problem for problem in PROBLEMS if any(issubclass(fact, problem.facts) for fact in facts)]


def _problem_response(problems: list[Problem]) -> dict[str, Any]:
    # Documented headers are sure to come, so of several problems only those that all of them have.
    names = {"X-Request-ID"} | set.intersection(*(set(problem.headers or {}) for problem in problems))
    return {
        "description": " ".join(problem.meaning for problem in problems),
        "headers": _headers(sorted(names)),
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": REF.format(model="Problem")},
                "examples": {
                    problem.code: {"$ref": f"#/components/examples/{problem.code}"} for problem in problems
                },
            }
        },
    }


def _problem_example(problem: Problem) -> dict[str, Any]:
    errors = None
    if ValidationFailed in problem.facts:
        sentence = "This field does not exist here."
        errors = [FieldError(parameter="colour", detail=sentence, code="unknown_field")]
    value = json.loads(document(problem, REQUEST_ID, errors=errors))
    return {"summary": problem.title, "description": problem.advice, "value": value}


def _headers(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _header(name: str) -> dict[str, Any]:
    description, example = HEADERS[name]
    schema: dict[str, Any] = {"type": "string", "maxLength": 200}
    if isinstance(example, int):
        schema = {"type": "integer", "minimum": 1, "maximum": 3600}
    return {"description": description, "required": True, "schema": schema, "example": example}


def _tags(app: Flask, paths: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the blueprints that have an operation, each described by the docstring of its module."""
    used = {tag for path in paths.values() for operation in path.values() for tag in operation["tags"]}
    return [
        {"name": name, "description": (import_module(blueprint.import_name).__doc__ or "").strip()}
        for name, blueprint in app.blueprints.items()
        if name in used
    ]


def _plain(schema: Any) -> Any:
    """Leave out of pydantic's schemas what repeats a name or stands for a field that was left out."""
    if isinstance(schema, list):
        return [_plain(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    dropped = {"title"} | ({"default"} if schema.get("default", ...) is None else set())
    plain = {}
    for name, part in schema.items():
        if name == "properties":
            plain[name] = {field: _plain(value) for field, value in part.items()}
        elif name not in dropped:
            plain[name] = part if name == "examples" else _plain(part)
    return plain
