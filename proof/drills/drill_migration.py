"""A migration that has to wait for a backup."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from proof.drills.load import longest, under_load
from proof.drills.stack import Stack, run
from tests.support.waiting import wait_until

Measured = Callable[[str], None]
# pg_dump's output stops at this row, because the pipe is full, until standard input is closed.
LONG_ROW = """
    INSERT INTO attempts (id, entries, attempts, milliseconds, expires_at)
    VALUES (gen_random_uuid(), repeat('x', 1000000), 0, 0, 9e15)
"""
SLOW_DUMP = "exec 3<&0; pg_dump -U flask_api flask_api | { cat <&3; cat; } >/dev/null"
DUMPING = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_dump'"
MIGRATION = """
set -e
cp -r migrations /tmp/
cat >/tmp/migrations/versions/drill.py <<END
from alembic import op
revision, down_revision = "drill", "$(flask db heads 2>/dev/null | cut -d ' ' -f 1)"
def upgrade():
    op.execute("ALTER TABLE users ADD COLUMN drill text")
    op.execute("ALTER TABLE tokens ADD COLUMN drill text")
END
exec flask db upgrade --directory /tmp/migrations
"""
WAITS = "the migration waits for other transactions"
COLUMNS = "SELECT count(*) FROM information_schema.columns WHERE column_name = 'drill'"


@pytest.fixture
def revision(stack: Stack) -> Iterator[str]:
    """Return the revision of the database, and restore it in the end."""
    [revision] = stack.sql("SELECT version_num FROM alembic_version")
    yield revision
    for table in ("users", "tokens"):
        stack.sql(f"ALTER TABLE {table} DROP COLUMN IF EXISTS drill")
    stack.sql(f"UPDATE alembic_version SET version_num = '{revision}'")


@contextmanager
def slow_backup(stack: Stack) -> Iterator[None]:
    stack.sql(LONG_ROW)
    command = ["docker", "exec", "-i", stack.container("db"), "bash", "-c", SLOW_DUMP]
    with subprocess.Popen(command, stdin=subprocess.PIPE):
        wait_until(lambda: stack.sql(DUMPING) == ["1"], 10)
        yield
        assert stack.sql(DUMPING) == ["1"]


def test_requests_go_on_while_a_migration_waits_for_a_backup(
    stack: Stack, revision: str, measured: Measured
) -> None:
    with under_load(stack) as load:
        begun = time.monotonic()
        with slow_backup(stack):
            migrator = stack.compose("run", "--detach", "--no-deps", "migrate", "sh", "-c", MIGRATION)
            wait_until(lambda: run("docker", "logs", migrator).count(WAITS) >= 3, 120)
            before = stack.sql(COLUMNS)
        ended = time.monotonic()
        status = run("docker", "wait", migrator)
        seconds = time.monotonic() - ended
        time.sleep(2)

    run("docker", "rm", migrator)
    measured(f"{load.counts()}; longest {longest(load.since(begun)):.2f} s")
    measured(f"migrated {seconds:.1f} s after the backup, which took {ended - begun:.1f} s")
    assert (before, stack.sql(COLUMNS), status) == (["0"], ["2"], "0")
    assert {answer.code for answer in load.since(begun) if not answer.succeeded} <= {"overloaded"}
