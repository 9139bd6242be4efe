"""The database refuses to work: locked, read-only, or without disk space."""

import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from proof.drills.load import PATIENCE, longest, under_load
from proof.drills.stack import Stack

Measured = Callable[[str], None]
DISCONNECT = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE pid <> pg_backend_pid() AND datname = current_database()
"""
LIMITS = """
from sqlalchemy import text
from app import create_app
from app.database import db
with create_app().test_request_context():  # commands have no limits
    for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        print(db.session.scalar(text(f"SHOW {name}")))
"""


@pytest.fixture
def stack_with_a_small_disk(server_stack: Stack) -> Iterator[Stack]:
    server_stack.up(small_disk=True)
    yield server_stack
    server_stack.down()


@pytest.mark.quick
def test_who_waits_for_a_locked_table_is_refused_in_time(stack: Stack, measured: Measured) -> None:
    lock = "BEGIN; LOCK TABLE users; SELECT pg_sleep(6)"
    with under_load(stack, lives=10, readers=6) as load:
        locked = time.monotonic()
        stack.sql(lock)
        freed = time.monotonic()
        time.sleep(3)

    waited = load.since(locked, until=freed)
    measured(f"{load.counts()}; longest {longest(waited):.2f} s")
    measured(f"live: longest {longest(load.since(locked, 'live', until=freed)):.2f} s")
    measured(f"last failure {load.recovery(freed):.2f} s after the release")
    assert "query_timeout" in {answer.code for answer in waited}
    assert longest(waited) < 4 * PATIENCE
    assert load.recovery(freed) < 2 * PATIENCE


def test_every_session_has_its_limits(stack: Stack) -> None:
    assert stack.docker("exec", "api", "python", "-c", LIMITS).split() == ["2s", "1500ms", "10s"]


def test_a_read_only_database_is_read(stack: Stack, measured: Measured) -> None:
    with under_load(stack) as load:
        stack.sql("ALTER DATABASE flask_api SET default_transaction_read_only = on")
        stack.sql(DISCONNECT)
        time.sleep(0.5)
        begun = time.monotonic()
        time.sleep(4)
        ended = time.monotonic()
        reset = "ALTER DATABASE flask_api RESET default_transaction_read_only"
        stack.sql(f"SET transaction_read_only = off; {reset}")
        stack.sql(DISCONNECT)
        writable = time.monotonic()
        time.sleep(3)

    reads, writes = load.since(begun, "read", until=ended), load.since(begun, "register", until=ended)
    measured(
        f"{load.counts()}; {len(reads)} reads; last failure {load.recovery(writable):.2f} s after the reset"
    )
    assert {answer.status for answer in reads} == {200}
    assert {answer.code for answer in writes} <= {"database_unavailable", "overloaded"}
    assert writes
    assert longest(writes) < 4 * PATIENCE
    assert load.recovery(writable) < 2 * PATIENCE


def test_a_full_disk_stops_writes_alone(stack_with_a_small_disk: Stack, measured: Measured) -> None:
    stack = stack_with_a_small_disk
    file = "/var/lib/postgresql/data/filler"
    fill = f"dd if=/dev/zero of={file} bs=1M; while dd if=/dev/zero bs=1k count=4 >>{file}; do :; done"
    with under_load(stack, lives=6) as load:
        subprocess.run(
            ["docker", "exec", stack.container("db"), "sh", "-c", fill], capture_output=True, check=False
        )
        full = time.monotonic()
        time.sleep(6)
        ended = time.monotonic()
        stack.docker("exec", "db", "rm", file)
        freed = time.monotonic()
        time.sleep(3)

    reads, writes = load.since(full, "read", until=ended), load.since(full, "register", "login", until=ended)
    refused = [answer for answer in writes if answer.code == "database_unavailable"]
    measured(f"{load.counts()}; {len(reads)} reads; {len(refused)} of {len(writes)} writes refused")
    measured(f"last failure {load.recovery(freed):.2f} s after the file was deleted")
    assert {answer.status for answer in reads} == {200}
    assert refused
    assert longest(writes) < 4 * PATIENCE
    assert load.recovery(freed) < 2 * PATIENCE
