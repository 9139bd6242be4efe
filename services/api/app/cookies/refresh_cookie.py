"""The cookie with the refresh token."""

from typing import Any
from uuid import UUID

from flask import Flask, Response, after_this_request, g, request
from pydantic import Field

from app.cookies.same_origin import require_same_origin
from app.exceptions import CrossOrigin
from app.token_delivery import TokenDelivery
from kit.errors import DomainError, InvalidToken
from kit.security import jwt
from kit.web import features
from kit.web.problems import INVALID_TOKEN
from kit.web.schemas import RequestBody

# Browsers accept this prefix only with Secure, with Path=/ and without Domain (RFC 6265bis, section 4.1.3.2).
# So no other host, such as a subdomain, can set the cookie.
NAME = "__Host-refresh_token"
ATTRIBUTES: Any = {"path": "/", "secure": True, "httponly": True, "samesite": "Strict"}

CHOICE = Field(
    False,
    description="Put the refresh token in a cookie that scripts can't read, and not in the body. "
    "Only for pages of the API's own origin.",
)


class RefreshCookie(TokenDelivery):
    """Puts the refresh token in a cookie if the client chose that at login."""

    def offer_choice(self, app: Flask, login: type[RequestBody], endpoint: str) -> None:
        features.add_fields(app, login, cookie=(bool, CHOICE))
        features.add_errors(app, endpoint, CrossOrigin)

    def is_chosen(self, body: object) -> bool:
        is_chosen = bool(getattr(body, "cookie", False))
        if is_chosen:
            require_same_origin()
        return is_chosen

    def read(self) -> str | None:
        values = request.cookies.getlist(NAME)
        if not values:
            return None
        require_same_origin()
        g.uses_cookie = True
        if len(values) > 1:  # no browser sends two: which one is meant is unclear
            raise InvalidToken
        return values[0]

    def is_used(self) -> bool:
        return bool(g.get("uses_cookie", False))

    def has_token_of(self, session_id: UUID) -> bool:
        try:
            [value] = request.cookies.getlist(NAME)
            claims = jwt.decode(value)
        except (ValueError, DomainError):
            return False
        return bool(claims["type"] == "refresh" and claims["sid"] == str(session_id))

    def deliver(self, refresh_token: str, seconds: int, *, in_cookie: bool) -> str | None:
        if not in_cookie:
            return refresh_token
        after_this_request(lambda response: _set_cookie(response, refresh_token, seconds))
        return None

    def forget(self, session_id: UUID) -> None:
        if self.has_token_of(session_id):
            after_this_request(_clear_cookie)

    def clear_if_refused(self, response: Response) -> Response:
        """Clear a cookie whose token can't be used any more."""
        is_refused = response.headers.get("WWW-Authenticate") == INVALID_TOKEN["WWW-Authenticate"]
        return _clear_cookie(response) if is_refused and self.is_used() else response


def _set_cookie(response: Response, value: str, seconds: int) -> Response:
    response.set_cookie(NAME, value, max_age=seconds, **ATTRIBUTES)
    return response


def _clear_cookie(response: Response) -> Response:
    response.delete_cookie(NAME, **ATTRIBUTES)
    return response
