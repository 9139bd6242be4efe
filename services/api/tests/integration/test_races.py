"""Concurrent requests, with a real server and the real engine."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import cast
from uuid import UUID

import httpx
import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import func, select, update

from app.database import db
from app.model.models import KnownNetwork, Role, Session, Token, User
from app.model.user_repository import UserRepository
from kit.clock import now
from kit.security.hashers import PasswordHash
from tests.support import plain_http
from tests.support.concurrency import at_once
from tests.support.credentials import PASSWORD, bearer
from tests.support.people import People, Person
from tests.support.servers import Live

NEW = "a whole new passphrase"


def refreshing(url: str, token: str) -> Callable[[], httpx.Response]:
    return lambda: plain_http.post(f"{url}/auth/refresh", headers=bearer(token))


def still_works(url: str, *tokens: str) -> list[bool]:
    return [plain_http.get(f"{url}/account", headers=bearer(token)).status_code == 200 for token in tokens]


def test_twenty_refreshes_at_once_have_one_successor(live: Live) -> None:
    url, people = live
    ann = people("ann")

    answers = at_once(*[refreshing(url, ann.refresh)] * 20)

    assert Counter(answer.status_code for answer in answers) == {200: 20}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 1
    assert len({answer.json()["access_token"] for answer in answers}) == 1
    with people.app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Token)) == 4
    assert refreshing(url, answers[0].json()["refresh_token"])().status_code == 200


@pytest.mark.parametrize("attempt", range(2))
@pytest.mark.parametrize("ending", ["logout", "all", "revoke", "password", "delete"])
def test_no_token_outlives_the_end_of_its_session(live: Live, ending: str, attempt: int) -> None:
    url, people = live
    ann = people("ann")
    other = people.log_in("ann")
    id_ = str(_refresh_id(people, other))
    endings: dict[str, Callable[[], httpx.Response]] = {
        "logout": lambda: plain_http.post(f"{url}/auth/logout", headers=other.headers),
        "all": lambda: plain_http.post(f"{url}/auth/logout", headers=ann.headers, json={"scope": "all"}),
        "revoke": lambda: plain_http.put(
            f"{url}/auth/token/{id_}", headers=ann.headers, json={"revoke": True}
        ),
        "password": lambda: plain_http.patch(
            f"{url}/account", headers=ann.headers, json={"password": NEW, "current_password": PASSWORD}
        ),
        "delete": lambda: plain_http.delete(f"{url}/account", headers=ann.headers),
    }

    *refreshed, ended = at_once(*[refreshing(url, other.refresh)] * 4, endings[ending])

    assert ended.status_code in (200, 204), ended.text
    assert {answer.status_code for answer in refreshed} <= {200, 401}
    for answer in refreshed:
        if answer.status_code == 200:
            assert still_works(url, answer.json()["access_token"]) == [False]
            assert refreshing(url, answer.json()["refresh_token"])().status_code == 401
    assert still_works(url, other.access) == [False]


def _refresh_id(people: People, person: Person) -> object:
    with people.app.app_context():
        return db.session.get_one(Session, UUID(person.session_id)).refresh_id


def test_a_username_is_registered_once_in_any_case(live: Live) -> None:
    url, _ = live

    def registering(name: str) -> Callable[[], httpx.Response]:
        body = {"username": name, "password": PASSWORD}
        return lambda: plain_http.post(f"{url}/auth/register", json=body)

    answers = at_once(*[registering(name) for name in ("ann", "Ann", "aNN", "ANN") * 2])

    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 7}


def test_a_login_during_a_password_change_leaves_no_session_of_the_old_password(live: Live) -> None:
    url, people = live
    ann = people("ann")
    body = {"username": "ann", "password": PASSWORD}

    *logins, changed = at_once(
        *[lambda: plain_http.post(f"{url}/auth/login", json=body)] * 4,
        lambda: plain_http.patch(
            f"{url}/account",
            headers=ann.headers,
            json={"password": NEW, "current_password": PASSWORD},
        ),
    )

    assert changed.status_code == 200
    assert {answer.status_code for answer in logins} <= {200, 401}
    tokens = [answer.json()["access_token"] for answer in logins if answer.status_code == 200]
    assert not any(still_works(url, *tokens))


def test_only_one_of_many_concurrent_password_changes_succeeds(live: Live) -> None:
    url, people = live
    ann = people("ann")

    def changing(password: str) -> Callable[[], httpx.Response]:
        body = {"password": password, "current_password": PASSWORD}
        return lambda: plain_http.patch(f"{url}/account", headers=ann.headers, json=body)

    answers = at_once(*[changing(f"a new passphrase {letter}") for letter in "wxyz"])

    assert Counter(answer.status_code for answer in answers) == {200: 1, 403: 3}


def test_an_account_is_deleted_once(live: Live) -> None:
    url, people = live
    ann = people("ann")

    answers = at_once(*[lambda: plain_http.delete(f"{url}/account", headers=ann.headers)] * 5)

    assert Counter(answer.status_code for answer in answers) == {204: 1, 401: 4}


@pytest.mark.parametrize(
    "second_way", [["delete", "bob"], ["role", "bob", "user"], ["disable", "bob"]], ids=" ".join
)
def test_only_one_of_the_last_two_admins_can_leave_at_once(
    committed_app: Flask, password_hash: PasswordHash, second_way: list[str]
) -> None:
    people = People(committed_app, password_hash)
    for name in ("ann", "bob"):
        people.register(name, Role.ADMIN)

    def leave_second() -> Result:
        return committed_app.test_cli_runner().invoke(args=["user", *second_way])

    with committed_app.app_context(), ThreadPoolExecutor(1) as pool:
        users = UserRepository(db.session)
        users.remove(cast("User", users.find_by_username("ann")).id)
        second = pool.submit(leave_second)
        time.sleep(0.3)  # by now, the second one is waiting or done
        db.session.commit()

    assert second.result(timeout=60).exit_code == 1
    assert "last account with the role admin" in second.result().stderr


@pytest.mark.parametrize("attempt", range(3))
def test_only_one_of_two_admins_who_disable_each_other_at_once_succeeds(live: Live, attempt: int) -> None:
    url, people = live
    ann, bob = people("ann", Role.ADMIN), people("bob", Role.ADMIN)
    people.register("cat", Role.ADMIN)  # so that neither is the last one

    def disabling(admin: Person, other: Person) -> Callable[[], httpx.Response]:
        return lambda: plain_http.patch(
            f"{url}/users/{other.id}", headers=admin.headers, json={"disabled": True}
        )

    answers = at_once(disabling(ann, bob), disabling(bob, ann))

    assert sorted(answer.status_code for answer in answers) == [200, 401]
    assert sorted(still_works(url, ann.access, bob.access)) == [False, True]


def test_logouts_of_all_scopes_at_once_do_not_deadlock(live: Live) -> None:
    url, people = live
    people.register("ann")
    sessions = [people.log_in("ann") for _ in range(6)]

    def leaving(person: Person, scope: str) -> Callable[[], httpx.Response]:
        return lambda: plain_http.post(f"{url}/auth/logout", headers=person.headers, json={"scope": scope})

    answers = at_once(
        *[leaving(p, s) for p, s in zip(sessions, ["all", "others", "session"] * 2, strict=True)]
    )

    assert {answer.status_code for answer in answers} <= {204, 401}
    assert 204 in {answer.status_code for answer in answers}


def test_deleting_old_rows_at_once_does_not_deadlock(live: Live) -> None:
    url, people = live
    names = [f"ann{number}" for number in range(6)]
    for name in names:
        people.register(name)
        for _ in range(5):
            people.log_in(name)
    _expire_everything(people)
    ann, bob = people.log_in("ann0"), people.log_in("ann1")

    def logging_in(name: str) -> Callable[[], httpx.Response]:
        return lambda: plain_http.post(f"{url}/auth/login", json={"username": name, "password": PASSWORD})

    answers = at_once(
        *map(logging_in, names),
        *[refreshing(url, ann.refresh)] * 2,
        lambda: plain_http.post(f"{url}/auth/logout", headers=ann.headers, json={"scope": "others"}),
        lambda: plain_http.delete(f"{url}/account", headers=bob.headers),
    )

    assert {answer.status_code for answer in answers} <= {200, 204, 401}
    assert [answer.status_code for answer in answers[2:6]] == [200] * 4


def _expire_everything(people: People) -> None:
    long_ago = now() - timedelta(days=365)
    with people.app.app_context():
        db.session.execute(update(Session).values(expires_at=long_ago))
        db.session.execute(update(Token).values(expires_at=long_ago))
        db.session.execute(update(KnownNetwork).values(last_seen_at=long_ago))
        db.session.commit()


def test_concurrent_logins_leave_at_most_fifty_sessions(live: Live, committed_app: Flask) -> None:
    url, people = live
    people.register("ann")
    for _ in range(48):
        people.log_in("ann")
    body = {"username": "ann", "password": PASSWORD}

    answers = at_once(*[lambda: plain_http.post(f"{url}/auth/login", json=body)] * 5)

    assert Counter(answer.status_code for answer in answers) == {200: 5}
    with committed_app.app_context():
        live_ones = select(func.count()).select_from(Session).where(Session.ended_at.is_(None))
        assert db.session.scalar(live_ones) == 50
