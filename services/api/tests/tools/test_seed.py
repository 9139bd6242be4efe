"""flask seed: accounts and rows for development databases only."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock
from uuid import UUID

import pytest
from sqlalchemy import URL, create_engine
from sqlalchemy.pool import NullPool

from app import create_app
from tests.support.settings import SECRET_KEY, settings_for
from tests.tools.scaffold.test_commands import Copy, copy, documents, here
from tools.flask_app import create_app as create_app_with_tools
from tools.scaffold.tree import Tree

__all__ = ["copy", "documents", "here"]
AUTHOR = ["trial_author", "name:str(50)^", "born:date?", "code:uuid", "creator:ref(user)?"]
BOOK = ["trial_book", "title:str(200)~", "author:ref(trial_author)", "--owned"]
OTHER_NAME = "UPDATE trial_authors SET name = 'name 8' WHERE name = 'name 1'"


@pytest.mark.long
@pytest.mark.any_database
def test_a_database_is_filled_once_and_more_on_request(
    copy: Copy, here: Callable[..., str], documents: Mock
) -> None:
    here("scaffold", *AUTHOR)
    here("scaffold", *BOOK)
    database = create_engine(copy.database, isolation_level="AUTOCOMMIT", poolclass=NullPool)

    def rows(query: str) -> list[tuple[object, ...]]:
        with database.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query)]

    output = copy.each("db upgrade", "seed 6")

    assert "/trial-authors: 6 rows\n/trial-books: 6 rows\n" in output
    assert "Log in with the password 'correct horse battery staple':\n  ada (admin)\n  ann (user)\n" in output
    owners = rows("SELECT username FROM trial_books JOIN users ON users.id = owner_id")
    assert Counter(name for (name,) in owners) == {"ada": 2, "ann": 2, "bob": 1, "cleo": 1}
    assert rows("SELECT count(DISTINCT author_id) FROM trial_books") == [(6,)]
    assert rows("SELECT count(DISTINCT creator_id) FROM trial_authors") == [(4,)]
    codes = {f"name {number}": UUID(int=number) for number in range(1, 7)}
    assert {name: UUID(str(code)) for name, code in rows("SELECT name, code FROM trial_authors")} == codes

    with database.connect() as connection:
        connection.exec_driver_sql(OTHER_NAME)
    more = copy.run("tests.support.each_command", "seed 5 --more", "seed 6")

    assert "/trial-authors: 4 rows (1 left out, because their unique values are taken)\n" in more.stdout
    assert "/trial-books: 5 rows\n" in more.stdout
    assert "No account was added." in more.stdout
    assert rows("SELECT count(*), count(DISTINCT title) FROM trial_books") == [(11, 11)]
    assert more.returncode == 1
    assert "The table users isn't empty. To add to it, run: scripts/seed 6 --more" in more.stderr


@pytest.mark.parametrize(
    ("url", "environment", "reason"),
    [
        ("postgresql://u:p@localhost/shop", "production", "FLASK_ENV is production"),
        ("postgresql://u:p@db.example.com/shop", "development", "names the server db.example.com"),
        ("postgresql://u:p@localhost/shop?host=db.example.com", "development", "names the server db.example"),
        ("postgresql://u:p@localhost/shop?hostaddr=192.0.2.1", "development", "names the server 192.0.2.1"),
    ],
)
def test_a_database_that_is_not_for_development_is_refused(url: str, environment: str, reason: str) -> None:
    app = create_app_with_tools(settings_for(url, flask_env=environment))

    result = app.test_cli_runner().invoke(args=["seed", "--more"])

    assert result.exit_code == 1
    assert "flask seed only fills development databases" in result.output
    assert reason in result.output


def test_the_code_can_be_in_a_folder_of_the_root_as_in_the_container() -> None:
    assert Tree(Path("/app")).made() == []


def test_the_image_has_no_seeds(database_url: URL) -> None:
    app = create_app(settings_for(database_url, secret_key=SECRET_KEY))

    assert "seed" not in app.cli.commands
