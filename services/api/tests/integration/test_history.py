"""What stays of past logins: how many rows, for how long, and how an account with many rows is deleted."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from sqlalchemy import Engine, event, func, select

from app.database import db
from app.model import retention
from app.model.api_keys import MAX_KEYS
from app.model.models import KnownNetwork, Role, Session, Token
from app.model.network_repository import MAX_NETWORKS, NetworkRepository
from app.model.session_repository import MAX_ENDED, MAX_LIVE
from app.model.token_repository import MAX_LIVE_ACCESS, MAX_PAIRS
from kit.clock import now
from tests.support.credentials import PASSWORD, bearer
from tests.support.paths import REPOSITORY
from tests.support.people import People, Person
from tests.support.problems import problem

HISTORY = (Session, Token, KnownNetwork)
DAY = timedelta(days=1)


def rows(app: Flask, model: Any, person: Person) -> list[Any]:
    with app.app_context():
        return list(db.session.scalars(select(model).where(model.user_id == UUID(person.id))))


def refresh(client: FlaskClient, token: str) -> dict[str, Any]:
    response = client.post("/auth/refresh", headers=bearer(token))
    assert response.status_code == 200
    return dict(response.json or {})


def refresh_often(client: FlaskClient, token: str, times: int, every: float = 1) -> list[dict[str, Any]]:
    """Refresh once a second, or more often."""
    pairs: list[dict[str, Any]] = []
    with time_machine.travel(now(), tick=False) as clock:
        for _ in range(times):
            clock.shift(every)
            pairs.append(refresh(client, pairs[-1]["refresh_token"] if pairs else token))
    return pairs


def test_a_session_keeps_a_bounded_number_of_tokens(app: Flask, client: FlaskClient, ann: Person) -> None:
    refresh_often(client, ann.refresh, 2 * MAX_PAIRS)

    assert len(rows(app, Token, ann)) <= 2 * MAX_PAIRS


def test_a_refresh_revokes_all_but_the_newest_ten_access_tokens(
    app: Flask, client: FlaskClient, ann: Person
) -> None:
    pairs = refresh_often(client, ann.refresh, MAX_PAIRS + 1)  # the one before the last deletes old tokens

    with time_machine.travel(now() + timedelta(seconds=MAX_PAIRS + 2), tick=False):
        works = [client.get("/account", headers=bearer(pair["access_token"])).status_code for pair in pairs]
        newest = bearer(pairs[-1]["access_token"])
        listed = client.get("/auth/token?active=false&limit=100", headers=newest).json["items"]
    assert works == [401] * (MAX_PAIRS + 1 - MAX_LIVE_ACCESS) + [200] * MAX_LIVE_ACCESS
    access = Counter(item["revoked_reason"] for item in listed if item["token_type"] == "access")
    assert access == {None: MAX_LIVE_ACCESS, "rotated": 1}


@pytest.mark.parametrize("every", [1, 60, 840])
def test_at_most_every_sixth_refresh_deletes_old_tokens(
    app: Flask, client: FlaskClient, ann: Person, every: float
) -> None:
    deletions: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        deletions.extend(re.findall("^DELETE FROM tokens", statement))

    with app.app_context():
        engine: Any = db.engine
    event.listen(engine, "before_cursor_execute", note)
    refresh_often(client, ann.refresh, 60, every)
    event.remove(engine, "before_cursor_execute", note)

    assert 5 <= len(deletions) <= 10


def test_spent_refresh_tokens_are_deleted_when_a_session_has_thirty_tokens(
    app: Flask, client: FlaskClient, ann: Person
) -> None:
    pairs = refresh_often(client, ann.refresh, MAX_PAIRS - 1, every=21)
    assert len(rows(app, Token, ann)) == 2 * MAX_PAIRS

    with time_machine.travel(now() + timedelta(seconds=21 * MAX_PAIRS), tick=False):
        newest = refresh(client, pairs[-1]["refresh_token"])["refresh_token"]

        assert len(_refresh_tokens(app, ann)) == 2  # the one that was just spent, and the new one
        assert problem(client.post("/auth/refresh", headers=bearer(ann.refresh))) == (401, "token_reused")
        assert problem(client.post("/auth/refresh", headers=bearer(newest))) == (401, "token_revoked")


def test_spent_refresh_tokens_are_kept_during_the_grace_period(
    app: Flask, client: FlaskClient, ann: Person
) -> None:
    pairs = refresh_often(client, ann.refresh, MAX_PAIRS - 1, every=1)

    with time_machine.travel(now() + timedelta(seconds=MAX_PAIRS), tick=False):
        successor = refresh(client, pairs[-1]["refresh_token"])

        assert refresh(client, pairs[-1]["refresh_token"]) == successor


def _refresh_tokens(app: Flask, person: Person) -> list[Token]:
    return [token for token in rows(app, Token, person) if token.type == "refresh"]


def test_a_clock_that_was_set_back_does_not_delete_the_token_just_spent(
    app: Flask, client: FlaskClient, ann: Person
) -> None:
    token = refresh_often(client, ann.refresh, 2 * MAX_PAIRS, every=0.01)[-1]["refresh_token"]

    with time_machine.travel(now() - timedelta(seconds=5), tick=False):
        pair = refresh(client, token)
        newer = refresh(client, pair["refresh_token"])

        assert refresh(client, pair["refresh_token"])["refresh_token"] == newer["refresh_token"]


def test_a_user_keeps_a_bounded_number_of_sessions(app: Flask, people: People) -> None:
    ann = people("ann")
    with time_machine.travel(now(), tick=False) as clock:
        for _ in range(MAX_LIVE + MAX_ENDED + 5):
            clock.shift(1)
            last = people.log_in("ann")

        kept = rows(app, Session, ann)

    assert len([session for session in kept if session.ended_at is None]) == MAX_LIVE
    assert len([session for session in kept if session.ended_at]) == MAX_ENDED
    assert last.session_id in {str(session.id) for session in kept}


def test_logging_in_and_out_keeps_a_bounded_number_of_rows(app: Flask, people: People) -> None:
    ann = people("ann")
    for _ in range(MAX_ENDED + 5):
        last = people.log_in("ann")
        assert last.post("/auth/logout").status_code == 204

    assert len(rows(app, Session, ann)) <= MAX_ENDED + 2
    assert len(rows(app, Token, ann)) <= 2 * (MAX_ENDED + 2)


def test_an_account_knows_a_bounded_number_of_networks(app: Flask, ann: Person) -> None:
    with app.app_context(), time_machine.travel(now(), tick=False) as clock:
        for number in range(MAX_NETWORKS + 2):
            clock.shift(1)
            NetworkRepository(db.session).remember(UUID(ann.id), f"198.51.100.{number}")
        db.session.commit()

    networks = {network.network for network in rows(app, KnownNetwork, ann)}
    assert len(networks) == MAX_NETWORKS
    assert "198.51.100.1" not in networks


def test_the_documentation_names_the_largest_number_of_rows() -> None:
    most = (MAX_LIVE + MAX_ENDED) * (1 + 2 * MAX_PAIRS) + MAX_NETWORKS + MAX_KEYS

    text = (REPOSITORY / "docs/4-reference/limits.md").read_text(encoding="utf-8")

    assert f"at most {most:,} rows" in re.sub(r"\s+", " ", text)


@pytest.mark.parametrize(
    ("model", "kept"),
    [
        (Token, timedelta(days=30) + DAY),  # after it expired
        (Session, timedelta(days=30 + 90)),
        (KnownNetwork, timedelta(days=30, hours=1)),
    ],
)
def test_a_login_deletes_old_rows_of_users_who_never_come_back(
    app: Flask, client: FlaskClient, people: People, model: Any, kept: timedelta
) -> None:
    begun = now()
    with time_machine.travel(begun, tick=False):
        bob = people("bob")
        people.register("ann")

    for elapsed, expected in [(kept - timedelta(hours=1), True), (kept + timedelta(hours=1), False)]:
        with time_machine.travel(begun + elapsed, tick=False):
            client.post("/auth/login", json={"username": "ann", "password": PASSWORD})
            assert bool(rows(app, model, bob)) is expected


@pytest.mark.parametrize("ending", ["logout", "revoke"])
def test_an_ended_session_is_kept_for_the_retention_time(
    app: Flask, client: FlaskClient, people: People, ending: str
) -> None:
    people.register("ann")
    begun = now()
    with time_machine.travel(begun, tick=False):
        bob = people("bob")
        _end(app, bob, ending)

    for elapsed, expected in [(timedelta(days=89), 1), (timedelta(days=91), 0)]:
        with time_machine.travel(begun + elapsed, tick=False):
            client.post("/auth/login", json={"username": "ann", "password": PASSWORD})
            assert len(rows(app, Session, bob)) == expected


def _end(app: Flask, person: Person, ending: str) -> None:
    if ending == "logout":
        assert person.post("/auth/logout").status_code == 204
    else:
        [token] = _refresh_tokens(app, person)
        assert person.put(f"/auth/token/{token.id}", json={"revoke": True}).status_code == 200


def test_retention_is_a_setting(app: Flask, client: FlaskClient, people: People) -> None:
    people.register("ann")
    short = app.extensions["settings"].model_copy(update={"retention_days": 1})
    begun = now()
    with patch.dict(app.extensions, {"settings": short}):
        with time_machine.travel(begun, tick=False):
            bob = people("bob")
            bob.post("/auth/logout")
        with time_machine.travel(begun + timedelta(hours=26), tick=False):
            client.post("/auth/login", json={"username": "ann", "password": PASSWORD})

    assert [rows(app, model, bob) for model in HISTORY] == [[], [], []]


@pytest.mark.parametrize("ending", ["logout", "expiry", "revocation"])
def test_dead_tokens_are_listed_for_a_day(app: Flask, people: People, ending: str) -> None:
    begun = now()
    with time_machine.travel(begun, tick=False):
        ann, dead = people("ann"), people.log_in("ann")
        [id_] = [item["id"] for item in dead.get("/auth/token").json["items"] if item["current"]]
        if ending == "logout":
            dead.post("/auth/logout")
        elif ending == "revocation":
            ann.put(f"/auth/token/{id_}", json={"revoke": True})
    died = begun + timedelta(seconds=900 if ending == "expiry" else 0)

    assert id_ in _listed(people, died + timedelta(hours=23))
    assert id_ not in _listed(people, died + timedelta(hours=25))


def _listed(people: People, time: datetime) -> set[str]:
    with time_machine.travel(time, tick=False):
        items = people.log_in("ann").get("/auth/token?active=false&limit=100").json["items"]
        return {item["id"] for item in items}


@pytest.fixture
def tokens_left(app: Flask) -> Iterator[list[int]]:
    """How many tokens there were when the account was deleted. A batch has two rows, so three are many."""
    left: list[int] = []

    def note(connection: Any, _: object, statement: str, *__: object) -> None:
        if statement.startswith("DELETE FROM users"):
            left.append(connection.scalar(select(func.count()).select_from(Token)))

    event.listen(Engine, "before_cursor_execute", note)
    small = {model: (age, 2) for model, (age, _) in retention.BATCHES.items()}
    with patch.object(retention, "BATCHES", small):
        yield left
    event.remove(Engine, "before_cursor_execute", note)


@pytest.mark.parametrize("by", ["owner", "admin", "command"])
def test_a_long_history_is_deleted_in_batches_before_its_account(
    app: Flask, people: People, runner: FlaskCliRunner, tokens_left: list[int], by: str
) -> None:
    root, bob, ann = people("root", Role.ADMIN), people("bob"), people("ann")
    for _ in range(4):
        ann = people.log_in("ann")

    if by == "owner":
        assert ann.delete("/account").status_code == 204
    elif by == "admin":
        assert root.delete(f"/users/{ann.id}").status_code == 204
    else:
        assert runner.invoke(args=["user", "delete", "ann"]).exit_code == 0

    assert [rows(app, model, ann) for model in HISTORY] == [[], [], []]
    assert tokens_left == [len(rows(app, Token, root)) + len(rows(app, Token, bob)) + 2]
    assert bob.get("/account").status_code == 200
