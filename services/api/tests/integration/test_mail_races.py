"""Resets, changes, verifications, logins and deletions at the same moment, on a real server."""

from collections.abc import Callable
from random import Random
from uuid import UUID, uuid4

import httpx
import pytest
from sqlalchemy import func, select

from app.database import db
from app.model.links import Link, LinkRepository, Purpose
from app.model.user_repository import UserRepository
from tests.support import plain_http
from tests.support.concurrency import at_once
from tests.support.credentials import PASSWORD, bearer
from tests.support.people import People, Person
from tests.support.servers import Live

pytestmark = [pytest.mark.any_database, pytest.mark.long]
OWN, PENDING = "ann@example.com", "new@example.com"
CHANGED, FIRST, SECOND = (f"the {which} horse, a new staple" for which in ("changed", "first", "second"))


def send_links(people: People, ann: Person) -> tuple[str, str, str]:
    """Return the tokens of two links for a new password, and of one that verifies a new address."""
    with people.app.app_context():
        users, links = UserRepository(db.session), LinkRepository(db.session)
        user = users.find_locked(UUID(ann.id))
        users.verify_email(user, OWN)
        user.pending_email = PENDING
        resets = [links.create(uuid4(), user.id, Purpose.RESET_PASSWORD, OWN) for _ in range(2)]
        verification = links.create(uuid4(), user.id, Purpose.VERIFY_EMAIL, PENDING)
        db.session.commit()
    return resets[0], resets[1], verification


@pytest.mark.parametrize("seed", range(20))  # on each of the two databases
def test_an_account_is_consistent_whatever_happens_at_once(live: Live, seed: int) -> None:
    url, people = live
    ann = people("ann")
    first, second, verification = send_links(people, ann)

    def post(path: str, **body: str) -> Callable[[], httpx.Response]:
        return lambda: plain_http.post(f"{url}{path}", json=body)

    change = {"password": CHANGED, "current_password": PASSWORD}
    requests: dict[str, Callable[[], httpx.Response]] = {
        "first": post("/auth/password-reset/confirm", token=first, password=FIRST),
        "again": post("/auth/password-reset/confirm", token=first, password=FIRST),
        "second": post("/auth/password-reset/confirm", token=second, password=SECOND),
        "verify": post("/auth/email/verify", token=verification),
        "change": lambda: plain_http.patch(f"{url}/account", headers=ann.headers, json=change),
        "login": post("/auth/login", username=OWN, password=PASSWORD),
        "delete": lambda: plain_http.delete(f"{url}/account", headers=ann.headers),
    }
    random = Random(seed)
    if seed % 4:
        del requests["delete"]
    names = random.sample(sorted(requests), k=min(len(requests), 4 + seed % 3))

    responses = dict(zip(names, at_once(*(requests[name] for name in names)), strict=True))

    statuses = {name: response.status_code for name, response in responses.items()}
    assert set(statuses.values()) <= {200, 204, 400, 401, 403}, statuses
    passed = {name for name, status in statuses.items() if status < 300}
    assert len(passed & {"first", "again", "second"}) <= 1  # each link voids the others
    if "delete" in passed:
        assert [works(url, name) for name in (PASSWORD, CHANGED, FIRST, SECOND)] == [False] * 4
        assert links_of(people, ann) == 0
        return
    passwords = {"change": CHANGED, "first": FIRST, "again": FIRST, "second": SECOND}
    changes = passed & set(passwords)
    valid = [each for each in (PASSWORD, CHANGED, FIRST, SECOND) if works(url, each)]
    assert len(valid) == 1
    assert valid[0] in ({passwords[name] for name in changes} or {PASSWORD})
    if changes:
        assert links_of(people, ann) == 0
        assert not is_accepted(url, ann.access)
    if "login" in passed:
        assert is_accepted(url, responses["login"].json()["access_token"]) == (not changes)


def works(url: str, password: str) -> bool:
    body = {"username": "ann", "password": password}
    return plain_http.post(f"{url}/auth/login", json=body).status_code == 200


def is_accepted(url: str, token: str) -> bool:
    return plain_http.get(f"{url}/account", headers=bearer(token)).status_code == 200


def links_of(people: People, ann: Person) -> int:
    with people.app.app_context():
        return db.session.scalar(select(func.count()).where(Link.user_id == UUID(ann.id))) or 0
