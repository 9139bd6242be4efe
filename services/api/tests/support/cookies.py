"""A page of the API's own origin, and the cookie that its browser stores."""

from dataclasses import dataclass, field
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.http import parse_cookie
from werkzeug.test import TestResponse

from tests.support.credentials import PASSWORD, bearer

NAME = "__Host-refresh_token"
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}
ATTRIBUTES = "Secure; HttpOnly; Path=/; SameSite=Strict"
CLEARED = f"{NAME}=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; {ATTRIBUTES}"


def sent_cookies(response: TestResponse) -> list[str]:
    """Return the values of Set-Cookie."""
    return response.headers.getlist("Set-Cookie")


def cookie_header(*values: str) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{NAME}={value}" for value in values)}


@dataclass
class Page:
    """A page whose user logs in with a cookie. `cookie` is what the browser stores."""

    app: Flask
    cookie: str = ""
    access: str = ""
    session_id: str = ""
    client: FlaskClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = self.app.test_client(use_cookies=False)

    def log_in(self, username: str) -> TestResponse:
        body = {"username": username, "password": PASSWORD, "cookie": True}
        return self._keep(self.client.post("/auth/login", json=body, headers=SAME_ORIGIN))

    def refresh(self) -> TestResponse:
        return self._keep(self.post("/auth/refresh"))

    def post(self, path: str, **more: Any) -> TestResponse:
        """Send a request that authenticates by cookie."""
        headers = SAME_ORIGIN | cookie_header(self.cookie) | more.pop("headers", {})
        return self.client.post(path, headers=headers, **more)

    def send(self, method: str, path: str, **more: Any) -> TestResponse:
        """Send a request with the access token, to which the browser adds the cookie."""
        headers = bearer(self.access) | SAME_ORIGIN | cookie_header(self.cookie) | more.pop("headers", {})
        return self.client.open(path, method=method, headers=headers, **more)

    def _keep(self, response: TestResponse) -> TestResponse:
        """Store the new cookie and the access token."""
        if response.status_code == 200:
            [sent] = sent_cookies(response)
            self.cookie = parse_cookie(sent.partition(";")[0])[NAME]
            self.access, self.session_id = response.json["access_token"], response.json["session_id"]
        return response
