"""The list of all blueprints: in this order the documents tell of them."""

from app.blueprint import (
    account,
    auth,
    documentation,
    health,
    index,
    metrics,
    problems,
    users,
)

BLUEPRINTS = (
    index.blueprint,
    documentation.blueprint,
    health.blueprint,
    metrics.blueprint,
    auth.blueprint,
    account.blueprint,
    users.blueprint,
    problems.blueprint,
)
