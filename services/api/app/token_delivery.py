"""How refresh tokens get to clients and back. Without BROWSER_COOKIES: in bodies and headers only."""

from typing import cast
from uuid import UUID

from flask import Flask, current_app

from kit.web.schemas import RequestBody


class TokenDelivery:
    """Uses no cookies. With BROWSER_COOKIES=on, RefreshCookie (app/cookies) replaces it."""

    def offer_choice(self, app: Flask, login: type[RequestBody], endpoint: str) -> None:
        """Let the body of a view that completes a login ask for a cookie."""

    def is_chosen(self, _body: object) -> bool:
        """Return whether the body of a login asks for a cookie. Raises CrossOrigin if that isn't allowed."""
        return False

    def read(self) -> str | None:
        """Return the refresh token of a request that authenticates by cookie. Raises CrossOrigin."""
        return None

    def is_used(self) -> bool:
        """Return whether this request authenticates by cookie."""
        return False

    def has_token_of(self, _session_id: UUID) -> bool:
        """Return whether the request carries a cookie of this session, however it authenticates."""
        return False

    def deliver(self, refresh_token: str, _seconds: int, *, in_cookie: bool) -> str | None:
        """Return the refresh token for the body, or None if the response has it in a cookie."""
        return refresh_token

    def forget(self, _session_id: UUID) -> None:
        """Remove the cookie of a session that has ended."""


def init_app(app: Flask, delivery: TokenDelivery) -> None:
    app.extensions["token_delivery"] = delivery


def token_delivery() -> TokenDelivery:
    """Return how the current app delivers refresh tokens."""
    return cast("TokenDelivery", current_app.extensions["token_delivery"])


def offer_choice(app: Flask, login: type[RequestBody], endpoint: str) -> None:
    """Let the body of a view that completes a login ask for a cookie, if the app delivers cookies."""
    delivery: TokenDelivery = app.extensions["token_delivery"]
    delivery.offer_choice(app, login, endpoint)
