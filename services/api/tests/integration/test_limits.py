"""Rate limits: they are exact, expire, can't be bypassed, and don't lock out the owner of an account."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from queue import SimpleQueue
from secrets import token_hex
from threading import Event
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

import httpx
import pytest
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from pydantic import SecretStr
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from app import create_app, limits
from app.config import Settings
from app.database import db
from app.model.models import KnownNetwork, Session
from app.model.passwords import Passwords
from kit.clock import now
from kit.data.attempts import ENTRY_LENGTH, TIME_LENGTH, AttemptRepository, Attempts, Count
from kit.errors import Overloaded
from kit.security.hashers import HASHERS, Argon2id, Bulkhead
from kit.web.rate_limits import limit_keys
from tests.support import plain_http
from tests.support.concurrency import at_once
from tests.support.credentials import PASSWORD, bearer
from tests.support.people import People, Person
from tests.support.problems import problem
from tests.support.servers import Live
from tests.support.settings import NEVER_OPENED, settings_for

WRONG = "wrong horse battery staple"
NEW_KEY = token_hex(32)
LIMITED = (429, "too_many_attempts")
FAILED = (401, "invalid_credentials")


def log_in(
    client: FlaskClient, name: str = "ann", password: str = WRONG, address: str = "192.0.2.7", **headers: str
) -> TestResponse:
    return client.post(
        "/auth/login",
        json={"username": name, "password": password},
        environ_base={"REMOTE_ADDR": address},
        headers=headers,
    )


def register(client: FlaskClient, name: str, address: str = "192.0.2.7") -> TestResponse:
    body = {"username": name, "password": PASSWORD}
    return client.post("/auth/register", json=body, environ_base={"REMOTE_ADDR": address})


def age(app: Flask, seconds: int) -> None:
    """Move every counted attempt into the past."""
    with app.app_context():
        for row in db.session.scalars(select(Attempts)):
            entries = [row.entries[at : at + ENTRY_LENGTH] for at in range(0, len(row.entries), ENTRY_LENGTH)]
            row.entries = "".join(
                f"{int(each[:TIME_LENGTH]) - seconds * 1000}{each[TIME_LENGTH:]}" for each in entries
            )
            row.expires_at -= seconds * 1000
        db.session.commit()


@pytest.fixture
def with_settings(app: Flask) -> Iterator[Callable[..., None]]:
    """Change settings of the app for one test."""
    settings: Settings = app.extensions["settings"]
    yield lambda **changes: app.extensions.update(settings=settings.model_copy(update=changes))
    app.extensions["settings"] = settings


@pytest.mark.parametrize("name", ["ann", "unknown", "not a username"])
def test_the_sixth_failed_login_is_refused(client: FlaskClient, people: People, name: str) -> None:
    people.register("ann")

    answers = [problem(log_in(client, name)) for _ in range(7)]

    assert answers == [FAILED] * 5 + [LIMITED] * 2
    assert problem(log_in(client, name, PASSWORD)) == LIMITED


def test_a_refused_login_is_not_hashed(client: FlaskClient, people: People) -> None:
    people.register("ann")
    for _ in range(5):
        log_in(client)

    with patch.object(Argon2id, "verify") as verify:
        assert problem(log_in(client)) == LIMITED

    assert verify.call_count == 0


def test_retry_after_is_exact(app: Flask, client: FlaskClient, people: People) -> None:
    people.register("ann")
    log_in(client)
    age(app, 100)
    for _ in range(4):
        log_in(client)

    seconds = int(log_in(client).headers["Retry-After"])

    assert 195 <= seconds <= 200  # until the first of the five attempts is five minutes old
    age(app, seconds - 10)
    assert problem(log_in(client)) == LIMITED
    age(app, 11)
    assert problem(log_in(client)) == FAILED
    assert problem(log_in(client)) == LIMITED


def test_retry_after_is_the_longest_wait_of_all_limits(client: FlaskClient, with_settings: Any) -> None:
    with_settings(login_limit_pair=(1, 60), login_limit_client=(1, 1800))
    log_in(client)

    assert int(log_in(client).headers["Retry-After"]) > 1790


def test_a_refused_attempt_does_not_count(app: Flask, client: FlaskClient) -> None:
    for _ in range(5):
        log_in(client, "ann")
    for _ in range(30):
        assert problem(log_in(client, "ann")) == LIMITED

    answers = [problem(log_in(client, f"bob{number}")) for number in range(16)]

    assert answers == [FAILED] * 15 + [LIMITED]


def test_a_successful_login_clears_only_its_pair(client: FlaskClient, people: People) -> None:
    people.register("ann")
    for _ in range(3):
        for _ in range(4):
            log_in(client)
        assert log_in(client, password=PASSWORD).status_code == 200

    answers = Counter(problem(log_in(client, f"bob{number}")) for number in range(10))

    assert answers == {FAILED: 20 - 12, LIMITED: 2}


def test_a_successful_login_does_not_count_as_a_failed_one(
    client: FlaskClient, people: People, with_settings: Any
) -> None:
    people.register("ann")
    with_settings(login_limit_pair=(2, 300), login_limit_client=(2, 300), login_limit_account=(2, 300))

    assert {log_in(client, password=PASSWORD).status_code for _ in range(6)} == {200}


@pytest.mark.parametrize(
    "body", [{"username": "ann"}, {"username": "", "password": WRONG}, {"username": "ann", "password": 1}]
)
def test_a_malformed_login_does_not_count(client: FlaskClient, app: Flask, body: dict[str, object]) -> None:
    assert client.post("/auth/login", json=body).status_code == 422

    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Attempts)) == 0


@pytest.mark.parametrize("failure", [Overloaded(), OperationalError("", {}, Exception("gone"))])
def test_a_login_that_was_not_verified_does_not_count(
    client: FlaskClient, app: Flask, people: People, failure: Exception
) -> None:
    people.register("ann")
    app.config["PROPAGATE_EXCEPTIONS"] = False

    with patch.object(Argon2id, "verify", side_effect=failure):
        for _ in range(7):
            assert log_in(client).status_code == 503

    assert [problem(log_in(client)) for _ in range(6)] == [FAILED] * 5 + [LIMITED]


def test_the_current_password_is_limited_like_a_login(app: Flask, client: FlaskClient, ann: Person) -> None:
    def change(current: str) -> TestResponse:
        return ann.patch("/account", json={"username": "Ann", "current_password": current})

    answers = [problem(change(WRONG)) for _ in range(6)]

    assert answers == [(403, "wrong_current_password")] * 5 + [LIMITED]
    assert problem(change(PASSWORD)) == LIMITED
    assert problem(log_in(client, address="127.0.0.1", password=PASSWORD)) == LIMITED
    age(app, 301)
    assert change(PASSWORD).status_code == 200


@pytest.mark.parametrize("name", ["ann", "ANN", "Ann"])
def test_another_spelling_counts_as_the_same_name(client: FlaskClient, people: People, name: str) -> None:
    people.register("ann")
    for spelling in ("ann", "aNn", "anN", "ANn", "AnN"):
        log_in(client, spelling)

    assert problem(log_in(client, name, PASSWORD)) == LIMITED


def test_an_ipv6_client_is_identified_by_its_network(client: FlaskClient) -> None:
    for number in range(5):
        log_in(client, address=f"2001:db8:1:2:{number}::{number}")

    assert problem(log_in(client, address="2001:db8:1:2:ffff::1")) == LIMITED
    assert problem(log_in(client, address="2001:db8:1:3::1")) == FAILED


def test_an_ipv4_client_has_one_address_in_every_form(client: FlaskClient) -> None:
    for _ in range(5):
        log_in(client, address="192.0.2.9")

    assert problem(log_in(client, address="::ffff:192.0.2.9")) == LIMITED
    assert problem(log_in(client, address="192.0.2.8")) == FAILED


def test_a_forged_header_does_not_change_the_client(client: FlaskClient) -> None:
    for number in range(5):
        log_in(client, **{"X-Forwarded-For": f"198.51.100.{number}", "Forwarded": f"for=198.51.100.{number}"})

    assert problem(log_in(client, **{"X-Forwarded-For": "203.0.113.1"})) == LIMITED


def test_a_client_can_fail_at_twenty_accounts(client: FlaskClient) -> None:
    answers = [problem(log_in(client, f"ann{number}")) for number in range(21)]

    assert answers == [FAILED] * 20 + [LIMITED]
    assert problem(log_in(client, "bob", address="192.0.2.8")) == FAILED


def test_an_account_allows_fifty_failures_an_hour(app: Flask, client: FlaskClient) -> None:
    answers = [problem(log_in(client, address=f"198.51.100.{number}")) for number in range(51)]

    assert answers == [FAILED] * 50 + [LIMITED]
    age(app, 3601)
    assert problem(log_in(client, address="203.0.113.1")) == FAILED


def test_one_unknown_client_has_a_fifth_of_an_accounts_failures(app: Flask, client: FlaskClient) -> None:
    def fail_as_often_as_possible(address: str) -> list[tuple[int, str]]:
        answers = [problem(log_in(client, address=address)) for _ in range(6)]
        age(app, 301)  # the limit per pair is over
        return answers + [problem(log_in(client, address=address)) for _ in range(6)]

    first = fail_as_often_as_possible("198.51.100.1")

    assert first == [*[FAILED] * 5, LIMITED] * 2
    age(app, 301)
    refused = log_in(client, address="198.51.100.1")
    assert problem(refused) == LIMITED
    assert 3600 - 602 - 10 <= int(refused.headers["Retry-After"]) <= 3600 - 602
    others = [fail_as_often_as_possible(f"198.51.100.{number}") for number in range(2, 6)]
    assert others == [first] * 4
    assert problem(log_in(client, address="198.51.100.6")) == LIMITED  # 50 failures


def test_one_client_cannot_lock_the_owner_out_of_a_new_address(
    app: Flask, client: FlaskClient, people: People
) -> None:
    people.register("ann")
    for _ in range(14):  # more than an hour
        for _ in range(21):
            log_in(client, address="198.51.100.1")
        age(app, 301)

    assert log_in(client, password=PASSWORD, address="203.0.113.1").status_code == 200


def test_a_new_name_does_not_reset_the_limits_of_an_account(
    client: FlaskClient, people: People, ann: Person
) -> None:
    for _ in range(5):
        log_in(client, "ann")

    ann.patch("/account", json={"username": "anna", "current_password": PASSWORD})

    assert problem(log_in(client, "anna", PASSWORD)) == LIMITED
    assert problem(log_in(client, "ann")) == FAILED  # no account has this name now


def test_others_cannot_lock_the_owner_out(
    app: Flask, client: FlaskClient, people: People, with_settings: Any
) -> None:
    with_settings(login_limit_account=(4, 3600))
    people.register("ann")
    assert log_in(client, password=PASSWORD, address="2001:db8::1").status_code == 200
    for number in range(5):
        log_in(client, address=f"198.51.100.{number}")

    assert problem(log_in(client, password=PASSWORD, address="203.0.113.1")) == LIMITED
    assert log_in(client, password=PASSWORD, address="2001:db8::2").status_code == 200

    with app.app_context():
        db.session.execute(update(KnownNetwork).values(last_seen_at=now() - timedelta(days=31)))
        db.session.commit()
    assert problem(log_in(client, password=PASSWORD, address="2001:db8::3")) == LIMITED


def test_a_client_is_still_known_when_its_session_was_deleted(
    app: Flask, client: FlaskClient, people: People, with_settings: Any
) -> None:
    with_settings(login_limit_account=(4, 3600))
    people.register("ann")
    log_in(client, password=PASSWORD, address="192.0.2.8")
    with app.app_context():
        db.session.execute(delete(Session))
        db.session.commit()
    log_in(client, password=PASSWORD, address="192.0.2.9")  # deletes expired counters
    for number in range(4):
        log_in(client, address=f"198.51.100.{number}")

    assert log_in(client, password=PASSWORD, address="192.0.2.8").status_code == 200


def test_the_client_that_registered_is_known(client: FlaskClient, with_settings: Any) -> None:
    with_settings(login_limit_account=(4, 3600))
    assert register(client, "ann", "192.0.2.8").status_code == 201
    for number in range(4):
        log_in(client, address=f"198.51.100.{number}")

    assert log_in(client, password=PASSWORD, address="192.0.2.8").status_code == 200


def test_the_next_owner_of_a_name_has_no_known_clients(
    client: FlaskClient, people: People, with_settings: Any
) -> None:
    with_settings(login_limit_account=(4, 3600))
    people.register("ann")
    pair = log_in(client, password=PASSWORD, address="192.0.2.8").json
    client.delete("/account", headers=bearer(pair["access_token"]))
    people.register("ann")
    for number in range(4):
        log_in(client, address=f"198.51.100.{number}")

    assert problem(log_in(client, password=PASSWORD, address="192.0.2.8")) == LIMITED


def test_limits_recover_after_the_clock_was_set_back(app: Flask, client: FlaskClient) -> None:
    for _ in range(5):
        log_in(client)
    age(app, -86_400)

    assert problem(log_in(client)) == FAILED


def test_the_21st_registration_in_an_hour_is_refused(app: Flask, client: FlaskClient) -> None:
    answers = [register(client, f"ann{number}").status_code for number in range(10)]
    answers += [register(client, "ann0").status_code for _ in range(11)]

    assert answers == [201] * 10 + [409] * 10 + [429]
    assert register(client, "bob", "192.0.2.8").status_code == 201
    age(app, 3601)
    assert register(client, "bob2").status_code == 201


def test_a_registration_with_a_weak_password_does_not_count(client: FlaskClient, with_settings: Any) -> None:
    with_settings(register_limit=(1, 60))
    weak = {"username": "ann", "password": "a" * 20}

    assert {client.post("/auth/register", json=weak).status_code for _ in range(3)} == {422}
    assert register(client, "ann").status_code == 201
    assert problem(register(client, "bob")) == LIMITED


def test_each_limit_can_be_off(client: FlaskClient, app: Flask, with_settings: Any) -> None:
    off = ("login_limit_pair", "login_limit_client", "login_limit_account", "login_limit_success")
    with_settings(**dict.fromkeys((*off, "register_limit")))

    assert {problem(log_in(client)) for _ in range(6)} == {FAILED}
    assert {register(client, f"ann{number}").status_code for number in range(3)} == {201}
    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Attempts)) == 0


def test_the_general_limit_counts_every_request_except_health_checks(database_url: Any, app: Flask) -> None:
    limited = create_app(settings_for(database_url, rate_limit=(3, 60)))
    with limited.app_context():
        db.engines[None] = app.extensions["sqlalchemy"]._app_engines[app][None]
    client = limited.test_client()

    paths = ["/", "/nowhere", "/account", "/problems", "/docs"]
    assert [client.get(path).status_code for path in paths] == [200, 404, 401, 429, 429]
    assert int(client.get("/").headers["Retry-After"]) in range(55, 61)
    assert {client.get("/health/live").status_code for _ in range(5)} == {200}
    assert client.get("/", environ_base={"REMOTE_ADDR": "192.0.2.8"}).status_code == 200
    document = client.get("/openapi.json", environ_base={"REMOTE_ADDR": "192.0.2.8"}).json
    assert "429" in document["paths"]["/account"]["get"]["responses"]
    assert "429" not in document["paths"]["/health/live"]["get"]["responses"]


def test_without_the_counters_logins_are_refused() -> None:
    app = create_app(settings_for(NEVER_OPENED))
    app.config["PROPAGATE_EXCEPTIONS"] = False

    with patch.object(Argon2id, "verify") as verify:
        assert problem(log_in(app.test_client())) == (503, "database_unavailable")

    assert verify.call_count == 0


def test_expired_counters_are_deleted(app: Flask, client: FlaskClient, runner: FlaskCliRunner) -> None:
    for number in range(3):
        log_in(client, f"ann{number}")
    age(app, 3601)

    log_in(client, "bob")

    with app.app_context():
        assert db.session.scalar(select(func.count()).select_from(Attempts)) == 5
    age(app, 3601)
    assert "Deleted 5 " in runner.invoke(args=["token", "prune"]).output


def test_the_counters_contain_neither_names_nor_addresses(app: Flask, client: FlaskClient) -> None:
    log_in(client, "ann-of-green-gables", address="198.51.100.77")

    with app.app_context():
        rows = [str(vars(row)) for row in db.session.scalars(select(Attempts))]
    assert not [row for row in rows if "gables" in row or "198.51" in row]


def test_the_ids_of_the_counters_depend_on_the_signing_key(
    app: Flask, client: FlaskClient, with_settings: Any
) -> None:
    def ids() -> set[UUID]:
        with app.app_context():
            return set(db.session.scalars(select(Attempts.id)))

    log_in(client)
    before = ids()

    with_settings(secret_key=SecretStr(NEW_KEY))
    log_in(client)

    assert len(ids() - before) == len(before)


def test_a_new_signing_key_resets_no_limit(
    app: Flask, client: FlaskClient, people: People, with_settings: Any
) -> None:
    people.register("ann")
    old_key = app.extensions["settings"].secret_key
    log_in(client)
    age(app, 100)
    for _ in range(2):
        log_in(client)

    with_settings(secret_key=SecretStr(NEW_KEY), secret_key_fallbacks=(old_key,))

    assert [problem(log_in(client)) for _ in range(3)] == [FAILED, FAILED, LIMITED]
    assert 195 <= int(log_in(client).headers["Retry-After"]) <= 200
    age(app, 201)  # the first one expires
    assert [problem(log_in(client)) for _ in range(2)] == [FAILED, LIMITED]
    with_settings(secret_key=SecretStr(NEW_KEY))  # without the old key, its three no longer count
    assert [problem(log_in(client)) for _ in range(3)] == [FAILED, FAILED, LIMITED]


@pytest.fixture
def fail_before_a_new_key(
    app: Flask, client: FlaskClient, people: People, with_settings: Any
) -> Callable[[int], None]:
    """Fail to log in as Ann so many times, then change the signing key and keep the old one as a fallback."""

    def fail(times: int) -> None:
        people.register("ann")
        old_key = app.extensions["settings"].secret_key
        for _ in range(times):
            log_in(client)
        with_settings(secret_key=SecretStr(NEW_KEY), secret_key_fallbacks=(old_key,))

    return fail


def test_a_limit_that_was_reached_under_the_old_key_stays_reached(
    client: FlaskClient, fail_before_a_new_key: Callable[[int], None]
) -> None:
    fail_before_a_new_key(5)

    refused = log_in(client, password=PASSWORD)
    assert problem(refused) == LIMITED
    assert 290 <= int(refused.headers["Retry-After"]) <= 300


def test_a_successful_login_also_clears_what_was_counted_under_an_old_key(
    client: FlaskClient, fail_before_a_new_key: Callable[[int], None]
) -> None:
    fail_before_a_new_key(4)

    assert log_in(client, password=PASSWORD).status_code == 200
    assert [problem(log_in(client)) for _ in range(6)] == [FAILED] * 5 + [LIMITED]


def test_the_61st_successful_login_of_a_client_is_refused_before_it_is_hashed(
    app: Flask, client: FlaskClient, people: People
) -> None:
    people.register("ann")
    people.register("bob")
    assert {log_in(client, password=PASSWORD).status_code for _ in range(60)} == {200}

    with patch.object(Argon2id, "verify") as verify:
        refused = log_in(client, "bob", PASSWORD)

    assert problem(refused) == LIMITED
    assert 280 <= int(refused.headers["Retry-After"]) <= 300
    assert verify.call_count == 0
    assert log_in(client, "bob", PASSWORD, address="192.0.2.8").status_code == 200
    age(app, 301)
    assert log_in(client, "bob", PASSWORD).status_code == 200


def test_a_failed_login_does_not_count_as_a_successful_one(
    client: FlaskClient, people: People, with_settings: Any
) -> None:
    people.register("ann")
    with_settings(login_limit_success=(2, 300))
    for _ in range(3):
        assert problem(log_in(client)) == FAILED

    answers = [log_in(client, password=PASSWORD).status_code for _ in range(3)]

    assert answers == [200, 200, 429]


def test_a_confirmed_current_password_counts_as_a_successful_login(
    client: FlaskClient, ann: Person, with_settings: Any
) -> None:
    with_settings(login_limit_success=(2, 300))

    answers = [
        ann.patch("/account", json={"username": name, "current_password": PASSWORD}).status_code
        for name in ("Ann", "aNn", "anN")
    ]

    assert answers == [200, 200, 429]


def test_a_storm_of_logins_leaves_a_quarter_of_the_threads_to_other_requests(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, people = live
    ann = people("ann")
    body = {"username": "unknown", "password": WRONG}
    go_on = Event()
    hasher = Argon2id(kibibytes=8, passes=1)
    monkeypatch.setattr(hasher, "verify", lambda *_: not go_on.wait(60))
    bulkhead = Bulkhead(people.app.extensions["settings"].threads, max_wait_seconds=60)
    monkeypatch.setitem(HASHERS, "argon2id", hasher)
    monkeypatch.setitem(people.app.extensions, "passwords", Passwords(hasher, 15, "app", bulkhead))

    def log_in_and_note() -> None:
        answers.put(plain_http.post(f"{url}/auth/login", json=body | {"username": uuid4().hex}))

    answers: SimpleQueue[httpx.Response] = SimpleQueue()
    with ThreadPoolExecutor(20) as pool:
        for _ in range(20):
            pool.submit(log_in_and_note)
        refused = [answers.get(timeout=60) for _ in range(2)]
        read = plain_http.get(f"{url}/account", headers=ann.headers)
        go_on.set()

    assert {answer.json()["code"] for answer in refused} == {"overloaded"}
    assert {answer.headers["Retry-After"] for answer in refused} == {"1"}
    assert read.status_code == 200
    assert [answers.get().status_code for _ in range(18)] == [401] * 18


def test_concurrent_failed_logins_verify_only_five(live: Live) -> None:
    url, people = live
    people.register("ann")
    body = {"username": "ann", "password": WRONG}

    answers = at_once(*[lambda: plain_http.post(f"{url}/auth/login", json=body)] * 20)

    assert Counter(answer.status_code for answer in answers) == {401: 5, 429: 15}


def test_logins_that_fail_and_succeed_at_once_do_not_deadlock(live: Live) -> None:
    url, people = live
    names = ["ann", "bob", "cid", "dan"]
    for name in names:
        people.register(name)

    def logging_in(name: str, password: str) -> Callable[[], httpx.Response]:
        body = {"username": name, "password": password}
        return lambda: plain_http.post(f"{url}/auth/login", json=body)

    for _ in range(3):
        answers = at_once(*[logging_in(name, password) for name in names for password in (PASSWORD, WRONG)])
        assert {answer.status_code for answer in answers} == {200, 401}


def test_counters_are_always_locked_in_the_same_order(committed_app: Flask) -> None:
    if committed_app.extensions["settings"].database_url.drivername == "sqlite":  # part: sqlite
        pytest.skip("SQLite has one lock for all")  # part: sqlite
    low, high = (Count((UUID(int=number),), 5, 60) for number in (1, 2))

    def count_both() -> None:
        with committed_app.app_context():
            attempts = AttemptRepository(db.session)
            attempts.settle(cancelled=attempts.reserve([high, low]))
            db.session.commit()

    with committed_app.app_context(), ThreadPoolExecutor(1) as pool:
        attempts = AttemptRepository(db.session)
        attempts.reserve([low])
        both = pool.submit(count_both)
        time.sleep(0.3)  # by now, it waits for the lower one and must not hold the higher one
        attempts.reserve([high])
        db.session.commit()
        both.result(timeout=60)


def test_retry_after_is_short_while_other_attempts_are_running(
    app: Flask, client: FlaskClient, people: People
) -> None:
    people.register("ann")
    with app.app_context():
        for _ in range(20):
            AttemptRepository(db.session).reserve([Count(limit_keys("login client", "192.0.2.7"), 20, 300)])
        db.session.commit()

    assert log_in(client, password=PASSWORD).headers["Retry-After"] == "1"
    age(app, 11)  # the attempt never finished
    assert int(log_in(client, password=PASSWORD).headers["Retry-After"]) > 280


def test_concurrent_correct_logins_are_refused_only_briefly(live: Live) -> None:
    url, people = live
    people.register("ann")
    body = {"username": "ann", "password": PASSWORD}

    answers = at_once(*[lambda: plain_http.post(f"{url}/auth/login", json=body)] * 8)

    assert {answer.status_code for answer in answers} <= {200, 429}
    assert {answer.headers.get("Retry-After", "1") for answer in answers} == {"1"}
    assert plain_http.post(f"{url}/auth/login", json=body).status_code == 200


def test_a_block_without_succeed_is_an_error_and_counts_nothing(app: Flask) -> None:
    with (
        app.test_request_context(),
        pytest.raises(RuntimeError, match=r"attempt\.succeed"),
        limits.login("ann", None, is_known_client=False),
    ):
        pass

    with app.app_context():
        assert all(row.entries == "" for row in db.session.scalars(select(Attempts)))
