"""`flask scaffold`, `flask scaffold-field` and `flask unscaffold`."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import click
from alembic.runtime.migration import MigrationContext
from flask import Flask
from flask.cli import with_appcontext
from sqlalchemy.exc import SQLAlchemyError

from app.database import db
from app.model import MODELS
from tools import COMMANDS
from tools.scaffold.kinds import KINDS
from tools.scaffold.render import FieldView, migration
from tools.scaffold.resource import (
    Refused,
    Resource,
    check_resource_name,
    parse_field,
    parse_fields,
    plural_of,
)
from tools.scaffold.tree import MADE, Tree

API = Path(__file__).parents[2]
FIELDS_HELP = f"""A field is NAME:TYPE, with marks behind it:

\b
  !  it has to be given (as without any mark)       ^  unique
  ?  it may be null, and left out                   ~  clients may search in it
  =DEFAULT  it may be left out, and is that then

The types are str(200), decimal(10,2), enum(one,two), ref(user), {
    ", ".join(name for name in KINDS if name not in ("str", "decimal", "enum", "ref"))
}."""


def init_app(app: Flask) -> None:
    for command in (scaffold, scaffold_field, unscaffold):
        app.cli.add_command(command)


@click.command("scaffold", help=COMMANDS["scaffold"][1], epilog=FIELDS_HELP)
@click.argument("name")
@click.argument("fields", nargs=-1, required=True)
@click.option("--owned", "access", flag_value="owned", help="Each user has their own, and sees no others.")
@click.option("--admin", "access", flag_value="admin", help="For admins alone.")
@click.option(
    "--public",
    "access",
    flag_value="public",
    default=True,
    help="Everybody reads, admins change. The default.",
)
@click.option("--plural", help="The plural, if it is not what English makes of NAME.")
@click.option("--require-match", is_flag=True, help="A change has to say of which version it is: If-Match.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@with_appcontext
def scaffold(
    name: str, fields: tuple[str, ...], access: str, plural: str | None, require_match: bool, dry_run: bool
) -> None:
    tree = Tree(API)
    resource = new_resource(tree, name, fields, access, plural, require_match=require_match)
    down, revision = tree.head(), tree.next_revision()
    script = _migration_path(revision, f"add {resource.plural}")
    written = [*tree.paths(resource), script]
    if dry_run:
        _print("These files would be written:", [*written, MADE.format(name=name)])
        return
    text = migration("create", tree.view(resource), revision, down, f"Add {resource.plural_words}.")
    with tree.all_or_nothing():
        tree.write(tree.texts(resource) | {script: text})
        tree.register(resource)
        tree.format(written)
        tree.keep_record(resource, [revision])
        tree.write_documents()
    _print(
        f"Made {resource.path}:",
        written,
        "Read first what is yours to change: the model and the views. Then:",
        "  docker compose up --build           creates the table and serves it (without Docker: make run)",
        f"  make test                           runs tests/integration/test_{name}.py with the others",
        f"  {f'scripts/flask unscaffold {name}':35} takes it all back, as long as you have changed nothing",
    )


@click.command("scaffold-field", help=COMMANDS["scaffold-field"][1], epilog=FIELDS_HELP)
@click.argument("name")
@click.argument("field")
@with_appcontext
def scaffold_field(name: str, field: str) -> None:
    tree = Tree(API)
    record = tree.record(name)
    old = record.resource
    new = parse_field(field, old.plural)
    if new.is_required:
        raise Refused(
            f"{field!r}: rows that exist have no value for it. Let it be null (?) or give a default (=)."
        )
    fields = parse_fields([*(each.spec for each in old.fields), field], old.plural)
    resource = replace(old, fields=fields)
    tree.refuse_references(resource)
    down, revision = tree.head(), tree.next_revision()
    view = tree.view(resource)
    script = _migration_path(revision, f"add {new.column_name} to {resource.plural}")
    text = migration(
        "add",
        view,
        revision,
        down,
        f"Add {new.words} to {resource.plural_words}.",
        FieldView(new, view),
    )
    if changed := [path for path in tree.changed(record) if path in tree.paths(resource)]:
        _print(
            "Nothing was written, for these files are not as they were made, and what you wrote stays yours:",
            changed,
            f"Add {new.column_name} to them by hand, beside the other fields, and make the migration:",
            f"  flask db migrate --rev-id {revision} -m 'add {new.column_name} to {resource.plural}'",
        )
        raise SystemExit(1)
    written = [*tree.paths(resource), script]
    with tree.all_or_nothing():
        tree.write(tree.texts(resource) | {script: text})
        tree.format(written)
        tree.keep_record(resource, [*record.migrations, revision])
        tree.write_documents()
    _print(
        f"Added {new.column_name} to {resource.path}:",
        written,
        "Next: docker compose up --build, or make run",
    )


@click.command("unscaffold", help=COMMANDS["unscaffold"][1])
@click.argument("name")
@with_appcontext
def unscaffold(name: str) -> None:
    tree = Tree(API)
    record = tree.record(name)
    tree.refuse_referred(name)
    head = tree.head()
    resource = record.resource
    if changed := tree.changed(record):
        _print(
            "Nothing was removed, for these files are not as they were made, and what you wrote stays yours:",
            changed,
            "Remove by hand what is yours to keep or not, and the lines that name the resource in",
            "app/blueprint/__init__.py, app/model/__init__.py and tests/authorization.md.",
            f"All files of the resource are named in {MADE.format(name=name)}.",
        )
        raise SystemExit(1)
    scripts = [tree.migration_path(revision) for revision in record.migrations]
    is_newest = head == record.migrations[-1] and _follow_each_other(tree, record.migrations)
    is_applied = bool(_applied(tree) & set(record.migrations))
    removed = [*tree.paths(resource), MADE.format(name=name)]
    added, said = {}, []
    if is_newest and not is_applied:
        removed += scripts
    else:
        revision = tree.next_revision()
        script = _migration_path(revision, f"drop {resource.plural}")
        view = tree.view(resource)
        added = {script: migration("drop", view, revision, head, f"Drop {resource.plural_words}.")}
        why = "is applied here" if is_applied else "is followed by others"
        said = [
            f"The migration that made the table {why}, so it stays, and a new one drops the table",
            f"with all its rows at the next flask db upgrade. Look at it first: services/api/{script}",
        ]
    with tree.all_or_nothing():
        tree.remove(removed)
        tree.unregister(resource)
        tree.write(added)
        tree.format(added)
        tree.write_documents()
    _print(f"Took {resource.path} back. Removed:", removed, *said)


def new_resource(
    tree: Tree, name: str, fields: tuple[str, ...], access: str, plural: str | None, *, require_match: bool
) -> Resource:
    """Return what was asked for, if it can be made. Raises Refused."""
    check_resource_name(name)
    table = plural or plural_of(name)
    check_resource_name(table, "table")
    resource = Resource(name, table, access, require_match, parse_fields(fields, table))
    if resource.class_name in {model.__name__ for model in MODELS}:
        raise Refused(f"There is a model {resource.class_name} already. Choose another name.")
    if name == table:
        raise Refused(f"{name!r} is the same in the plural: give another one with --plural.")
    tree.refuse_taken(resource, db.metadata.tables)
    tree.refuse_references(resource)
    return resource


def _follow_each_other(tree: Tree, revisions: list[str]) -> bool:
    scripts = [tree.scripts().get_revision(revision) for revision in revisions]
    return all(later.down_revision == earlier.revision for earlier, later in pairwise(scripts))


def _applied(tree: Tree) -> set[str]:
    """Return what the database of the settings has applied: all revisions up to its own."""
    try:
        current = MigrationContext.configure(db.session.connection()).get_current_heads()
    except SQLAlchemyError:
        click.echo("The database cannot be asked, so its migrations are taken for not applied.", err=True)
        return set()
    scripts = tree.scripts()
    return {each.revision for head in current for each in scripts.iterate_revisions(head, "base")}


def _migration_path(revision: str, message: str) -> str:
    slug = re.sub(r"\W+", "_", message)
    return f"migrations/versions/{datetime.now(UTC):%Y_%m_%d}_{slug}_{revision}.py"


def _print(first: str, paths: list[str], *last: str) -> None:
    click.echo(first)
    for path in paths:
        click.echo(f"  services/api/{path}")
    for line in last:
        click.echo(line)
