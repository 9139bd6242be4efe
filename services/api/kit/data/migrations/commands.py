"""`flask db` (Flask-Migrate). Imported only when invoked, because Alembic slows down every start."""

import warnings
from pathlib import Path

import click
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from flask import Flask, current_app, g
from flask_migrate import Migrate
from flask_migrate.cli import db as commands

from kit.data.database import db
from kit.settings import Settings


def init_app(app: Flask) -> None:
    Migrate(app, db, _folder(app)).configure(_refuse_repeated_revisions)
    # The default of --rev-id.
    commands.context_settings["default_map"] = {
        name: {"rev_id": _default_revision} for name in ("migrate", "revision", "merge")
    }


def next_revision(scripts: ScriptDirectory) -> str:
    """Return the number after the highest one: 0004 after 0003. Revisions that aren't numbers don't count."""
    revisions = (script.revision for script in scripts.walk_revisions())
    numbers = [int(revision) for revision in revisions if revision.isdecimal()]
    return f"{max(numbers, default=0) + 1:04}"


def _default_revision() -> str:
    directory = click.get_current_context().params.get("directory") or g.directory or _folder(current_app)
    return next_revision(ScriptDirectory(str(directory)))


def _refuse_repeated_revisions(config: Config) -> Config:
    """Stop when two migrations have the same revision, as after a merge of two Git branches.

    Alembic only warns, and then applies one of the two.
    """
    if config.get_main_option("script_location") is None:  # `flask db init`
        return config
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Revision .* is present more than once")
        try:
            ScriptDirectory.from_config(config).get_heads()
        except UserWarning as warning:
            raise CommandError(
                f"{warning}. Give the newer migration the next number as its revision, and this one as its "
                "down_revision. Then rename its file."
            ) from warning
    return config


def _folder(app: Flask) -> Path:
    settings: Settings = app.extensions["settings"]
    return settings.folder / "migrations"
