"""What an optional feature changes in views that exist without it: fields in schemas, errors and credentials.

The OpenAPI document and the responses of an app without the feature have no trace of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar, cast

from flask import Flask, current_app
from pydantic import create_model


class KeyScheme(NamedTuple):
    """A security scheme for keys with scopes, which callers may use in place of a token."""

    name: str
    description: str
    in_place_of: str  # the name of the tokens' scheme
    errors: tuple[type[Exception], ...]  # of every view with that scheme


Schema = TypeVar("Schema", bound=type[Any])


class CookieScheme(NamedTuple):
    """A security scheme of the OpenAPI document: a token in a cookie."""

    name: str
    cookie: str
    description: str


@dataclass
class Features:
    """The changes that the features of one app make."""

    schemas: dict[type[Any], type[Any]] = field(default_factory=dict)
    errors: dict[str, tuple[type[Exception], ...]] = field(default_factory=dict)
    keys: KeyScheme | None = None
    cookies: dict[str, CookieScheme] = field(default_factory=dict)


def extend_schemas(app: Flask, extended: Mapping[type[Any], type[Any]]) -> None:
    """Use other schemas in this app, each a subclass of the one that it replaces."""
    for original, replacement in extended.items():
        if not issubclass(replacement, original):
            raise TypeError(f"{replacement.__name__} must be a subclass of {original.__name__}.")
    of_app(app).schemas.update(extended)


def add_fields(app: Flask, schema: type[Any], **fields: Any) -> None:
    """Add fields to a schema, or replace some, as it is in this app: other features may have extended it.

    The fields are those of pydantic's `create_model`: a type and a default.
    """
    current = of_app(app).schemas.get(schema, schema)
    extended = create_model(schema.__name__, __base__=current, __doc__=current.__doc__, **fields)
    extend_schemas(app, {schema: extended})


def accept_cookie(app: Flask, endpoint: str, scheme: CookieScheme) -> None:
    """Document that a view, such as `auth.refresh`, takes a cookie in place of the Authorization header."""
    of_app(app).cookies[endpoint] = scheme


def add_errors(app: Flask, endpoint: str, *errors: type[Exception]) -> None:
    """Document that a view, such as `auth.login`, raises more errors."""
    of_app(app).errors[endpoint] = (*of_app(app).errors.get(endpoint, ()), *errors)


def accept_keys(app: Flask, scheme: KeyScheme) -> None:
    """Document that views with a scope accept keys, too."""
    of_app(app).keys = scheme


def of_app(app: Flask) -> Features:
    return cast("Features", app.extensions.setdefault("features", Features()))


def in_this_app(schema: Schema) -> Schema:
    """Return the schema that the current app uses in place of this one: mostly itself."""
    try:
        features = current_app.extensions.get("features")
    except RuntimeError:  # no app; asking before would take as long again, for each row of a list
        return schema
    return cast("Schema", features.schemas.get(schema, schema)) if features else schema
