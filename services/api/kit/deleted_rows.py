"""`flask deleted`: restores softly deleted rows, and purges old ones."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import click
from flask import Flask
from flask.cli import AppGroup
from sqlalchemy import Table
from sqlalchemy.exc import IntegrityError

from kit.clock import now
from kit.commands import reports_failures
from kit.data.base import Base
from kit.data.database import db
from kit.data.soft_deletion import deletion_time, purge, restore
from kit.data.violations import domain_error

deleted = AppGroup("deleted", help="Softly deleted rows: restore and purge them.")


def init_app(app: Flask) -> None:
    app.cli.add_command(deleted)


@deleted.command("restore")
@click.argument("table")
@click.argument("id", type=click.UUID)
@reports_failures
def restore_row(table: str, id: UUID) -> None:
    """Restore the row ID of TABLE, and the rows that were deleted with it."""
    try:
        restored = restore(db.session, _soft(table), [id])
    except IntegrityError as error:  # another row has a unique value of this one
        raise domain_error(error, Base.metadata) or error from error
    if not restored.rows:
        raise click.ClickException(f"No deleted row of {table} has this id.")
    db.session.commit()
    click.echo(f"Restored the row {id} of {table}.")
    for name, kept in restored.kept:
        click.echo(f"The row {kept} of {name} stays deleted, because it refers to another deleted row.")


@deleted.command("purge")
@click.option(
    "--days", type=click.IntRange(0, 36500), default=30, show_default=True, help="The age of the deletion."
)
@reports_failures
def purge_rows(days: int) -> None:
    """Really delete the rows that were deleted at least so many days ago."""
    counts: dict[str, int] = {}
    for table, count in purge(db.session, Base.metadata, now() - timedelta(days=days)):
        db.session.commit()
        counts[table] = counts.get(table, 0) + count
    for table, count in counts.items():
        click.echo(f"{table}: {count}")
    click.echo(f"Purged {sum(counts.values())} rows.")


def _soft(name: str) -> Table:
    tables: dict[str, Any] = {
        table.name: table for table in Base.metadata.sorted_tables if deletion_time(table) is not None
    }
    if name not in tables:
        known = ", ".join(tables) or "none"
        raise click.ClickException(f"{name} isn't a table with soft deletion. Such tables: {known}.")
    table: Table = tables[name]
    return table
