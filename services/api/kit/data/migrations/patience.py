"""Lets migrations wait for locks without stopping the traffic.

A statement such as ALTER TABLE waits for every transaction that uses the table, such as a backup. Meanwhile,
all later requests for this table wait behind it. So a migration only waits briefly, lets the requests pass,
and tries again.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from time import sleep
from typing import Any

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError

from kit.data.database import reason_of
from kit.data.postgresql import NO_LIMITS, set_local

logger = logging.getLogger("app.migrations")
PAUSE_SECONDS = 5
RETRIES = 60  # five minutes and more
RETRIED = {"55P03", "40P01"}  # the SQLSTATEs lock_not_available and deadlock_detected


def limit_lock_waits(engine: Engine, milliseconds: int) -> None:
    """Replace the time limits of requests, which the role may have, in each transaction of this engine.

    Outside of transactions, in Alembic's `autocommit_block`, a statement can wait: CREATE INDEX CONCURRENTLY
    blocks no request, and is useless if it is cancelled.
    """
    # part: sqlite
    if engine.dialect.name == "sqlite":
        return
    # end of part

    def set_limits(connection: Connection) -> None:
        if connection.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
            connection.exec_driver_sql("SET statement_timeout = 0; SET lock_timeout = 0")
        else:
            # Not in the connection's options, because PgBouncer would refuse them or not pass them on.
            connection.exec_driver_sql(set_local({**NO_LIMITS, "lock_timeout": milliseconds}))

    event.listen(engine, "begin", set_limits)


def run(context: MigrationContext, migrate: Callable[[], None]) -> None:
    """Run the migrations. If one gets no lock, roll it back and repeat it, for about five minutes."""
    context._migrations_fn = _Remaining(context._migrations_fn)  # type: ignore[arg-type]
    connection = context.connection
    assert connection is not None  # noqa: S101 # nosec B101
    for retry in count(1):
        try:
            migrate()
            connection.commit()
            return
        except DBAPIError as error:
            connection.rollback()
            if getattr(error.orig, "pgcode", None) not in RETRIED or retry > RETRIES:
                raise
            logger.warning(
                "the migration waits for other transactions (%s): attempt %s of %s follows in %s s",
                reason_of(error), retry + 1, RETRIES + 1, PAUSE_SECONDS,
            )  # fmt: skip
        sleep(PAUSE_SECONDS)


class _Remaining:
    """The revisions of this run. A repeated run continues with the first one that isn't committed.

    With a new plan, `flask db upgrade +2` would apply too many.
    """

    def __init__(self, plan: Callable[..., Iterable[Any]]) -> None:
        self.plan = plan
        self.steps: list[Any] | None = None

    def __call__(self, heads: Any, context: MigrationContext) -> Iterator[Any]:
        if self.steps is None:
            self.steps = list(self.plan(heads, context))
        while self.steps:
            yield self.steps[0]  # Alembic runs and commits it
            del self.steps[0]
