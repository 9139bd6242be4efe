"""`flask scaffold`, `flask scaffold-field`, `flask scaffold-choice` and `flask unscaffold`."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import click
from alembic.runtime.migration import MigrationContext
from flask import Flask
from flask.cli import with_appcontext
from sqlalchemy.exc import SQLAlchemyError

from app.database import db
from tools import COMMANDS
from tools.scaffold import plurals
from tools.scaffold.changes import Changes, changes, described, edits_of
from tools.scaffold.choices import choice_migration, with_choice
from tools.scaffold.edits import Step
from tools.scaffold.feature_app import feature_app
from tools.scaffold.includes import relation_name
from tools.scaffold.kinds import KINDS
from tools.scaffold.lists import check_filters, parse_indexes
from tools.scaffold.many import is_many, parse_many, refuse_csv_with_links
from tools.scaffold.migration import migration
from tools.scaffold.names import refuse_taken_fields, refuse_taken_resource, refuse_taken_schemas
from tools.scaffold.references import uses
from tools.scaffold.resource import (
    Field,
    Many,
    Resource,
    ScaffoldError,
    check_resource_name,
    parse_field,
    parse_fields,
)
from tools.scaffold.tree import RECORD, Record, Tree
from tools.scaffold.uniqueness import parse_uniques
from tools.scaffold.views import FieldView

API = Path(__file__).parents[2]
FIELDS_HELP = f"""A field is NAME:TYPE, followed by marks:

\b
  !  required (the default)             ^  unique
  ?  optional, and may be null          ~  searchable
  +  indexed: a filter and a sort key   =DEFAULT  optional, with this default

The types are str(200), decimal(10,2), enum(one,two), ref(author), {
    ", ".join(name for name in KINDS if name not in ("str", "decimal", "enum", "ref"))
}.

\b
  int(1..5), float(0..), decimal(10,2,0..)  with a range: from 1 to 5, at least 0
  date(2000-01-01..), str(3..200)           the range of a str or text is that of its length
  enum(novel,Science Fiction,"a, b")        values of any text, with commas in quotes
  =yes  =1_000  =today  =now  =random       some defaults of bool, int, date, datetime and uuid

\b
Deleting an author, with each kind of reference:
  ref(author)          is refused with 409 while a row refers to the author
  ref(author)?         sets the field to null
  ref(author,cascade)  deletes the row too

An account can always be deleted, so write ref(user)? or ref(user,cascade).

A field such as tags:many(tag) is a many-to-many relationship: bodies have tag_ids, and the list can be
filtered by tag_id. With !, there is at least one."""


def init_app(app: Flask) -> None:
    for command in (scaffold, scaffold_field, scaffold_choice, unscaffold):
        app.cli.add_command(command)


@click.command("scaffold", help=COMMANDS["scaffold"][1], epilog=FIELDS_HELP)
@click.argument("name")
@click.argument("fields", nargs=-1, required=True)
@click.option("--owned", is_flag=True, help="Each user has their own rows.")
@click.option(
    "--authored",
    is_flag=True,
    help="Everyone can read, each user can add rows, and only their owner and admins can change them.",
)
@click.option("--admin", is_flag=True, help="Only admins can read and write.")
@click.option("--public", is_flag=True, help="Everyone can read, only admins can write. This is the default.")
@click.option("--plural", help="The plural of NAME, if it is irregular.")
@click.option(
    "--soft-delete", is_flag=True, help="Keep deleted rows in the table, so that they can be restored."
)
@click.option("--audited", is_flag=True, help="Record each change in the audit trail.")
@click.option("--require-match", is_flag=True, help="Require If-Match for every change.")
@click.option("--csv", is_flag=True, help="Export the list as CSV.")
@click.option(
    "--unique",
    "uniques",
    metavar="FIELD,FIELD",
    multiple=True,
    help="Fields that are unique together. With --owned, for each owner. Can be repeated.",
)
@click.option(
    "--index",
    "indexes",
    multiple=True,
    metavar="FIELD,FIELD",
    help="Add an index, so that lists can be filtered by these fields together, or sorted by the last ones. "
    "Can be repeated.",
)
@click.option("--dry-run", is_flag=True, help="Only list the files.")
@with_appcontext
def scaffold(
    name: str,
    fields: tuple[str, ...],
    owned: bool,
    authored: bool,
    admin: bool,
    public: bool,
    plural: str | None,
    audited: bool,
    require_match: bool,
    csv: bool,
    uniques: tuple[str, ...],
    indexes: tuple[str, ...],
    dry_run: bool,
    soft_delete: bool,
) -> None:
    tree = Tree(API)
    resource = new_resource(
        tree,
        name,
        fields,
        access_of({"owned": owned, "authored": authored, "admin": admin, "public": public}),
        plural,
        require_match=require_match,
        audited=audited,
        uniques=uniques,
        soft_delete=soft_delete,
    )
    resource = replace(resource, indexes=parse_indexes(indexes, resource), has_csv=csv)
    check_filters(resource)
    refuse_csv_with_links(resource)
    down, revision = tree.head(), tree.next_revision()
    script = _migration_path(revision, f"add {resource.plural}")
    paths = [*tree.paths(resource), script]
    if dry_run:
        files = [*paths, RECORD.format(name=name)]
        _print("These files would be written:", files, *_deletions(tree, resource), *_lists(tree, resource))
        return
    text = migration("create", tree.view(resource), revision, down, f"Add {resource.plural_words}.")
    with tree.all_or_nothing():
        tree.write(tree.texts(resource) | {script: text})
        lists = tree.register(resource)
        tree.format(paths)
        tree.keep_record(resource, [revision], present=lists.present)
        tree.write_documents()
    _print(
        f"Generated {resource.path}:",
        paths,
        *_deletions(tree, resource),
        *_lists(tree, resource),
        "Review the model and the views. Then run:",
        "  docker compose up --build           to create the table and serve the resource (or: make run)",
        f"  make test                           to run all tests, with tests/integration/test_{name}.py",
        f"  {f'scripts/flask unscaffold {name}':35} to remove the resource",
    )
    _leave_to_user(lists.left)


@click.command("scaffold-field", help=COMMANDS["scaffold-field"][1], epilog=FIELDS_HELP)
@click.argument("name")
@click.argument("field")
@with_appcontext
def scaffold_field(name: str, field: str) -> None:
    tree = Tree(API)
    record = tree.record(name)
    old = record.resource
    new: Field | Many = parse_many(field) if is_many(field) else parse_field(field, old.plural)
    if new.is_required:
        raise ScaffoldError(f"{field!r}: existing rows have no value for this field. {_optional(new)}")
    resource = _with_field(tree, old, new)
    check_filters(resource)
    refuse_csv_with_links(resource)
    refuse_taken_fields(resource, tree.stand_in_texts(resource))
    down, revision = tree.head(), tree.next_revision()
    view = tree.view(resource)
    script = _migration_path(revision, f"add {new.column_name} to {resource.plural}")
    text = migration(
        "add",
        view,
        revision,
        down,
        f"Add {new.words} to {resource.plural_words}.",
        FieldView(new, view) if isinstance(new, Field) else view.many[-1],
    )
    found = changes(tree, record, resource)
    _apply(tree, record, resource, found, {script: text})
    _print(
        f"Added {new.column_name} to {resource.path}:",
        [*found.texts, script],
        *_deletions(tree, resource),
        *_lists(tree, resource),
        "To apply the migration, run docker compose up --build, or make run.",
    )
    _leave_to_user(found.left)


@click.command("scaffold-choice", help=COMMANDS["scaffold-choice"][1])
@click.argument("name")
@click.argument("field")
@click.argument("value")
@with_appcontext
def scaffold_choice(name: str, field: str, value: str) -> None:
    tree = Tree(API)
    record = tree.record(name)
    resource = with_choice(record.resource, field, value)
    found = changes(tree, record, resource)
    down, revision = tree.head(), tree.next_revision()
    script = _migration_path(revision, f"allow a {field} of {resource.plural}")
    text = choice_migration(tree, record.resource, resource, field, found, revision, down)
    _apply(tree, record, resource, found, {script: text})
    _print(
        f"Added {value!r} to the values of {field} in {resource.path}:",
        [*found.texts, script],
        "A downgrade of the migration is refused while a row has this value.",
        "To apply the migration, run docker compose up --build, or make run.",
    )
    _leave_to_user(found.left)


@click.command("unscaffold", help=COMMANDS["unscaffold"][1])
@click.argument("name")
@click.option(
    "--force", is_flag=True, help="Remove it even if you have edited its files, or other files use it."
)
@with_appcontext
def unscaffold(name: str, force: bool) -> None:
    tree = Tree(API)
    record = tree.record(name)
    tree.refuse_if_referenced(name)
    head = tree.head()
    resource = record.resource
    edits, users = edits_of(tree, record), uses(tree, record)
    if (edits or users) and not force:
        _refuse_removal(edits, users)
    scripts = [tree.migration_path(revision) for revision in record.migrations]
    is_newest = head == record.migrations[-1] and _are_consecutive(tree, record.migrations)
    is_applied = bool(_applied(tree) & set(record.migrations))
    removed = [*tree.paths(resource), RECORD.format(name=name)]
    added, notes = {}, []
    if is_newest and not is_applied:
        removed += scripts
    else:
        revision = tree.next_revision()
        script = _migration_path(revision, f"drop {resource.plural}")
        view = tree.view(resource)
        added = {script: migration("drop", view, revision, head, f"Drop {resource.plural_words}.")}
        why = "has been applied" if is_applied else "is followed by other migrations"
        notes = [
            f"The migration that creates the table {why}, so it stays. A new one drops the table and all its",
            f"rows at the next flask db upgrade. Review it first: services/api/{script}",
        ]
    with tree.all_or_nothing():
        tree.remove(removed)
        lists = tree.unregister(record)
        tree.write(added)
        tree.format(added)
        if not users and not lists.left:
            tree.write_documents()
    _print(f"Removed {resource.path}:", removed, *notes)
    if edits:
        click.echo("Your edits in these files were removed too:")
        for path, lines in edits.items():
            _print(f"  services/api/{path}", [], *(f"    {line}" for line in lines))
    if users:
        _print("These files still use it. Change them, and then run make docs:", users)
    _leave_to_user(lists.left)


def access_of(options: Mapping[str, bool]) -> str:
    """Return the given option, or the default. Raises ScaffoldError if there are several."""
    given = [name for name, is_given in options.items() if is_given]
    if len(given) > 1:
        raise ScaffoldError(f"--{given[0]} and --{given[1]} can't be combined. Choose who has access.")
    return given[0] if given else "public"


def new_resource(
    tree: Tree,
    name: str,
    fields: tuple[str, ...],
    access: str,
    plural: str | None,
    *,
    require_match: bool,
    audited: bool = False,
    uniques: tuple[str, ...] = (),
    soft_delete: bool = False,
) -> Resource:
    """Return the described resource. Raises ScaffoldError if it can't be generated."""
    check_resource_name(name)
    table = plural or regular_plural(name)
    check_resource_name(table, "table")
    columns = parse_fields([spec for spec in fields if not is_many(spec)], table)
    many = tuple(parse_many(spec) for spec in fields if is_many(spec))
    resource = Resource(name, table, access, require_match, columns, audited, many=many)
    resource = replace(resource, uniques=parse_uniques(uniques, resource), soft_delete=soft_delete)
    tree.refuse_taken_files(resource)
    refuse_taken_resource(tree.api, feature_app(), resource, db.metadata.tables)
    tree.refuse_references(resource)
    tree.refuse_many(resource, resource.many, db.metadata.tables)
    resource = replace(resource, includes=tree.includes(resource))
    refuse_taken_fields(resource, tree.stand_in_texts(resource))
    texts = tree.texts(resource)  # refuses names that would mean two things
    refuse_taken_schemas(feature_app(), texts[f"app/blueprint/{name}_schemas.py"])
    return resource


def _with_field(tree: Tree, old: Resource, new: Field | Many) -> Resource:
    """Return a resource with another field. Raises ScaffoldError."""
    if isinstance(new, Many):
        resource = replace(old, many=(*old.many, new))
    else:
        fields = parse_fields([*(each.spec for each in old.fields), new.spec], old.plural)
        resource = replace(old, fields=fields)
    tree.refuse_references(resource)
    tree.refuse_many(resource, set(resource.many) - set(old.many), db.metadata.tables)
    relation = new.name if isinstance(new, Many) else relation_name(new)
    includes = {*old.includes, relation} & set(tree.includes(resource))
    return replace(resource, includes=tuple(sorted(includes)))


def _apply(tree: Tree, record: Record, resource: Resource, found: Changes, scripts: dict[str, str]) -> None:
    """Write the changed files, the migration and the record."""
    with tree.all_or_nothing():
        tree.write(found.texts | scripts)
        tree.format(scripts)
        present = tree.register_routes(record, resource)
        tree.keep_record(resource, [*record.migrations, tree.head()], found.edited, present)
        if not found.left:
            tree.write_documents()


def _leave_to_user(left: Mapping[str, Sequence[Step]]) -> None:
    if left:
        _print(
            "These changes are left to you, because you have changed the code around them:",
            [],
            *described(left),
            "Then run make docs.",
        )
        raise SystemExit(1)


def _refuse_removal(edits: dict[str, list[str]], users: list[str]) -> NoReturn:
    click.echo("Nothing was removed.")
    if edits:
        counts = (Counter(line[0] for line in lines) for lines in edits.values())
        files = [f"{path} (+{each['+']} -{each['-']})" for path, each in zip(edits, counts, strict=True)]
        _print("You have edited these files. With --force, your edits are removed too:", files)
    if users:
        _print("These files use the resource. With --force, they stay as they are:", users)
    raise SystemExit(1)


def regular_plural(name: str) -> str:
    """Return the plural of a name. Raises ScaffoldError if the name looks like a plural itself."""
    if singular := plurals.singular_of(name):
        raise ScaffoldError(
            f"{name!r} looks like a plural. Name one row: {singular}. If it is a singular, pass --plural."
        )
    return plurals.plural_of(name)


def _are_consecutive(tree: Tree, revisions: list[str]) -> bool:
    scripts = [tree.scripts().get_revision(revision) for revision in revisions]
    return all(later.down_revision == earlier.revision for earlier, later in pairwise(scripts))


def _applied(tree: Tree) -> set[str]:
    """Return the revisions that the configured database has applied."""
    try:
        current = MigrationContext.configure(db.session.connection()).get_current_heads()
    except SQLAlchemyError:
        click.echo("The database is unavailable. Its migrations are assumed not to be applied.", err=True)
        return set()
    scripts = tree.scripts()
    known = {each.revision for each in scripts.walk_revisions()}
    if unknown := [head for head in current if head not in known]:
        raise ScaffoldError(
            f"The database has migration {unknown[0]}, which isn't in this folder. Nothing was removed. "
            "Migrate it down on the branch that has it, or use another database (DATABASE_URL)."
        )
    return {each.revision for head in current for each in scripts.iterate_revisions(head, "base")}


def _migration_path(revision: str, message: str) -> str:
    slug = re.sub(r"\W+", "_", message)
    return f"migrations/versions/{datetime.now(UTC):%Y_%m_%d}_{slug}_{revision}.py"


def _deletions(tree: Tree, resource: Resource) -> list[str]:
    """Say what happens when a row that this resource refers to is deleted."""
    effects = ["  owner_id: deleting the account deletes the row"] if resource.has_owner else []
    soft = tree.soft(resource)
    for field in resource.references:
        other = "account" if field.target == "user" else field.target.replace("_", " ")
        is_kept = field.target in soft  # until the purge
        verb = "purging" if is_kept else "deleting"
        cascades_at_once = is_kept and resource.soft_delete
        effect = {
            "RESTRICT": f"the {other} can't be deleted while a row refers to it (409 still_referenced)",
            "SET NULL": f"{verb} the {other} sets the field to null",
            "CASCADE": f"{'deleting' if cascades_at_once else verb} the {other} deletes the row",
        }[field.on_delete]
        effects.append(f"  {field.column_name}: {effect}")
    for many in resource.many:
        effects.append(
            f"  {many.ids}: deleting the {many.target.replace('_', ' ')} removes its id from the list"
        )
    return [f"What a deletion does to {resource.plural_words}:", *effects] if effects else []


def _lists(tree: Tree, resource: Resource) -> list[str]:
    """Name the lists by parent."""
    return [
        f"GET {each.path} lists the {resource.plural_words} with this {each.field.column_name}."
        for each in tree.parent_lists(resource)
    ]


def _optional(field: Field | Many) -> str:
    """Say how to make a field optional."""
    if isinstance(field, Many):
        return "Leave out the !."
    if not field.target:
        return "Use ? or a default (=)."
    return f"Write '{field.name}:ref({field.target})?' or '{field.name}:ref({field.target},cascade)?'."


def _print(first: str, paths: Iterable[str], *last: str) -> None:
    click.echo(first)
    for path in paths:
        click.echo(f"  services/api/{path}")
    for line in last:
        click.echo(line)
