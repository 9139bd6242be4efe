"""Slow statements, lost connections and a silent server: each affects no more requests than it must."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from app import create_app
from app.database import db
from kit.data import circuit_breaker, limited_connection
from kit.data.circuit_breaker import CircuitBreaker
from kit.data.database import READ
from kit.data.deadline import database_deadline
from kit.jobs.worker import JobTimedOut, time_limit
from kit.web.endpoint import endpoint
from tests.support.credentials import PASSWORD
from tests.support.people import People, Person
from tests.support.problems import problem
from tests.support.relay import Relay
from tests.support.settings import settings_for
from tests.support.waiting import wait_until

UNAVAILABLE = (503, "database_unavailable")
QUERY_TIMEOUT = (503, "query_timeout")


@pytest.fixture
def relay(committed_app: Flask) -> Iterator[Relay]:
    url = committed_app.extensions["settings"].database_url
    if url.drivername == "sqlite":  # part: sqlite
        pytest.skip("SQLite has no server")  # part: sqlite
    relay = Relay(url)
    yield relay
    relay.close()


@pytest.fixture
def relayed(relay: Relay) -> Iterator[Flask]:
    """An app that reaches its database through the relay. A call takes at most 2.5 seconds."""
    app = create_app(settings_for(relay.url, database_timeout_ms=2000))
    app.add_url_rule("/sleep/<seconds>", view_func=endpoint()(sleep))
    yield app
    with app.app_context():
        for engine in db.engines.values():
            engine.dispose()


@pytest.fixture
def ann(committed_app: Flask, password_hash: Any) -> Person:
    return People(committed_app, password_hash)("ann")


@pytest.fixture
def client(relayed: Flask) -> FlaskClient:
    return relayed.test_client()


def sleep(seconds: str) -> dict[str, str]:
    db.session.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": float(seconds)})
    return {}


def read(client: FlaskClient, ann: Person) -> TestResponse:
    return client.get("/account", headers=ann.headers)


def skip_seconds(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    for module in (circuit_breaker, limited_connection):
        monkeypatch.setattr(module, "monotonic", lambda: time.monotonic() + seconds)


def test_a_statement_that_exceeds_its_time_limit_is_a_query_timeout(
    client: FlaskClient, ann: Person, caplog: pytest.LogCaptureFixture
) -> None:
    response = client.get("/sleep/30")

    assert problem(response) == QUERY_TIMEOUT
    assert int(response.headers["Retry-After"]) >= 1
    assert "a query exceeded its time limit: canceling statement due to statement timeout" in caplog.text
    assert read(client, ann).status_code == 200


def test_waiting_too_long_for_a_lock_is_a_query_timeout(
    relayed: Flask, client: FlaskClient, committed_app: Flask, ann: Person
) -> None:
    with committed_app.app_context(), db.engine.begin() as other:
        other.execute(text("LOCK TABLE users"))

        assert problem(read(client, ann)) == QUERY_TIMEOUT

    assert read(client, ann).status_code == 200


def test_a_deadlock_is_a_write_conflict(
    relayed: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    relayed.add_url_rule("/deadlock", view_func=endpoint()(lose_a_deadlock), methods=["POST"])

    response = client.post("/deadlock")

    assert problem(response) == (503, "write_conflict")
    assert int(response.headers["Retry-After"]) >= 1
    assert "a deadlock: " in caplog.text


def lose_a_deadlock() -> dict[str, str]:
    db.session.execute(text("DO $$ BEGIN RAISE deadlock_detected; END $$"))
    return {}


def test_late_cancellations_fail_no_other_request(
    relayed: Flask, relay: Relay, client: FlaskClient, ann: Person
) -> None:
    open_connections(relayed, 8)
    relay.silence_connections()

    with ThreadPoolExecutor(8) as pool:
        slow = list(pool.map(lambda _: problem(relayed.test_client().get("/sleep/0")), range(8)))

    assert slow == [QUERY_TIMEOUT] * 8
    assert [read(client, ann).status_code for _ in range(10)] == [200] * 10


def test_the_answer_to_a_running_probe_counts(relayed: Flask, relay: Relay) -> None:
    open_connections(relayed, 1)
    with relayed.app_context(), db.engines[READ].connect() as connection:
        breaker: CircuitBreaker = connection.connection.driver_connection.breaker  # type: ignore[union-attr]
    relay.silence_connections()

    with breaker.probing, ThreadPoolExecutor(1) as pool:  # as if another call's probe was running
        breaker.probe_began = time.monotonic()
        slow = pool.submit(lambda: problem(relayed.test_client().get("/sleep/0")))
        time.sleep(0.2)
        breaker.answered()  # before the call has waited for half of its time

    assert slow.result() == QUERY_TIMEOUT


def open_connections(app: Flask, number: int) -> None:
    """Let the pool have some idle connections for reading."""
    with app.app_context():
        connections = [db.engines[READ].connect() for _ in range(number)]
    for connection in connections:
        connection.close()


def test_a_late_cancellation_only_costs_its_own_connection(
    relayed: Flask, relay: Relay, client: FlaskClient, ann: Person
) -> None:
    open_connections(relayed, 1)
    relay.silence_connections()
    with relayed.app_context():
        pool: Any = db.engines[READ].pool

    with ThreadPoolExecutor(1) as executor:
        slow = executor.submit(lambda: problem(relayed.test_client().get("/sleep/0")))
        wait_until(lambda: pool.checkedout() == 1, 60)
        assert read(client, ann).status_code == 200  # on a second connection
    assert slow.result() == QUERY_TIMEOUT

    accepted = relay.accepted
    assert read(client, ann).status_code == 200
    assert relay.accepted == accepted


def test_requests_wait_for_slow_statements_that_use_all_connections(relay: Relay, ann: Person) -> None:
    app = create_app(settings_for(relay.url, database_timeout_ms=1000, database_pool_size=2))
    app.add_url_rule("/sleep/<seconds>", view_func=endpoint()(sleep))

    with ThreadPoolExecutor(6) as pool:
        slow = [pool.submit(lambda: problem(app.test_client().get("/sleep/30"))) for _ in range(2)]
        wait_for_sleepers(app, 2)
        others = [pool.submit(lambda: read(app.test_client(), ann).status_code) for _ in range(4)]

    assert [each.result() for each in slow] == [QUERY_TIMEOUT] * 2
    assert [each.result() for each in others] == [200] * 4


def wait_for_sleepers(app: Flask, number: int) -> None:
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    with app.app_context(), db.engine.connect() as connection:
        while connection.scalar(text(query)) != number:
            connection.rollback()  # each transaction sees one state of the statistics


def test_requests_without_a_free_connection_are_refused(relay: Relay, ann: Person) -> None:
    app = create_app(settings_for(relay.url, database_timeout_ms=100, database_pool_size=1))

    with app.app_context(), db.engines[READ].connect(), db.engine.connect():
        assert problem(read(app.test_client(), ann)) == UNAVAILABLE
        assert problem(register(app.test_client())) == UNAVAILABLE

    assert read(app.test_client(), ann).status_code == 200


def register(client: FlaskClient) -> TestResponse:
    return client.post("/auth/register", json={"username": "bob", "password": PASSWORD})


def test_a_server_that_freezes_in_the_middle_of_traffic_is_retried_once_a_second(
    relay: Relay, client: FlaskClient, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert circuit_breaker.OPEN_SECONDS == 1
    monkeypatch.setattr(circuit_breaker, "OPEN_SECONDS", 60)  # the rest of the test can take a second
    assert read(client, ann).status_code == 200

    relay.is_frozen = True

    assert problem(read(client, ann)) == UNAVAILABLE
    accepted = relay.accepted
    for _ in range(5):
        assert problem(read(client, ann)) == UNAVAILABLE
    assert relay.accepted == accepted
    assert client.get("/health/live").status_code == 200

    relay.is_frozen = False
    skip_seconds(monkeypatch, 61)
    assert read(client, ann).status_code == 200
    assert read(client, ann).status_code == 200


def test_a_server_that_freezes_before_the_first_connection_is_noticed(
    relay: Relay, client: FlaskClient, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit_breaker, "OPEN_SECONDS", 60)
    relay.is_frozen = True

    assert problem(read(client, ann)) == UNAVAILABLE
    accepted = relay.accepted
    assert problem(register(client)) == UNAVAILABLE  # on the other engine
    assert relay.accepted == accepted


def test_a_login_does_not_count_as_an_answer(
    relay: Relay, client: FlaskClient, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit_breaker, "OPEN_SECONDS", 60)
    relay.only_logins = True

    assert problem(read(client, ann)) == UNAVAILABLE
    accepted = relay.accepted
    assert problem(read(client, ann)) == UNAVAILABLE
    assert relay.accepted == accepted


def test_a_waiting_request_gives_up_when_another_finds_the_server_silent(
    relay: Relay,
    relayed: Flask,
    client: FlaskClient,
    ann: Person,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(circuit_breaker, "OPEN_SECONDS", 60)
    open_connections(relayed, 1)
    with relayed.app_context(), db.engines[READ].connect() as connection:
        pool: Any = db.engines[READ].pool
        breaker = connection.connection.dbapi_connection.breaker  # type: ignore[union-attr]
    relay.is_frozen = True

    with ThreadPoolExecutor(1) as executor:
        waiting = executor.submit(lambda: problem(read(client, ann)))
        wait_until(lambda: pool.checkedout() == 1, 60)
        breaker.timed_out(since=float("inf"))
    assert waiting.result() == UNAVAILABLE
    assert "the database did not answer a moment ago" in caplog.text


def test_a_slow_statement_may_be_the_first_after_a_freeze(
    relay: Relay, relayed: Flask, client: FlaskClient, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit_breaker, "OPEN_SECONDS", 60)
    monkeypatch.setattr(limited_connection, "PING_AFTER_SECONDS", 3600)
    open_connections(relayed, 1)
    relay.is_frozen = True
    assert problem(register(client)) == UNAVAILABLE  # on the other engine, so this connection stays

    relay.is_frozen = False
    relay.silence_connections()
    skip_seconds(monkeypatch, 61)

    assert problem(client.get("/sleep/0")) == QUERY_TIMEOUT
    assert read(client, ann).status_code == 200


@pytest.mark.parametrize("request_to", [read, lambda client, _: register(client)], ids=["read", "write"])
def test_idle_connections_that_were_dropped_silently_are_replaced(
    relay: Relay,
    client: FlaskClient,
    ann: Person,
    monkeypatch: pytest.MonkeyPatch,
    request_to: Callable[[FlaskClient, Person], TestResponse],
) -> None:
    assert request_to(client, ann).status_code < 300
    relay.silence_connections()
    skip_seconds(monkeypatch, limited_connection.PING_AFTER_SECONDS + 1)

    assert request_to(client, ann).status_code in (200, 409)
    assert read(client, ann).status_code == 200


def test_an_idle_connection_that_works_is_kept(
    relay: Relay, client: FlaskClient, ann: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read(client, ann).status_code == 200
    skip_seconds(monkeypatch, limited_connection.PING_AFTER_SECONDS + 1)
    accepted = relay.accepted

    assert read(client, ann).status_code == 200
    assert relay.accepted == accepted


def test_connections_send_keepalives_unless_the_url_says_otherwise(relayed: Flask, relay: Relay) -> None:
    own = create_app(settings_for(relay.url.update_query_dict({"keepalives_idle": "5"})))
    seen = []
    for app in (relayed, own):
        with app.app_context(), db.engine.connect() as connection:
            raw: Any = connection.connection.dbapi_connection
            seen.append(raw.info.dsn_parameters)

    assert [parameters["keepalives_idle"] for parameters in seen] == ["60", "5"]
    assert [parameters["keepalives_count"] for parameters in seen] == ["3", "3"]


def test_the_database_work_of_a_job_ends_at_its_deadline(relay: Relay, relayed: Flask) -> None:
    with relayed.app_context():
        db.session.execute(text("SELECT 1"))
        db.session.commit()
        relay.silence_connections()

        begun = time.monotonic()
        with database_deadline(1), pytest.raises(OperationalError, match="did not answer in time"):
            db.session.execute(text("SELECT 1"))

        assert time.monotonic() - begun < 30


def test_an_interrupted_job_does_not_wait_for_a_silent_server(relay: Relay, relayed: Flask) -> None:
    with relayed.app_context():
        db.session.execute(text("SELECT 1"))
        relay.is_frozen = True

        begun = time.monotonic()
        with pytest.raises(JobTimedOut), time_limit(1, Event()):
            db.session.execute(text("SELECT 2"))
        db.session().invalidate()

        assert time.monotonic() - begun < 30


def test_a_connection_whose_transaction_has_not_ended_is_replaced(relayed: Flask) -> None:
    with relayed.app_context():
        with db.engine.connect() as connection:
            driver: Any = connection.connection.dbapi_connection
            driver.autocommit = True  # so that psycopg2 doesn't see the transaction
            connection.exec_driver_sql("BEGIN")
            driver.autocommit = False

        with db.engine.connect() as connection:
            assert connection.connection.dbapi_connection is not driver
