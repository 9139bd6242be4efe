"""Run the migrations, under a lock that admits one process at a time."""

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from alembic import context
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from flask import current_app
from sqlalchemy import Engine, NullPool, create_engine, event, text
from sqlalchemy.exc import DBAPIError

from kit.data.database import db, reason_of, set_up_connections
from kit.data.migrations import dialects, drift, grants, patience
from kit.data.migrations import rendering as migration_text
from kit.settings import Settings, current

logger = logging.getLogger("app.migrations")
LOCK = 7_041_776_411  # the key of the advisory lock, the only one in this database
LOCK_SECONDS = 900  # longer than a migration waits for its locks
NOT_ALLOWED = "42501"  # the SQLSTATE insufficient_privilege
OWNER_NEEDED = (
    "Set MIGRATION_DATABASE_URL to the URL of the tables' owner. "
    "With Compose: docker compose run --rm --no-deps migrate flask db ..."
)


def migrate_online() -> None:
    settings = current(Settings)
    # Migrations may take minutes, so use a separate engine without the timeouts of requests.
    engine = create_engine(settings.migration_database_url or db.engine.url, poolclass=NullPool)
    set_up_connections(engine)
    # part: sqlite
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _disable_foreign_keys)
    # end of part
    # A quarter of the time limit of requests, so that those that wait behind the migration succeed.
    patience.limit_lock_waits(engine, min(2000, settings.database_timeout_ms // 4))
    try:
        with _lock(engine), engine.connect() as connection:
            context.configure(
                connection=connection,
                transactional_ddl=True,  # SQLite also supports it  # part: sqlite
                on_version_apply=_repeat_grants,
                **_arguments(),
            )
            drift.compare_conditions(context.get_context())
            migration_text.render_neutrally(context.get_context())
            patience.run(context.get_context(), _run_migrations)
    except (DBAPIError, sqlite3.OperationalError) as error:
        refused = getattr(getattr(error, "orig", None), "pgcode", None) == NOT_ALLOWED
        advice = f". {OWNER_NEEDED}" if refused else ""
        raise CommandError(f"The database cannot be migrated: {reason_of(error)}{advice}") from error


def _run_migrations() -> None:
    if not _is_ahead():
        context.run_migrations()
        if _changes_schema():
            _repeat_grants(context.get_context())  # for a role that is newer than the tables


def _repeat_grants(ctx: MigrationContext, *_: object, **__: object) -> None:
    """Grant the API's role the access to new tables, in the transaction that creates them."""
    settings = current(Settings)
    if settings.migration_database_url and (name := settings.database_url.username):
        grants.grant(ctx, name)


def _changes_schema() -> bool:
    """Return whether the command is an upgrade, a downgrade or a stamp."""
    try:
        context.get_revision_argument()
    except KeyError:
        return False
    return True


def _is_ahead() -> bool:
    """Return whether a newer release has migrated the database.

    The database is then at a revision that this code doesn't have, and `flask db upgrade` does nothing. So an
    older release can be deployed again. Readiness accepts such a database too.
    """
    scripts = ScriptDirectory.from_config(context.config)
    known = {script.revision for script in scripts.walk_revisions()}
    ahead = set(context.get_context().get_current_heads()) - known
    if not ahead or not _changes_schema():
        return False
    wanted = context.get_revision_argument()
    if set(wanted if isinstance(wanted, tuple) else [wanted]) != set(scripts.get_heads()):
        return False
    logger.warning("a newer release has migrated the database (to %s): nothing to do", ", ".join(ahead))
    return True


def migrate_offline() -> None:
    """Print the SQL instead of running it: `flask db upgrade --sql`."""
    context.configure(dialect_name=db.engine.dialect.name, literal_binds=True, **_arguments())
    with context.begin_transaction():
        context.run_migrations()


@contextmanager
def _lock(engine: Engine) -> Iterator[None]:
    """Allow one migration at a time. Waiting for more than LOCK_SECONDS is an error.

    A separate connection holds the lock, so that a migration may commit in between. The lock belongs to a
    transaction, because behind PgBouncer a lock of the session would outlive the process.
    """
    # part: sqlite
    if engine.dialect.name == "sqlite":
        with _lock_file(f"{engine.url.database}.lock"):
            yield
        return
    # end of part
    with engine.connect() as connection:
        if not connection.scalar(text("SELECT pg_try_advisory_xact_lock(:number)"), {"number": LOCK}):
            logger.info("another migration is running: waiting for it")
            connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": LOCK})
        yield


# part: sqlite
@contextmanager
def _lock_file(name: str) -> Iterator[None]:
    file = sqlite3.connect(name, timeout=LOCK_SECONDS, isolation_level=None)
    try:
        file.execute("BEGIN EXCLUSIVE")
        yield
    finally:
        file.close()


def _disable_foreign_keys(connection: Any, _: object) -> None:
    """Disable foreign keys: SQLite alters a table by replacing it, which would delete referring rows."""
    connection.execute("PRAGMA foreign_keys = OFF")


# end of part
def _arguments() -> dict[str, Any]:
    arguments: dict[str, Any] = current_app.extensions["migrate"].configure_args
    return {
        "target_metadata": db.metadata,
        "transaction_per_migration": True,
        "process_revision_directives": _finish_revision,
        "render_item": _write_plain_types,
        "include_object": dialects.included_on(db.engine.dialect.name),  # part: sqlite
        **drift.arguments(),
        **arguments,
    }


def _finish_revision(ctx: MigrationContext, _: object, directives: list[Any]) -> None:
    for script in directives:
        migration_text.finish(script, ctx)
    if getattr(context.config.cmd_opts, "autogenerate", False) and directives[0].upgrade_ops.is_empty():
        directives.clear()
        print("The models match the database: there is nothing to migrate.")  # noqa: T201


def _write_plain_types(kind: str, item: Any, autogenerate: Any) -> str | Literal[False]:
    written = migration_text.type_text(item, autogenerate.dialect.name) if kind == "type" else None
    return written or False


logging.getLogger("alembic.runtime.migration").setLevel(logging.INFO)  # logs each revision that runs
if context.is_offline_mode():
    migrate_offline()
else:
    migrate_online()
