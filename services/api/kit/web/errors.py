"""Errors that only exist in HTTP: about the request itself, or about the server's state."""

from kit.errors import DomainError, FieldsRefused


class MalformedJson(DomainError):
    message = "The body isn't strict JSON."


class UnsupportedMediaType(DomainError):
    message = "The body isn't declared as JSON in UTF-8."


class ValidationFailed(FieldsRefused):
    """The body or the query doesn't match its schema."""


class HostNotAllowed(DomainError):
    message = "This API doesn't answer under the name in the Host header."


class PreconditionFailed(DomainError):
    message = "The resource has changed since the version in If-Match."


class PreconditionRequired(DomainError):
    message = "Changing this resource requires the header If-Match."


class NotReady(DomainError):
    message = "The app can't serve requests yet, or is shutting down."
