"""The rows of a resource in tests/authorization.md."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from app.model.models import Role
from tools.scaffold.parents import ParentList
from tools.scaffold.resource import Resource

ROLES = [role.value for role in Role if role not in (Role.USER, Role.ADMIN)]


class Route(NamedTuple):
    """A route of a resource, and who may use it."""

    name: str  # GET /books
    success: int
    access: str  # `public` for everyone, `owned` for users, or `admin`
    exceptions: dict[str, int] = {}  # callers with another status


def routes_of(resource: Resource, lists: Iterable[ParentList]) -> Iterator[Route]:
    """Yield the routes of a resource."""
    one = f"{resource.path}/<uuid:{resource.name}_id>"
    reads = "public" if resource.is_authored else resource.access
    writes = "owned" if resource.has_owner else "admin"
    private = {"other": 404, "admin": 404} if resource.is_owned else {}
    protected = {"other": 403} if resource.is_authored else private
    yield Route(f"GET {resource.path}", 200, reads)
    if resource.has_csv:
        yield Route(f"GET {resource.path}.csv", 200, reads)
    yield Route(f"POST {resource.path}", 201, writes)
    yield Route(f"GET {one}", 200, reads, private)
    for method, success in (("PATCH", 200), ("PUT", 200), ("DELETE", 204)):
        yield Route(f"{method} {one}", success, writes, protected)
    for file in (f"{one}/{field.segment}" for field in resource.fields if field.type == "file"):
        yield Route(f"PUT {file}", 200, writes, protected)
        yield Route(f"GET {file}", 404, reads, private)  # a new row has no file yet
        yield Route(f"DELETE {file}", 204, writes, protected)
    for each in lists:
        yield Route(f"GET {each.path}", 200, each.access)


def matrix_rows(resource: Resource, lists: Iterable[ParentList], callers: Sequence[str]) -> list[str]:
    """Return the resource's rows for tests/authorization.md, which has a column for each caller."""
    rows = []
    for route in routes_of(resource, lists):
        is_public = route.access == "public"
        cells = dict.fromkeys(callers, route.success if is_public else 401)
        if not is_public:
            cells |= dict.fromkeys(("owner", "other"), route.success if route.access == "owned" else 403)
            cells |= {"admin": route.success, "key with the scope": route.success, "key without": 403}
        cells |= route.exceptions
        cells |= dict.fromkeys(ROLES, cells["other"])
        rows.append(f"| {route.name} | {' | '.join(str(cells[caller]) for caller in callers)} |")
    return rows
