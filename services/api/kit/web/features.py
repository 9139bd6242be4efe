"""What an optional feature changes in views that exist without it: more fields in schemas, and more errors.

The OpenAPI document and the responses of an app without the feature have no trace of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar, cast

from flask import Flask, current_app


class KeyScheme(NamedTuple):
    """A security scheme for keys with scopes, which callers may use in place of a token."""

    name: str
    description: str
    in_place_of: str  # the name of the tokens' scheme
    errors: tuple[type[Exception], ...]  # of every view with that scheme


Schema = TypeVar("Schema", bound=type[Any])


@dataclass
class Features:
    """The changes that the features of one app make."""

    schemas: dict[type[Any], type[Any]] = field(default_factory=dict)
    errors: dict[str, tuple[type[Exception], ...]] = field(default_factory=dict)
    keys: KeyScheme | None = None


def extend_schemas(app: Flask, extended: Mapping[type[Any], type[Any]]) -> None:
    """Use other schemas in this app, each a subclass of the one that it replaces."""
    for original, replacement in extended.items():
        if not issubclass(replacement, original):
            raise TypeError(f"{replacement.__name__} must be a subclass of {original.__name__}.")
    of_app(app).schemas.update(extended)


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
    features = current_app.extensions.get("features") if current_app else None
    return cast("Schema", features.schemas.get(schema, schema)) if features else schema
