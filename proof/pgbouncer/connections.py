"""Check the app's connections through PgBouncer. Run it in the api container: python - <connections.py"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app import create_app
from app.database import db
from kit.data.database import READ, reason_of

WORKERS = 8  # the size of PgBouncer's pool
SETTINGS = {
    "statement_timeout": "2s",
    "lock_timeout": "1500ms",
    "idle_in_transaction_session_timeout": "10s",
    "TimeZone": "UTC",
}
WRITE = "DELETE FROM users WHERE false"


def run(engine: str | None, statement: str) -> object:
    """Run a statement on an engine of the app. Return its first value, or the reason why it failed."""
    try:
        with db.engines[engine].begin() as connection:
            result = connection.execute(text(statement))
            return result.scalar() if result.returns_rows else "done"
    except DBAPIError as error:
        return reason_of(error)


def read_and_write(_: int) -> set[object]:
    """Alternate between both engines, so that readers and writers share PgBouncer's connections."""
    with app.app_context():
        return {(engine, run(engine, WRITE)) for _ in range(20) for engine in (READ, None)}


app = create_app()
with app.app_context():
    for engine in (READ, None):
        settings = {name: run(engine, f"SHOW {name}") for name in SETTINGS}
        assert settings == SETTINGS, settings

        begun = time.monotonic()
        reason = run(engine, "SELECT pg_sleep(60)")
        assert reason == "canceling statement due to statement timeout", reason
        seconds = time.monotonic() - begun
        sys.stdout.write(f"{engine or 'write'}: the database ended a statement after {seconds:.1f} s\n")

with ThreadPoolExecutor(WORKERS) as pool:
    answers = set().union(*pool.map(read_and_write, range(WORKERS)))
assert answers == {(READ, "cannot execute DELETE in a read-only transaction"), (None, "done")}, answers
sys.stdout.write("Read-only connections could not write, and the others could.\n")
