"""Errors that only exist in HTTP: about the request itself, or about the server's state."""

from kit.errors import DomainError, FieldsRefused


class MalformedJson(DomainError):
    message = "The body isn't strict JSON."
    advice = (
        "Send one JSON text in UTF-8, at most 32 levels deep, without a byte order mark, NaN, Infinity, "
        "repeated names or lone surrogates."
    )


class UnsupportedMediaType(DomainError):
    message = "The body isn't declared as plain JSON in UTF-8."
    advice = "Send a media type that the documentation lists for this operation, and no Content-Encoding."


class MalformedForm(DomainError):
    message = "The body isn't a well-formed form."
    advice = (
        "Send multipart/form-data as browsers do (RFC 7578): its parts have names, of which none is repeated."
    )


class BodyTooLarge(DomainError):
    message = "The body is too long."


class ValidationFailed(FieldsRefused):
    """The body or the query doesn't match its schema."""


class HostNotAllowed(DomainError):
    message = "This API doesn't serve the host in the Host header."
    advice = "Use the API's own host name."


class PreconditionFailed(DomainError):
    message = "The resource has changed since the version in If-Match."
    advice = "Read the resource again, repeat your change, and send its new ETag as If-Match."


class PreconditionRequired(DomainError):
    message = "Changing this resource requires the header If-Match."
    advice = "Read the resource, and send its ETag as If-Match with the change."


class NotReady(DomainError):
    message = "The app can't serve requests yet, or is shutting down."
    advice = "Wait until GET /health/ready answers 200."
