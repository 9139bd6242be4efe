"""Two replicas share one database: they are replaced one by one, and share limits and sessions."""

import random
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from proof.drills.load import Client, under_load
from proof.drills.stack import Stack
from tests.support.credentials import PASSWORD
from tests.support.waiting import wait_until

Measured = Callable[[str], None]
REPLICAS = ["api-1", "api-2"]


@pytest.fixture
def replicas(server_stack: Stack) -> Stack:
    server_stack.up(replicas=2)
    return server_stack


def restart(stack: Stack, replica: str) -> None:
    stack.docker("restart", replica)
    wait_until(lambda: stack.get("/health/ready", replica) == 200, 20)


def register(stack: Stack, name: str) -> None:
    client = Client([stack.published("api-1")], keeps=False)
    answer, _ = client.ask(
        "register", "POST", "/auth/register", body={"username": name, "password": PASSWORD}
    )
    assert answer.succeeded


def test_replicas_are_replaced_one_by_one_without_a_failed_request(
    replicas: Stack, measured: Measured
) -> None:
    """Like a proxy, clients try the other address if a connection is refused. They never repeat a request."""
    addresses = [replicas.address(replica) for replica in REPLICAS]
    with under_load(
        replicas, addresses=addresses, tolerated=["fresh connection broke"], restarts=True, lives=8
    ) as load:
        for replica in REPLICAS:
            restart(replicas, replica)
            time.sleep(1)

    assert [replicas.address(replica) for replica in REPLICAS] == addresses
    failed = [answer for answer in load.answers if not answer.succeeded and answer.code != "overloaded"]
    measured(load.counts())
    assert len(failed) <= 2  # one per stop, if the kernel accepted it while the listener closed
    assert load.applied_unacknowledged(replicas) == set()


def test_failed_logins_are_counted_over_replicas_and_restarts(
    server_stack: Stack, measured: Measured
) -> None:
    stack = server_stack
    stack.up(replicas=2, LOGIN_LIMIT_PAIR="5/5m")
    name = f"ann-{uuid4().hex[:12]}"
    register(stack, name)

    def log_in(replica: str, password: str) -> tuple[int, str]:
        client = Client([stack.published(replica)], keeps=False)
        answer, _ = client.ask("login", "POST", "/auth/login", body={"username": name, "password": password})
        return answer.status, answer.code

    with ThreadPoolExecutor(4) as pool:  # two replicas can hash this many passwords at once, so none is shed
        answers = Counter(pool.map(log_in, REPLICAS * 6, ["not this password"] * 12))
    for replica in REPLICAS:
        restart(stack, replica)
    after = [log_in(replica, PASSWORD) for replica in REPLICAS]
    stack.docker("stop", "db")
    without_store = log_in("api-1", PASSWORD)
    stack.docker("start", "db")
    wait_until(stack.is_ready, 30)

    measured(f"{dict(answers)}; after the restarts {after}; without the database {without_store}")
    assert answers == {(401, "invalid_credentials"): 5, (429, "too_many_attempts"): 7}
    assert after == [(429, "too_many_attempts")] * 2
    assert without_store == (503, "database_unavailable")


def test_no_deadlock_reaches_a_client(replicas: Stack, measured: Measured) -> None:
    """All clients perform random requests on the same two accounts, through both replicas."""
    addresses = [replicas.published(replica) for replica in REPLICAS]
    names = [f"ann-{uuid4().hex[:12]}" for _ in range(2)]
    for name in names:
        register(replicas, name)
    until = time.monotonic() + 10

    def work(seed: int) -> list[tuple[str, int, str]]:
        chance = random.Random(seed)
        client = Client(addresses, keeps=False)
        answers = []
        pairs: list[Any] = []

        def ask(action: str, *request: Any, **more: Any) -> Any:
            answer, document = client.ask(action, *request, **more)
            answers.append((action, answer.status, answer.code))
            return document if answer.status == 200 else None

        while time.monotonic() < until:
            name = chance.choice(names)
            if len(pairs) < 3:
                pairs.append(
                    ask("login", "POST", "/auth/login", body={"username": name, "password": PASSWORD})
                )
            pair = chance.choice(pairs)
            if pair is None:
                pairs.remove(pair)
                continue
            access, refresh = pair["access_token"], pair["refresh_token"]
            match chance.randrange(6):
                case 0 | 1:
                    pairs[pairs.index(pair)] = ask("refresh", "POST", "/auth/refresh", refresh)
                case 2:
                    scope = chance.choice(["session", "others", "all"])
                    ask("logout", "POST", "/auth/logout", access, body={"scope": scope})
                case 3:
                    listed = ask("list", "GET", "/auth/token", access)
                    if listed and listed["items"]:
                        id = chance.choice(listed["items"])["id"]
                        ask("revoke", "PUT", f"/auth/token/{id}", access, body={"revoke": True})
                case 4:
                    change = {"username": chance.choice([name, name.upper()]), "current_password": PASSWORD}
                    ask("change", "PATCH", "/account", access, body=change)
                case _:
                    ask("read", "GET", "/account", access)
        client.close()
        return answers

    with ThreadPoolExecutor(12) as pool:
        answers = [answer for part in pool.map(work, range(12)) for answer in part]

    failures = Counter(answer for answer in answers if answer[1] >= 500 or not answer[1])
    overloaded = sum(number for (_, _, code), number in failures.items() if code == "overloaded")
    deadlocks = replicas.docker("logs", "db").count("deadlock detected")
    measured(f"{len(answers)} answers, {overloaded} overloaded; deadlocks in the database's log: {deadlocks}")
    assert {code for _, _, code in failures} <= {"overloaded"}, failures
    assert deadlocks == 0
    assert "Traceback" not in replicas.docker("logs", "api-1") + replicas.docker("logs", "api-2")
