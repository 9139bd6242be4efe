"""Creates extensions of PostgreSQL in a migration."""

from alembic import op
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from kit.data.database import reason_of


def create_extension(name: str) -> None:
    """Create an extension if the database is PostgreSQL and doesn't have it.

    A downgrade should leave it, because something else may use it.
    """
    # part: sqlite
    if op.get_context().dialect.name != "postgresql":
        return
    # end of part
    statement = f"CREATE EXTENSION IF NOT EXISTS {name}"
    try:
        op.execute(statement)
    except DBAPIError as error:
        raise CommandError(
            f"The extension {name} can't be created: {reason_of(error)}. Let the owner of the database or a "
            f"superuser run this statement in this database, then migrate again: {statement};"
        ) from error
