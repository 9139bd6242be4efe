"""Declares what a view takes, returns and raises; reads the request and writes the response accordingly."""

import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from typing import Any, NamedTuple, TypeVar

from flask import Flask, Response, g, request
from flask.typing import ResponseReturnValue

from kit.data.database import release
from kit.errors import DomainError
from kit.web import read_only_fields
from kit.web.conditional import not_modified, set_etag
from kit.web.features import in_this_app
from kit.web.paths import with_prefix
from kit.web.plain_flask import refuse_coroutine
from kit.web.responses import FileResponse
from kit.web.schemas import Query, RequestBody, ResponseBody
from kit.web.uploads import Upload, receive
from kit.web.validation import read_body, read_query, receive_body, refuse_body

# Stricter than RFC 6749, section 3.3, so that scopes can be stored and sent with spaces between them.
SCOPE = re.compile(r"[a-z0-9_.-]{1,50}:[a-z0-9_.-]{1,50}")
View = TypeVar("View", bound=Callable[..., object])


class BearerScheme(NamedTuple):
    """A security scheme of the OpenAPI document."""

    name: str
    description: str


@dataclass(frozen=True)
class AuthRequirement:
    """How a view authenticates its caller: `verify` returns the caller, or raises one of `raises`.

    It gets the scope that an API key needs. None refuses every key. `roles` are those that may use the view,
    for the OpenAPI document: `verify` checks them. Without roles, every account may.
    """

    verify: Callable[[str | None], object]
    raises: tuple[type[DomainError], ...]
    scheme: BearerScheme
    roles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Declaration:
    """The arguments of `endpoint`."""

    auth: AuthRequirement | None
    scope: str | None
    keys: bool
    query: type[Query] | None
    body: type[RequestBody] | None
    body_is_optional: bool
    returns: type[ResponseBody] | FileResponse | None
    status: int
    headers: Sequence[str]
    etag: bool
    also: Mapping[int, str]
    raises: Sequence[type[Exception]]
    uses_database: bool
    upload: Upload | None = None

    def read_only_fields(self, body: type[RequestBody]) -> Set[str]:
        """Return the fields that a PUT or PATCH may send back. `check_if_match` checks their values."""
        returns = None if isinstance(self.returns, FileResponse) else self.returns
        returns = in_this_app(returns) if returns else None
        return read_only_fields.names(body, returns, checked=self.etag)


def endpoint(
    *,
    auth: AuthRequirement | None = None,
    scope: str | None = None,
    keys: bool = True,
    query: type[Query] | None = Query,
    body: type[RequestBody] | None = None,
    body_is_optional: bool = False,
    upload: Upload | None = None,
    returns: type[ResponseBody] | FileResponse | None = None,
    status: int = 200,
    headers: Sequence[str] = (),
    etag: bool = False,
    also: Mapping[int, str] | None = None,
    raises: Sequence[type[Exception]] = (),
    uses_database: bool = True,
) -> Callable[[View], Callable[..., ResponseReturnValue]]:
    """Declare a view. API keys with `scope` may use it; `keys=False` says that none may.

    The view gets `query` and `body` if declared, and `caller` if it has such a parameter. `upload` declares
    a file in place of a JSON body, which the view gets as `upload`.

    `query=None` ignores all parameters. That is for pages that people open from a link, and for probes.

    It returns a row or a body of the schema `returns`, alone or with a dict of `headers`. If that is a
    `FileResponse`, it returns a response of one of its media types. With `etag`, GET
    answers 304 if the client has that version; other methods declare If-Match, which the view checks with
    `check_if_match`. `also` maps other statuses of success to their meaning. `raises` lists the view's own
    errors, in addition to those of authentication, validation and the database. The OpenAPI document contains
    all of this.
    """
    if scope and not (auth and keys):
        raise TypeError("scope= needs auth=, and can't be combined with keys=False.")
    if scope and not SCOPE.fullmatch(scope):
        raise TypeError(f"scope={scope!r} isn't a scope. Name one such as notes:read.")
    if upload and body:
        raise TypeError(
            "upload= and body= can't be combined. Declare the form's fields with Upload(fields=...)."
        )
    declaration = Declaration(
        auth,
        scope,
        keys,
        query,
        body,
        body_is_optional,
        returns,
        status,
        headers,
        etag,
        also or {},
        raises,
        uses_database,
        upload,
    )

    def decorate(view: View) -> Callable[..., ResponseReturnValue]:
        refuse_coroutine(view)  # Flask only sees `respond`
        takes_caller = "caller" in signature(view).parameters

        @wraps(view)
        def respond(**arguments: Any) -> ResponseReturnValue:
            g.is_read_only = request.method in ("GET", "HEAD")  # read by kit/data/database.py
            if auth:
                caller = auth.verify(scope)
                if not upload and receive_body():  # the caller may have been logged out or disabled meanwhile
                    caller = auth.verify(scope)
                if takes_caller:
                    arguments["caller"] = caller
            if upload:
                return _respond_to_upload(declaration, upload, view, arguments)
            _read(declaration, arguments)
            return _write(view(**arguments), declaration)

        respond.declaration = declaration  # type: ignore[attr-defined]
        return respond

    return decorate


def _respond_to_upload(
    declaration: Declaration, upload: Upload, view: Callable[..., object], arguments: dict[str, Any]
) -> ResponseReturnValue:
    """Receive the file, after authentication and without a connection to the database, then call the view."""
    _read_query(declaration, arguments)
    release()
    with receive(upload) as arguments["upload"]:
        if declaration.auth:  # the caller may have been logged out or disabled meanwhile
            caller = declaration.auth.verify(declaration.scope)
            if "caller" in arguments:
                arguments["caller"] = caller
        return _write(view(**arguments), declaration)


def declared_scopes(app: Flask) -> tuple[str, ...]:
    """Return the scopes that the views of an app declare, sorted."""
    views = map(app.view_functions.get, {rule.endpoint for rule in app.url_map.iter_rules()})
    declarations = (getattr(view, "declaration", None) for view in views)
    return tuple(sorted({each.scope for each in declarations if each and each.scope}))


def _read(declaration: Declaration, arguments: dict[str, Any]) -> None:
    """Read query and body, after authentication: bodies of unknown callers aren't parsed."""
    _read_query(declaration, arguments)
    if declaration.body:
        body = in_this_app(declaration.body)
        changes = request.method in ("PUT", "PATCH")
        read_only = declaration.read_only_fields(body) if changes else frozenset()
        arguments["body"] = read_body(body, optional=declaration.body_is_optional, read_only=read_only)
    else:
        refuse_body()


def _read_query(declaration: Declaration, arguments: dict[str, Any]) -> None:
    query = read_query(in_this_app(declaration.query)) if declaration.query else None
    if declaration.query not in (None, Query):
        arguments["query"] = query


def _write(result: Any, declaration: Declaration) -> ResponseReturnValue:
    if isinstance(declaration.returns, FileResponse):
        return declaration.returns.checked(result)
    if isinstance(result, Response):
        return set_etag(result) if declaration.etag else result
    resource, headers = result if type(result) is tuple else (result, None)
    headers = with_prefix(headers)
    if resource is None:
        response = Response(b"", declaration.status, headers)
        del response.headers["Content-Type"]
        return response
    if not isinstance(resource, ResponseBody):
        if declaration.returns is None:
            raise TypeError(f"The view returns {resource!r}. Declare the schema with @endpoint(returns=...).")
        resource = declaration.returns.of(resource)
    data = resource.model_dump_json().encode()
    response = Response(data, declaration.status, headers, content_type="application/json")
    return set_etag(response) if declaration.etag else not_modified(response)
