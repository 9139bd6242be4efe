"""The migration that allows a new value of an enum field."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import flask_migrate
import pytest
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import URL, inspect, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from app import create_app
from app.database import db
from kit.data.migrations import commands as migrations
from tests.kit.data.migrations import conftest
from tests.support.paths import MIGRATIONS
from tests.support.settings import settings_for
from tools.scaffold.changes import Changes
from tools.scaffold.choices import choice_migration
from tools.scaffold.migration import migration
from tools.scaffold.resource import Resource, parse_fields
from tools.scaffold.tree import Tree

FIELDS = ["title:str(5)", "genre:enum(novel,poem)=poem"]
ROW = """
    INSERT INTO trial_books (id, title, genre, created_at, updated_at)
    VALUES ('0c1dd1e2-0c1d-41e2-8c1d-1e20c1dd1e20', 'Emma', '{}', '2026-01-01', '2026-01-01')
"""


empty_url = conftest.empty_url


@pytest.fixture
def app(empty_url: URL) -> Iterator[Flask]:
    app = create_app(settings_for(empty_url))
    migrations.init_app(app)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


def run(statement: str) -> None:
    with db.engine.begin() as connection:
        connection.execute(text(statement))


@pytest.mark.usefixtures("app")
def test_a_choice_is_allowed_until_the_downgrade_which_refuses_its_rows(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = str(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))
    head, tree = str(ScriptDirectory(folder).get_current_head()), Tree(tmp_path)
    book = Resource("trial_book", "trial_books", "public", False, parse_fields(FIELDS, "trial_books"))
    value = "a book of more than 32 characters"  # the length of the column
    title, genre = book.fields
    wider = replace(book, fields=(title, replace(genre, arguments=(*genre.arguments, value))))
    for name, script in {
        "create.py": migration("create", tree.view(book), "9001", head, "Create."),
        "choice.py": choice_migration(tree, book, wider, "genre", Changes(), "9002", "9001"),
    }.items():
        (tmp_path / "migrations/versions" / name).write_text(script)
    flask_migrate.upgrade(directory=folder, revision="9001")
    with pytest.raises(DBAPIError):
        run(ROW.format(value))

    flask_migrate.upgrade(directory=folder)
    run(ROW.format(value))
    with pytest.raises(SystemExit):
        flask_migrate.downgrade(directory=folder, revision="9001")
    assert f"Rows of trial_books have the genre '{value}'" in caplog.messages[-1]
    with pytest.raises(IntegrityError):
        run("UPDATE trial_books SET genre = 'drama'")

    run("UPDATE trial_books SET genre = 'novel'")
    flask_migrate.downgrade(directory=folder, revision="9001")
    with pytest.raises(DBAPIError):
        run(f"UPDATE trial_books SET genre = '{value}'")
    [check] = inspect(db.engine).get_check_constraints("trial_books")
    assert check["name"] == "ck_trial_books_genre"
