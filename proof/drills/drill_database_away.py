"""The database is unavailable: killed, stopped, without a free connection, or with a changed password."""

import subprocess
import time
from collections.abc import Callable

import pytest

from proof.drills.load import PATIENCE, longest, median_seconds, under_load
from proof.drills.stack import Stack
from tests.support.waiting import wait_until

Measured = Callable[[str], None]
DISCONNECT = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND datname = current_database()
"""
# Takes all connections, also the api's and those that are reserved for superusers. Keeps them until standard
# input is closed.
HOG = """
import sys, psycopg2
url = sys.stdin.readline().strip()
held = [psycopg2.connect(url)]
held[0].autocommit = True
first = held[0].cursor()
first.execute("SHOW max_connections")
wanted = int(first.fetchone()[0])
while len(held) < wanted:
    try:
        held.append(psycopg2.connect(url))
    except psycopg2.OperationalError:
        pids = [connection.info.backend_pid for connection in held]
        first.execute("SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity"
                      " WHERE usename IN ('flask_api', 'flask_api_app') AND pid <> ALL (%s)", (pids,))
print(len(held), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("command", [pytest.param("kill", marks=pytest.mark.quick), "stop"])
def test_a_database_that_went_away_is_served_again_as_soon_as_it_is_back(
    stack: Stack, measured: Measured, command: str
) -> None:
    with under_load(stack) as load:
        going = time.monotonic()
        stack.docker(command, "db")
        gone = time.monotonic()
        time.sleep(4)
        assert (stack.get("/health/live"), stack.get("/health/ready")) == (200, 503)
        time.sleep(1)
        back = time.monotonic()
        stack.docker("start", "db")
        wait_until(stack.takes_connections, 30)
        returned = time.monotonic()
        time.sleep(3)

    outage, reads = load.since(gone + 3, until=back), load.since(gone + 3, "read", until=back)
    measured(f"{load.counts()}; longest {longest(load.since(going)):.2f} s")
    measured(f"outage: median read {median_seconds(reads):.3f} s, longest {longest(reads):.2f} s")
    measured(f"last failure {load.recovery(returned):.2f} s after it accepted connections again")
    measured(f"applied without an acknowledgement: {len(load.applied_unacknowledged(stack))}")
    assert {answer.code for answer in outage} <= {"database_unavailable", "overloaded"}
    assert {answer.code for answer in reads} == {"database_unavailable"}
    assert median_seconds(reads) < 0.5 * PATIENCE
    assert longest(reads) < 1.5 * PATIENCE
    # The container's address disappears first, so packets are lost without an error.
    assert longest(load.since(going)) < 5 * PATIENCE
    assert load.recovery(returned) < 2 * PATIENCE


def test_without_a_connection_to_be_had_requests_are_refused_in_time(
    stack: Stack, measured: Measured
) -> None:
    command = ["docker", "exec", "-i", stack.container("api"), "python", "-c", HOG]
    owner = stack.docker("exec", "db", "cat", "/secrets/owner/url")
    with under_load(stack) as load:
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as hog:
            assert hog.stdin
            assert hog.stdout
            hog.stdin.write(f"{owner}\n")
            hog.stdin.flush()
            held = hog.stdout.readline().strip()
            taken = time.monotonic()
            time.sleep(4)
            assert (stack.get("/health/live"), stack.get("/health/ready")) == (200, 503)
            freed = time.monotonic()
        time.sleep(3)

    refused = load.since(taken + 0.1, until=freed)
    measured(f"{held} connections held; {load.counts()}")
    measured(f"longest {longest(refused):.2f} s; last failure {load.recovery(freed):.2f} s after the release")
    assert {answer.code for answer in refused} <= {"database_unavailable", "overloaded"}
    assert refused
    assert longest(refused) < 4 * PATIENCE
    assert load.recovery(freed) < 2 * PATIENCE


def test_a_changed_database_password_only_causes_503s(stack: Stack, measured: Measured) -> None:
    password = stack.docker("exec", "db", "cat", "/secrets/database/api-password")
    with under_load(stack) as load:
        stack.sql("ALTER ROLE flask_api_app PASSWORD 'rotated'")
        stack.sql(DISCONNECT)
        rotated = time.monotonic()
        time.sleep(3)
        assert (stack.get("/health/live"), stack.get("/health/ready")) == (200, 503)
        back = time.monotonic()
        stack.sql(f"ALTER ROLE flask_api_app PASSWORD '{password}'")
        returned = time.monotonic()
        time.sleep(3)

    refused = load.since(rotated, until=back)
    measured(
        f"{load.counts()}; longest {longest(refused):.2f} s; "
        f"last failure {load.recovery(returned):.2f} s after the reset"
    )
    assert {answer.code for answer in refused} <= {"database_unavailable", "overloaded"}
    assert refused
    assert longest(refused) < 2 * PATIENCE
    assert load.recovery(returned) < 2 * PATIENCE


def test_the_api_starts_without_its_database_and_serves_when_it_comes(
    stack: Stack, measured: Measured
) -> None:
    stack.docker("stop", "db")
    stack.docker("restart", "api")
    wait_until(lambda: stack.get("/health/live") == 200, 10)
    starts = stack.starts()
    assert stack.get("/health/ready") == 503
    assert stack.get("/problems/not-found") == 200

    stack.docker("start", "db")
    wait_until(stack.takes_connections, 30)
    seconds = wait_until(stack.is_ready, 5)

    measured(f"ready {seconds:.2f} s after the database accepted connections")
    assert stack.starts() == starts
    assert "Traceback" not in stack.docker("logs", "api")
