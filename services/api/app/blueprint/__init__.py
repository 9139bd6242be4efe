"""The views, one module per resource, and their schemas, yours to change.

BLUEPRINTS lists them in the order of the documentation.
"""

from app.blueprint import (
    account,
    audit,
    auth,
    health,
    index,
    users,
)
from kit.web import documentation, metrics, problem_pages

BLUEPRINTS = (
    auth.blueprint,
    account.blueprint,
    audit.blueprint,
    users.blueprint,
    problem_pages.blueprint,
    index.blueprint,
    health.blueprint,
    documentation.blueprint,
    metrics.blueprint,
)
DESCRIPTION = """Accounts and JWT sessions.

Register with `POST /auth/register`, log in with `POST /auth/login`, and send the access token as
`Authorization: Bearer <access_token>`. When it expires, `POST /auth/refresh` exchanges the refresh token
for a new pair. Every error is a problem (RFC 9457) with a stable `code`. `GET /problems` lists them."""
# Response headers that views declare, in addition to the kit's: name -> (description, example).
RESPONSE_HEADERS: dict[str, tuple[str, str | int]] = {
    "Content-Disposition": ("How to store the response.", 'attachment; filename="account.json"')
}
