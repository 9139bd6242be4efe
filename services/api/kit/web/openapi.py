"""The OpenAPI document, generated from what the views declare."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any, NamedTuple, cast

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema
from sqlalchemy.exc import OperationalError
from werkzeug import exceptions as http
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.routing import Rule

from kit.errors import (
    FieldError,
    FieldsRefused,
    IdempotencyKeyReused,
    Overloaded,
    QueryTimeout,
    TooManyAttempts,
    WriteConflict,
)
from kit.settings import Settings
from kit.web import problems, rate_limits
from kit.web.endpoint import BearerScheme, Declaration
from kit.web.errors import (
    HostNotAllowed,
    MalformedForm,
    MalformedJson,
    PreconditionFailed,
    PreconditionRequired,
    UnsupportedMediaType,
    ValidationFailed,
)
from kit.web.features import CookieScheme, KeyScheme, of_app
from kit.web.problems import MEDIA_TYPE, ProblemType, find_problem
from kit.web.responses import FileResponse
from kit.web.schemas import Query, RequestBody, ResponseBody
from kit.web.uploads import MULTIPART, Upload

JsonObject = dict[str, Any]
MAX_FILE_BYTES = 1_099_511_627_776  # of a documented response; nothing enforces it
REF = "#/components/schemas/{model}"
REQUEST_ID = "0ff4be9c-7228-460c-a8d6-5685de10b5d5"
READ_ONLY_TEXT = """

## Read-only fields

PUT and PATCH ignore `id`, `created_at` and `updated_at`. Where they accept `If-Match`, they also accept the
other fields of the resource with their current values."""
# The documentation page shows these statuses once, here, and hides them in each operation (docs/page.css).
COMMON_ERRORS_TEXT = """

## Errors of every operation

400 (malformed request), 413 and 415 (body), 422 (invalid values), 431 (headers), 501 (transfer coding) and
503 (database) are described here once. The operations list their other errors."""
COMMON_ERRORS = (
    http.BadRequest,
    HostNotAllowed,
    http.RequestEntityTooLarge,
    http.RequestHeaderFieldsTooLarge,
    http.NotImplemented,
    ValidationFailed,
)
DATABASE_ERRORS = (OperationalError, QueryTimeout, WriteConflict)
REQUEST_HEADERS = {
    "If-None-Match": "The ETag of the version you have. If it is current, the answer is 304.",
    "If-Match": "The ETag of the version you want to change, or `*` for any.",
    "Range": "The bytes of the file that you need, such as `bytes=0-999`. The answer is 206.",
    "If-Range": "The ETag of the file that you have a part of. If it has changed, you get all of it.",
    "Idempotency-Key": "A unique name for this request, such as a UUID. If you repeat the request within a "
    "day, you get the same response, and nothing is created twice.",
}
KEY = {"minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}
HEADERS: dict[str, tuple[str, str | int]] = {
    "ETag": (
        "The version of the resource, for If-None-Match and If-Match.",
        '"04df85b301a4b7482554a823102665ce"',
    ),
    "Accept-Ranges": ("The unit of Range.", "bytes"),
    "Location": ("The path of the new resource.", "/things/6676cf0e-7e30-437f-adce-39344e766fd4"),
    "Retry-After": ("Seconds to wait before trying again.", 1),
    "WWW-Authenticate": ("Which authentication is needed (RFC 6750).", 'Bearer error="invalid_token"'),
    "X-Request-ID": ("The id of this request: the one you sent, or a new one.", REQUEST_ID),
}


class Document(NamedTuple):
    """What an app adds to its OpenAPI document."""

    description: str
    headers: Mapping[str, tuple[str, str | int]]  # by name: a description and an example


def init_app(app: Flask, description: str, headers: Mapping[str, tuple[str, str | int]]) -> None:
    """Check the views and describe the API. Call it once all blueprints are registered.

    `headers` describes response headers, in addition to those of the kit: name -> (description, example).
    Raises TypeError if a view declares an error or a header that isn't described.
    """
    app.extensions["openapi"] = Document(description, HEADERS | dict(headers))
    check(app)


def text(app: Flask, prefix: str = "") -> str:
    """Return the document as JSON. The same code gives the same text; it's generated once per app.

    `prefix` is the path of the API at the proxy in front.
    """
    if "openapi_text" not in app.extensions:
        app.extensions["openapi_text"] = json.dumps(build(app), indent=2, ensure_ascii=False) + "\n"
    document = cast("str", app.extensions["openapi_text"])
    return document.replace('"url": "/"', f'"url": "{prefix}"', 1) if prefix else document


def response_headers(app: Flask) -> Iterable[str]:
    """Return the names of the documented response headers."""
    return _about(app).headers if "openapi" in app.extensions else ()


def build(app: Flask) -> JsonObject:
    """Return the document."""
    settings = cast("Settings", app.extensions["settings"])
    about = _about(app)
    paths: dict[str, JsonObject] = {}
    models: dict[type[BaseModel], JsonSchemaMode] = {
        problem.schema: "serialization" for problem in problems.all_problems(app)
    }
    schemes: dict[str, JsonObject] = {}
    for rule, method, declaration, view in _operations(app):
        path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        paths.setdefault(path, {})[method.lower()] = _operation(app, rule, method, declaration, view)
        if declaration.body:
            models[declaration.body] = "validation"
        if isinstance(declaration.returns, type):
            models[declaration.returns] = "serialization"
        if declaration.auth:
            schemes[declaration.auth.scheme.name] = _bearer_scheme(declaration.auth.scheme, "JWT")
        if keys := _key_scheme(app, declaration):
            schemes[keys.name] = _bearer_scheme(keys)
        if cookie := of_app(app).cookies.get(rule.endpoint):
            schemes[cookie.name] = _cookie_scheme(cookie)
    used = set(re.findall(r"#/components/examples/(\w+)", json.dumps(paths)))
    _, definitions = models_json_schema(list(models.items()), ref_template=REF)
    sent = _sent(paths)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": settings.app_name,
            "version": settings.version,
            "description": about.description + READ_ONLY_TEXT + COMMON_ERRORS_TEXT,
            "contact": {"name": f"The operators of this {settings.app_name}"},
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "The server of this document."}],
        "tags": _tags(app, paths),
        "paths": paths,
        "components": {
            "schemas": {name: _plain(schema) for name, schema in sorted(definitions["$defs"].items())},
            "examples": {
                problem.code: _problem_example(problem)
                for problem in problems.all_problems(app)
                if problem.code in used
            },
            "headers": {name: _header(*header) for name, header in about.headers.items() if name in sent},
            "securitySchemes": dict(sorted(schemes.items())),
        },
    }


def _sent(paths: JsonObject) -> set[str]:
    """Return the names of the headers of all responses."""
    operations = (operation for path in paths.values() for operation in path.values())
    responses = (each for operation in operations for each in operation["responses"].values())
    return {name for response in responses for name in response.get("headers", {})}


def _about(app: Flask) -> Document:
    return cast("Document", app.extensions["openapi"])


def check(app: Flask) -> None:
    """Refuse a view that declares an error or a header that isn't described. Raises TypeError."""
    for _, _, declaration, view in _operations(app):
        place = f"{view.__module__}.{view.__qualname__}"
        for error in (*declaration.raises, *(declaration.auth.raises if declaration.auth else ())):
            if not find_problem(app, error):
                raise TypeError(
                    f"{place} declares raises=[{error.__name__}], which has no line in PROBLEMS. "
                    "Add one to app/blueprint/handlers.py."
                )
        limit = cast("Settings", app.extensions["settings"]).max_upload_bytes
        if declaration.upload and declaration.upload.max_bytes > limit:
            raise TypeError(
                f"{place} takes files of up to {declaration.upload.max_bytes} bytes, and MAX_UPLOAD_BYTES is "
                f"{limit}. Raise the setting, or lower max_bytes."
            )
        for name in set(declaration.headers) - set(_about(app).headers):
            raise TypeError(
                f"{place} declares headers=[{name!r}], which isn't described. "
                "Add it to RESPONSE_HEADERS in app/blueprint/__init__.py."
            )


def _operations(app: Flask) -> Iterator[tuple[Rule, str, Declaration, Callable[..., object]]]:
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        declaration = getattr(view, "declaration", None)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            if declaration:
                yield rule, method, _extended(app, rule.endpoint, declaration), view


def _extended(app: Flask, endpoint: str, declaration: Declaration) -> Declaration:
    """Return a declaration with what the app's features add to it."""
    features = of_app(app)
    schemas = {name: getattr(declaration, name) for name in ("query", "body", "returns")}
    extended: Any = {name: features.schemas.get(schema, schema) for name, schema in schemas.items()}
    key_scheme = _key_scheme(app, declaration)
    raises = [
        *declaration.raises,
        *features.errors.get(endpoint, ()),
        *(key_scheme.errors if key_scheme else ()),
    ]
    return replace(declaration, raises=raises, **extended)


def _key_scheme(app: Flask, declaration: Declaration) -> KeyScheme | None:
    """Return the scheme of the keys that are known where this view is authenticated, if any."""
    scheme = of_app(app).keys
    is_known = scheme and declaration.auth and declaration.auth.scheme.name == scheme.in_place_of
    return scheme if is_known else None


def _operation(
    app: Flask, rule: Rule, method: str, declaration: Declaration, view: Callable[..., object]
) -> JsonObject:
    summary, _, more = (view.__doc__ or "").partition("\n")
    description = "\n".join(line.strip() for line in [summary, *more.splitlines()]).strip()
    auth = declaration.auth
    blueprint = rule.endpoint.partition(".")[0]
    operation: JsonObject = {
        "operationId": rule.endpoint.replace(".", "_"),
        "tags": [blueprint],
        "summary": summary.partition(". ")[0].rstrip("."),
        "description": "\n\n".join(
            [description, *([_roles_text(auth.roles)] if auth and auth.roles else [])]
        ),
        "security": list(_security(app, rule, declaration)),
        "parameters": [
            *_path_parameters(rule),
            *_query_parameters(declaration.query),
            *_header_parameters(method, declaration),
        ],
        "responses": _responses(app, rule, method, declaration),
    }
    if declaration.query is None:
        operation["x-unknown-parameters"] = "ignored"  # read by tools/client_files
    if declaration.body:
        operation["requestBody"] = _request_body(
            method, declaration.body, optional=declaration.body_is_optional
        )
    if declaration.upload:
        operation["requestBody"] = _upload_body(declaration.upload)
    return operation


def _security(app: Flask, rule: Rule, declaration: Declaration) -> Iterator[JsonObject]:
    """Return the security schemes of an operation. A request needs one of them."""
    if auth := declaration.auth:
        # OpenAPI 3.1 lets schemes other than OAuth2 name the roles. One of them suffices.
        yield {auth.scheme.name: list(auth.roles)}
    if declaration.scope and (keys := _key_scheme(app, declaration)):
        yield {keys.name: [declaration.scope]}
    if cookie := of_app(app).cookies.get(rule.endpoint):
        yield {cookie.name: []}


def _bearer_scheme(scheme: BearerScheme | KeyScheme, form: str = "") -> JsonObject:
    known_form = {"bearerFormat": form} if form else {}
    return {"type": "http", "scheme": "bearer", **known_form, "description": scheme.description}


def _cookie_scheme(scheme: CookieScheme) -> JsonObject:
    return {"type": "apiKey", "in": "cookie", "name": scheme.cookie, "description": scheme.description}


def _roles_text(roles: Sequence[str]) -> str:
    *others, last = (f"`{role}`" for role in roles)
    return f"Requires the role {', '.join(others)}{' or ' if others else ''}{last}."


def _path_parameters(rule: Rule) -> Iterator[JsonObject]:
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


def _query_parameters(query: type[Query] | None) -> Iterator[JsonObject]:
    if query is None:
        return
    properties = _plain(query.model_json_schema()).get("properties", {})
    for name, schema in properties.items():
        yield {
            "name": name,
            "in": "query",
            "required": query.model_fields[name].is_required(),
            "description": schema.pop("description", f"The {name}."),
            # A list is written with commas: genre__in=novel,poem.
            **({"style": "form", "explode": False} if schema.get("type") == "array" else {}),
            "schema": schema,
            **({"style": "form", "explode": False} if schema.get("type") == "array" else {}),
        }


def _header_parameters(method: str, declaration: Declaration) -> Iterator[JsonObject]:
    """Return the request headers that affect an operation."""
    accepted = {
        "If-None-Match": method == "GET"
        and (declaration.etag or 304 in declaration.also or _has_ranges(declaration)),
        "Range": method == "GET" and _has_ranges(declaration),
        "If-Range": method == "GET" and _has_ranges(declaration),
        "If-Match": _checks_version(method, declaration),
        "Idempotency-Key": IdempotencyKeyReused in declaration.raises,
    }
    for name in (name for name, is_accepted in accepted.items() if is_accepted):
        yield {
            "name": name,
            "in": "header",
            "required": name == "If-Match" and PreconditionRequired in declaration.raises,
            "description": REQUEST_HEADERS[name],
            "schema": {"type": "string", "maxLength": 8000} | (KEY if name == "Idempotency-Key" else {}),
        }


def _checks_version(method: str, declaration: Declaration) -> bool:
    return declaration.etag and method in ("PATCH", "PUT", "DELETE")


def _has_ranges(declaration: Declaration) -> bool:
    return isinstance(declaration.returns, FileResponse) and declaration.returns.ranges


def _upload_body(upload: Upload) -> JsonObject:
    file = {"type": "string", "format": "binary", "maxLength": upload.max_bytes}
    fields = _plain(upload.fields.model_json_schema(ref_template=REF)) if upload.fields else {}
    form = {
        "type": "object",
        "properties": {upload.part: file, **fields.get("properties", {})},
        "required": [upload.part, *fields.get("required", [])],
        "additionalProperties": False,
    }
    encoding = {upload.part: {"contentType": ", ".join(upload.media_types)}}
    raw = {each: {"schema": file} for each in upload.media_types if upload.takes_raw_bodies}
    return {"required": True, "content": {MULTIPART: {"schema": form, "encoding": encoding}, **raw}}


def _returned(returns: type[ResponseBody] | FileResponse) -> JsonObject:
    if isinstance(returns, FileResponse):
        file = {"schema": {"type": "string", "format": "binary", "maxLength": MAX_FILE_BYTES}}
        return dict.fromkeys(returns.media_types, file)
    return {"application/json": _content(returns)}


def _request_body(method: str, body: type[RequestBody], *, optional: bool) -> JsonObject:
    types = ["application/json"] + (["application/merge-patch+json"] if method == "PATCH" else [])
    return {"required": not optional, "content": dict.fromkeys(types, _content(body))}


def _content(model: type[BaseModel]) -> JsonObject:
    extra: Any = model.model_config.get("json_schema_extra") or {}
    example = {"example": extra["examples"][0]} if "examples" in extra else {}
    return {"schema": {"$ref": REF.format(model=model.__name__)}, **example}


def _responses(app: Flask, rule: Rule, method: str, declaration: Declaration) -> JsonObject:
    has_ranges = _has_ranges(declaration)
    own_headers = [
        *(["ETag"] if has_ranges or (declaration.etag and declaration.returns) else []),
        *(["Accept-Ranges"] if has_ranges else []),
        *declaration.headers,
    ]
    success: JsonObject = {
        "description": HTTP_STATUS_CODES[declaration.status],
        "headers": _headers(["X-Request-ID", *own_headers]),
    }
    if declaration.returns:
        success["content"] = _returned(declaration.returns)
    responses = {str(declaration.status): success}
    if has_ranges:
        responses["206"] = success | {"description": "The bytes that Range names."}
    has_versions = has_ranges or declaration.etag
    unchanged = {304: "You have the current version."} if has_versions and method == "GET" else {}
    for status, meaning in (unchanged | dict(declaration.also)).items():
        responses[str(status)] = {
            "description": meaning,
            "headers": _headers(["X-Request-ID", *(["ETag"] if status == 304 else ["Location"])]),
        }
    by_status: dict[int, list[ProblemType]] = {}
    for problem in _problems(app, rule, method, declaration):
        by_status.setdefault(problem.status, []).append(problem)
    for status, of_status in sorted(by_status.items()):
        responses[str(status)] = _problem_response(of_status)
    return responses


def _problems(app: Flask, rule: Rule, method: str, declaration: Declaration) -> list[ProblemType]:
    """Return the problems of an operation: those of the view, and those of what it declares."""
    errors: list[type[Exception]] = [*COMMON_ERRORS, *declaration.raises]
    if rate_limits.is_limited(app, rule.rule):
        errors += [TooManyAttempts, *DATABASE_ERRORS]
    if declaration.auth:
        errors += declaration.auth.raises
    if declaration.body:
        errors += [MalformedJson, UnsupportedMediaType]
    if declaration.upload:
        errors += [MalformedForm, UnsupportedMediaType, Overloaded]
    if _has_ranges(declaration):
        errors.append(http.RequestedRangeNotSatisfiable)
    if _checks_version(method, declaration):
        errors.append(PreconditionFailed)
    if declaration.uses_database:
        errors += DATABASE_ERRORS
    codes = {problem.code for error in errors if (problem := find_problem(app, error))}
    return [problem for problem in problems.all_problems(app) if problem.code in codes]


def _problem_response(of_status: list[ProblemType]) -> JsonObject:
    # Documented headers must always be there, so document only those that all problems have in common.
    schemas = [
        {"$ref": REF.format(model=name)} for name in sorted({each.schema.__name__ for each in of_status})
    ]
    names = {"X-Request-ID"} | set.intersection(*(set(problem.headers) for problem in of_status))
    return {
        "description": " ".join(problem.meaning for problem in of_status),
        "headers": _headers(sorted(names)),
        "content": {
            MEDIA_TYPE: {
                "schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas},
                "examples": {
                    problem.code: {"$ref": f"#/components/examples/{problem.code}"} for problem in of_status
                },
            }
        },
    }


def _problem_example(problem: ProblemType) -> JsonObject:
    is_validation = FieldsRefused in problem.errors
    fields = [FieldError("Unknown parameter.", "unknown_field", parameter="colour")] if is_validation else []
    members = {
        name: field.examples[0] for name, field in problem.schema.model_fields.items() if field.examples
    }
    value = json.loads(problems.body(problem, REQUEST_ID, fields=fields, members=members))
    return {"summary": problem.title, "description": problem.advice, "value": value}


def _headers(names: Iterable[str]) -> JsonObject:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _header(description: str, example: str | int) -> JsonObject:
    schema: JsonObject = {"type": "string", "maxLength": 200}
    if isinstance(example, int):
        schema = {"type": "integer", "minimum": 1, "maximum": 3600}
    return {"description": description, "required": True, "schema": schema, "example": example}


def _tags(app: Flask, paths: dict[str, JsonObject]) -> list[JsonObject]:
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
