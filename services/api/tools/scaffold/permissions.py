"""The rows of a resource in tests/authorization.md."""

from collections.abc import Sequence

from app.model.models import Role
from tools.scaffold.resource import Resource

ROLES = [role.value for role in Role if role not in (Role.USER, Role.ADMIN)]


def matrix_rows(resource: Resource, callers: Sequence[str]) -> list[str]:
    """Return the resource's rows for tests/authorization.md, which has a column for each caller."""
    one = f"{resource.path}/<uuid:{resource.name}_id>"
    every = resource.path
    routes = [("GET", every, 200), ("POST", every, 201), ("GET", one, 200), ("PATCH", one, 200),
              ("PUT", one, 200), ("DELETE", one, 204)]  # fmt: skip
    if resource.has_csv:
        routes.insert(1, ("GET", f"{every}/export.csv", 200))
    for file in (field.name.replace("_", "-") for field in resource.fields if field.type == "file"):
        # A new row has no file yet.
        routes += [
            ("PUT", f"{one}/{file}", 200),
            ("GET", f"{one}/{file}", 404),
            ("DELETE", f"{one}/{file}", 204),
        ]
    rows = []
    for method, path, success in routes:
        is_public = resource.access == "public" and method == "GET"
        cells = dict.fromkeys(callers, success if is_public else 401)
        if not is_public:
            cells |= dict.fromkeys(("owner", "other"), success if resource.is_owned else 403)
            cells |= {"admin": success, "key with the scope": success, "key without": 403}
        if resource.is_owned and path.startswith(one):
            cells |= dict.fromkeys(("other", "admin"), 404)
        cells |= dict.fromkeys(ROLES, cells["other"])
        rows.append(f"| {method} {path} | {' | '.join(str(cells[caller]) for caller in callers)} |")
    return rows
