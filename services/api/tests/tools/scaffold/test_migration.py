"""Generated migrations pass the linter of migrations."""

import shutil
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from flask import Flask

from tests.support.paths import API, MIGRATIONS
from tools.lint_migrations import Rules, app_without_database, problems
from tools.scaffold.changes import Changes
from tools.scaffold.choices import choice_migration, with_choice
from tools.scaffold.migration import migration
from tools.scaffold.resource import Resource, parse_field, parse_fields
from tools.scaffold.tree import Tree
from tools.scaffold.views import FieldView, ResourceView

HEAD = str(ScriptDirectory(str(MIGRATIONS)).get_current_head())
TITLE = "title:str(50)"


@pytest.fixture(scope="module")
def offline_app() -> Flask:
    return app_without_database()


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("create", "isbn:str(13)^"),
        ("create", "writer:ref(user)?"),
        ("add", "state:enum(new,old)=new"),
        ("add", "isbn:str(13)?^"),
        ("add", "writer:ref(user)?"),
        ("add", "copies:int=3"),
        ("add", "active:bool=true"),
        ("add", "note:text?"),
        ("drop", "copies:int=3"),
    ],
)
def test_a_generated_migration_passes_the_linter(
    offline_app: Flask, tmp_path: Path, kind: str, field: str
) -> None:
    fields = parse_fields([TITLE, field], "trial_books")
    view = ResourceView(Resource("trial_book", "trial_books", "owned", False, fields), {"user": "users"})
    folder = shutil.copytree(MIGRATIONS, tmp_path / "migrations")
    new = FieldView(parse_field(field, "trial_books"), view) if kind == "add" else None

    text = migration(kind, view, "new", HEAD, "Change trial books.", new)
    (folder / "versions" / "new.py").write_text(text)

    assert list(problems(offline_app, folder, Rules.read(API)._replace(released=HEAD))) == []


@pytest.mark.parametrize("value", ["comic", "a genre of more than 32 characters"])
def test_a_migration_that_allows_a_choice_passes_the_linter(
    offline_app: Flask, tmp_path: Path, value: str
) -> None:
    fields = parse_fields([TITLE, "genre:enum(novel,poem)"], "trial_books")
    book = Resource("trial_book", "trial_books", "public", False, fields)
    folder = shutil.copytree(MIGRATIONS, tmp_path / "migrations")

    text = choice_migration(
        Tree(tmp_path), book, with_choice(book, "genre", value), "genre", Changes(), "new", HEAD
    )
    (folder / "versions" / "new.py").write_text(text)

    assert list(problems(offline_app, folder, Rules.read(API)._replace(released=HEAD))) == []
