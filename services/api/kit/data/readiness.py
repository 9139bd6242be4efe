"""Readiness: whether the database answers and is migrated."""

import logging
from functools import cache
from importlib import import_module
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from kit.data.database import db, reason_of
from kit.settings import Settings, current

logger = logging.getLogger("app.database")


def failing_check() -> str | None:
    """Return the first check that fails, `database` or `migrations`, or None.

    A revision that this code doesn't know belongs to a newer release, which has migrated and will replace us.
    """
    # Imported on first use: Alembic would add a tenth to every start.
    migration = import_module("alembic.runtime.migration")
    try:
        applied = set(migration.MigrationContext.configure(db.session.connection()).get_current_heads())
    except SQLAlchemyError as error:
        logger.warning("not ready: %s", reason_of(error))
        return "database"
    heads, known = revisions(current(Settings).folder / "migrations")
    return None if applied == heads or applied - known else "migrations"


@cache
def revisions(folder: Path) -> tuple[set[str], set[str]]:
    """Return the newest revisions in a folder of migrations, and all of them."""
    scripts = import_module("alembic.script").ScriptDirectory(str(folder))
    return set(scripts.get_heads()), {script.revision for script in scripts.walk_revisions()}
