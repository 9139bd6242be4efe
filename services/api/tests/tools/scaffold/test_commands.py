"""flask scaffold, scaffold-field and unscaffold, in a copy of the repository."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import Mock, patch

import pytest

from app.database import db
from tests.support.paths import REPOSITORY
from tests.support.settings import SECRET_KEY, settings_for
from tools.flask_app import create_app
from tools.scaffold.tree import Tree

pytestmark = pytest.mark.long
FOLDERS = ["app", "kit", "migrations", "tools", "tests"]
IGNORED = shutil.ignore_patterns("node_modules")
# Unusual names, because these tests also run in projects that have generated resources.
BOOK = ["trial_book", "title:str(200)!~", "price:decimal(10,2)", "published:date?", "genre:enum(novel,poem)",
        "isbn:str(13)^", "author:ref(user,cascade)", "--owned"]  # fmt: skip
# Every type, every mark, every default.
THING = [
    "trial_thing", "label:str(20)?~", "note:text!", "count:int=3", "total:decimal(6,0)?", "weight:float=1.5",
    "active:bool=true", "day:date=2026-01-02", "due:datetime?", "code:uuid^", "state:enum(open)=open",
    "data:json", "extra:json?", "mail:email^~", "homepage:url?", "creator:ref(user)?", "--admin",
    "--require-match", "--audited",
]  # fmt: skip
# Every kind of reference.
ARTICLE = [
    "trial_article", "title:str(50)", "writer:ref(user,cascade)", "editor:ref(user)?",
    "about:ref(trial_author)", "after:ref(trial_author)?", "beside:ref(trial_author,cascade)", "--owned",
]  # fmt: skip
# Everyone reads, the owner and admins change.
TOPIC = [
    "trial_topic", "title:str(50)", "parent:ref(trial_topic,cascade)?", "day:date", "--authored", "--audited",
    "--unique", "owner,title", "--unique", "parent,day",
]  # fmt: skip


class Copy:
    """A copy of the source tree, with its bytecode so that processes start faster."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.api = folder / "services/api"
        self.database = f"sqlite:///{folder / 'scaffold_test.db'}"
        for part in FOLDERS:
            shutil.copytree(REPOSITORY / "services/api" / part, self.api / part, ignore=IGNORED)
        shutil.copy(REPOSITORY / "services/api/pyproject.toml", self.api)
        shutil.copytree(REPOSITORY / "postman", folder / "postman")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        settings = {"FLASK_APP": "tools.flask_app", "FLASK_ENV": "testing", "DATABASE_URL": self.database}
        settings |= {"SECRET_KEY": SECRET_KEY, "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.api,
            env=kept | settings,
            capture_output=True,
            text=True,
            check=False,
        )

    def each(self, *commands: str) -> str:
        """Run flask commands that write no code in one process, because starting one is slow."""
        return self.output("tests.support.each_command", *commands)

    def flask(self, *arguments: str) -> str:
        return self.output("flask", *arguments)

    def output(self, *command: str) -> str:
        done = self.run(*command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def files(self) -> dict[str, bytes]:
        """Return the content of every file except the database."""
        files = (
            file for file in self.folder.rglob("*") if file.is_file() and "scaffold_test.db" not in file.name
        )
        return {
            str(file.relative_to(self.folder)): file.read_bytes()
            for file in files
            if "__pycache__" not in file.parts
        }


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path / "repository")


@pytest.fixture
def documents() -> Iterator[Mock]:
    """Replace the update of the documents, which takes a second."""
    with patch("tools.scaffold.tree.Tree.write_documents") as write_documents:
        yield write_documents


@pytest.fixture
def here(copy: Copy) -> Iterator[Callable[..., str]]:
    """Run a scaffolder command on the copy in this process, because starting another is slow."""
    app = create_app(settings_for(copy.database))

    def run(*arguments: str, status: int = 0) -> str:
        with patch("tools.scaffold.commands.API", copy.api):
            done = app.test_cli_runner().invoke(args=arguments)
        assert done.exit_code == status, done.output
        return done.output

    yield run
    with app.app_context():
        db.engine.dispose()


@pytest.mark.any_database
def test_generated_code_passes_ruff_and_is_removed_without_a_trace(
    copy: Copy, here: Callable[..., str]
) -> None:
    before = copy.files()

    assert "app/blueprint/trial_thing.py" in here("scaffold", *THING, "--dry-run")
    assert copy.files() == before

    copy.flask("scaffold", *THING)
    for check in (["format", "--no-cache", "--check"], ["check", "--no-cache"]):
        done = copy.run("ruff", *check)
        assert done.returncode == 0, done.stdout

    assert "Removed /trial-things" in copy.flask("unscaffold", "trial_thing")
    assert copy.files() == before


@pytest.mark.any_database
def test_a_failure_restores_every_file(copy: Copy, here: Callable[..., str], tmp_path: Path) -> None:
    reached = tmp_path / "reached"
    last_step = f"import pathlib, sys\npathlib.Path({str(reached)!r}).touch()\nsys.exit(1)\n"
    (copy.api / "tools/client_files/documents.py").write_text(last_step)
    before = copy.files()

    here("scaffold", *BOOK, status=1)

    assert reached.exists()
    assert copy.files() == before


@pytest.mark.any_database
def test_a_field_is_added_and_an_existing_table_is_dropped(
    copy: Copy, here: Callable[..., str], documents: Mock
) -> None:
    before = Tree(copy.api).head()
    here("scaffold", *BOOK)
    assert "existing rows have no value" in here("scaffold-field", "trial_book", "must:int", status=1)
    here("scaffold-field", "trial_book", "state:enum(new,old)=new")
    output = copy.each("db upgrade", "db check", f"db downgrade {before}", "db upgrade")
    assert "No new upgrade operations" in output

    assert "A new one drops the table" in here("unscaffold", "trial_book")

    assert "No new upgrade operations" in copy.each("db upgrade", "db check")
    assert documents.call_count == 3


@pytest.mark.any_database
@pytest.mark.usefixtures("documents")
def test_edited_files_are_left_alone(copy: Copy, here: Callable[..., str]) -> None:
    here("scaffold", *BOOK)
    model = copy.api / "app/model/trial_book.py"
    model.write_text(model.read_text() + "\n# edited\n")
    before = copy.files()

    for command in (["unscaffold", "trial_book"], ["scaffold-field", "trial_book", "subtitle:str(5)?"]):
        output = here(*command, status=1)
        assert "app/model/trial_book.py" in output
        assert "you have edited these files" in output
    assert copy.files() == before


@pytest.mark.any_database
@pytest.mark.usefixtures("documents")
def test_the_tests_of_generated_resources_pass(copy: Copy, here: Callable[..., str]) -> None:
    here("scaffold", "trial_author", "name:str(50)", "--audited")
    here("scaffold", *ARTICLE, "--audited")

    tested = copy.output(
        "pytest", "-q", *(f"tests/integration/test_trial_{name}.py" for name in ("author", "article"))
    )

    assert re.search(r"\b1\d\d passed in", tested), tested


@pytest.mark.any_database
@pytest.mark.usefixtures("documents")
def test_the_tests_of_authored_resources_and_lists_by_parent_pass(
    copy: Copy, here: Callable[..., str]
) -> None:
    here("scaffold", "trial_club", "name:str(50)", "--admin")
    printed = here("scaffold", *TOPIC)
    here("scaffold-field", "trial_topic", "twin:ref(trial_topic)?")
    here("scaffold-field", "trial_topic", "club:ref(trial_club)?")

    tested = copy.output(
        "pytest",
        "-q",
        "tests/integration/test_trial_topic.py",
        "tests/integration/test_authorization.py",
        "-k",
        "trial or topic or owner or unique or parent or twin or every_route or read or change_a_row",
    )

    assert "owner_id: deleting the account deletes the row" in printed
    assert re.search(r"\b[3-9]\d passed", tested), tested
    rows = (copy.api / "tests/authorization.md").read_text()
    assert "| GET /trial-clubs/<uuid:trial_club_id>/trial-topics | 401 | 403 | 403 | 200 |" in rows
    here("unscaffold", "trial_topic")
    assert "trial-topics" not in (copy.api / "tests/authorization.md").read_text()


@pytest.mark.any_database
@pytest.mark.usefixtures("documents")
def test_a_reference_to_the_same_resource_is_migrated(copy: Copy, here: Callable[..., str]) -> None:
    before = Tree(copy.api).head()
    here("scaffold", *TOPIC)
    here("scaffold-field", "trial_topic", "twin:ref(trial_topic)?^")

    output = copy.each("db upgrade", "db check", f"db downgrade {before}", "db upgrade", "db check")

    assert output.count("No new upgrade operations") == 2


@pytest.mark.any_database
@pytest.mark.usefixtures("documents")
def test_the_effect_of_each_deletion_is_printed(here: Callable[..., str]) -> None:
    here("scaffold", "trial_author", "name:str(50)")

    for output in (here("scaffold", *ARTICLE, "--dry-run"), here("scaffold", *ARTICLE)):
        assert "owner_id: deleting the account deletes the row" in output
        assert "writer_id: deleting the account deletes the row" in output
        assert "editor_id: deleting the account sets the field to null" in output
        assert "about_id: the trial author can't be deleted while a row refers to it" in output
        assert "after_id: deleting the trial author sets the field to null" in output
        assert "beside_id: deleting the trial author deletes the row" in output
