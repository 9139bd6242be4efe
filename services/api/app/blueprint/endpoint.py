"""What a view takes, returns and raises, declared beside it: read so, written so, and remembered."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from typing import Any, TypeVar

from flask import Response, g, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel

from app.authentication import Need
from app.blueprint.conditional import not_modified
from app.blueprint.schemas import Body, Query
from app.blueprint.validation import read_body, read_query, refuse_body
from app.plain_flask import refuse_coroutine

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Declaration:
    """What clients may rely on. The view is given `query` and `body` as far as declared, and `caller` if it
    asks for it."""

    needs: Need | None
    query: type[Query]
    body: type[Body] | None
    body_is_optional: bool
    returns: type[BaseModel] | None
    status: int
    headers: Sequence[str]
    also: Mapping[int, str]
    raises: Sequence[type[Exception]]
    uses_database: bool


def endpoint(
    *,
    needs: Need | None = None,
    query: type[Query] = Query,
    body: type[Body] | None = None,
    body_is_optional: bool = False,
    returns: type[BaseModel] | None = None,
    status: int = 200,
    headers: Sequence[str] = (),
    also: Mapping[int, str] | None = None,
    raises: Sequence[type[Exception]] = (),
    uses_database: bool = True,
) -> Callable[[View], Callable[..., ResponseReturnValue]]:
    """Declare a view. It returns what `returns` says, alone or with a dict of `headers`.

    The OpenAPI document says what is declared here: `also` are other statuses of success with what each
    means, `raises` the facts beyond those that come with the caller, the body and the database.
    """
    declaration = Declaration(
        needs, query, body, body_is_optional, returns, status, headers, also or {}, raises, uses_database
    )

    def decorate(view: View) -> Callable[..., ResponseReturnValue]:
        refuse_coroutine(view)  # Flask sees `answer`, which never is one
        asks = "caller" in signature(view).parameters

        @wraps(view)
        def answer(**path: Any) -> ResponseReturnValue:
            g.only_reads = request.method in ("GET", "HEAD")  # and so the database is asked: database.py
            caller = needs.verify() if needs else None
            arguments = _read(declaration) | ({"caller": caller} if asks else {})
            return _write(view(**arguments, **path), status)

        answer.declaration = declaration  # type: ignore[attr-defined]
        return answer

    return decorate


def _read(declaration: Declaration) -> dict[str, Any]:
    """Read the request, whose caller is known by now: a stranger's body is not even looked at."""
    arguments: dict[str, Any] = {}
    query = read_query(declaration.query)
    if declaration.query is not Query:
        arguments["query"] = query
    if declaration.body:
        arguments["body"] = read_body(declaration.body, optional=declaration.body_is_optional)
    else:
        refuse_body()
    return arguments


def _write(result: Any, status: int) -> ResponseReturnValue:
    if isinstance(result, Response):
        return result
    resource, headers = result if isinstance(result, tuple) else (result, None)
    data = b"" if resource is None else resource.model_dump_json().encode()
    response = Response(data, status, headers, content_type="application/json" if data else None)
    if not data:
        del response.headers["Content-Type"]
    return not_modified(response)
