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
from sqlalchemy import URL

from app.database import db
from tests.support.paths import REPOSITORY
from tests.support.settings import SECRET_KEY, settings_for
from tools.flask_app import create_app
from tools.scaffold.choices import with_choice
from tools.scaffold.resource import Resource, ScaffoldError, parse_fields
from tools.scaffold.tree import Tree

pytestmark = pytest.mark.long
FOLDERS = ["app", "kit", "migrations", "tools", "tests"]
IGNORED = shutil.ignore_patterns("node_modules")
# Unusual names, because these tests also run in projects that have generated resources.
BOOK = ["trial_book", "title:str(200)!~", "price:decimal(10,2)+", "published:date?", "genre:enum(novel,poem)",
        "isbn:str(13)^", "author:ref(user,cascade)", "--index", "author,genre,price", "--owned"]  # fmt: skip
# Every type, every mark, every default.
THING = [
    "trial_thing", "label:str(20)?~+", "note:text!", "count:int+=3", "total:decimal(6,0)?",
    "weight:float+=1.5", "active:bool+=true",
    "day:date=2026-01-02", "due:datetime?+", "code:uuid^", "state:enum(open)+=open",
    "data:json", "extra:json?", "mail:email^~+", "homepage:url?", "creator:ref(user)?", "--admin",
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

    def __init__(self, folder: Path, database: URL) -> None:
        self.folder = folder
        self.api = folder / "services/api"
        self.database = database.render_as_string(hide_password=False)
        for part in FOLDERS:
            shutil.copytree(REPOSITORY / "services/api" / part, self.api / part, ignore=IGNORED)
        shutil.copy(REPOSITORY / "services/api/pyproject.toml", self.api)
        shutil.copytree(REPOSITORY / "postman", folder / "postman")

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        settings = {"FLASK_APP": "tools.flask_app", "FLASK_ENV": "testing", "DATABASE_URL": self.database}
        settings |= {"SECRET_KEY": SECRET_KEY, "PYTHONDONTWRITEBYTECODE": "1"}
        if self.database.startswith("postgresql"):
            settings["TEST_DATABASE_URL"] = self.database  # for the generated tests
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
        """Return the content of every file."""
        return {
            str(file.relative_to(self.folder)): file.read_bytes()
            for file in self.folder.rglob("*")
            if file.is_file() and "__pycache__" not in file.parts
        }


@pytest.fixture
def copy(tmp_path: Path, own_database: URL) -> Copy:
    return Copy(tmp_path / "repository", own_database)


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
    here("scaffold-field", "trial_book", "state:enum(new,old)+=new")
    here("scaffold-field", "trial_book", "subtitle:str(100)?~")
    output = copy.each("db upgrade", "db check", f"db downgrade {before}", "db upgrade")
    assert "No new upgrade operations" in output

    assert "A new one drops the table" in here("unscaffold", "trial_book")

    assert "No new upgrade operations" in copy.each("db upgrade", "db check")
    assert documents.call_count == 4


MODEL, SCHEMAS = "app/model/trial_book.py", "app/blueprint/trial_book_schemas.py"
FACTORY, TEST = "tests/factories/trial_book.py", "tests/integration/test_trial_book.py"
# Edits of the generated files and of the lists that name them: path, old text, new text.
OWN_EDITS = [
    (
        MODEL,
        "    created_at",
        "    # Ours\n    pages: Mapped[int | None] = mapped_column( Integer )\n    created_at",
    ),
    (MODEL, "    Numeric,\n", "    Integer,\n    Numeric,\n"),
    (MODEL, '    POEM = "poem"\n', "    POEM = 'poem'  # in verse\n"),
    (FACTORY, '"""Return a valid', '"""Return our valid'),
    (TEST, "def path(", "def ours() -> None:\n    pass\n\n\ndef path("),
]
LIST_EDITS = [
    ("app/blueprint/__init__.py", "    auth.blueprint,\n", "    auth.blueprint,  # first\n"),
    ("app/model/__init__.py", "    User,\n    Session,\n", "    Session,  # of a user\n    User,\n"),
    ("tests/authorization.md", "| GET / |", "|  GET /  |"),
]


def edit(copy: Copy, edits: list[tuple[str, str, str]]) -> None:
    for path, old, new in edits:
        file = copy.api / path
        assert old in file.read_text(), (path, old)
        file.write_text(file.read_text().replace(old, new, 1))


@pytest.mark.any_database
@pytest.mark.usefixtures("documents")
def test_edited_files_are_extended_and_removed_on_demand(copy: Copy, here: Callable[..., str]) -> None:
    before = copy.files()
    here("scaffold", *BOOK)
    generated = (copy.api / TEST).read_text()
    own = [each for each in OWN_EDITS if each[1] in (copy.api / each[0]).read_text()]
    edit(copy, [*own, *LIST_EDITS])

    here("scaffold-field", "trial_book", "subtitle:str(50)?")
    here("scaffold-choice", "trial_book", "genre", "comic")

    model, test = (copy.api / MODEL).read_text(), (copy.api / TEST).read_text()
    assert "    subtitle: Mapped[str | None] = mapped_column(String(50))\n    # Ours\n" in model
    assert "    POEM = 'poem'  # in verse\n    COMIC = \"comic\"\n" in model
    assert '("subtitle", 5, "wrong_type")' in test
    assert test.replace("def ours() -> None:\n    pass\n\n\n", "") != generated
    assert "def ours() -> None:\n    pass\n" in test
    for path in (MODEL, SCHEMAS, FACTORY):
        compile((copy.api / path).read_text(), path, "exec")

    edited = copy.files()
    refused = here("unscaffold", "trial_book", status=1)
    assert f"{MODEL} (+" in refused
    assert copy.files() == edited

    removed = here("unscaffold", "trial_book", "--force")
    assert "+    # Ours" in removed
    after = copy.files()
    edit(copy, [(path, new, old) for path, old, new in LIST_EDITS])
    assert set(after) == set(before)
    assert copy.files() == before


@pytest.mark.any_database
@pytest.mark.usefixtures("documents")
def test_a_field_is_left_to_the_user_where_the_place_is_gone(copy: Copy, here: Callable[..., str]) -> None:
    here("scaffold", *BOOK)
    schemas = copy.api / SCHEMAS
    edit(copy, [(SCHEMAS, "class TrialBookResponse(", "class Renamed(")])
    renamed = schemas.read_text()

    output = here("scaffold-field", "trial_book", "subtitle:str(50)?", status=1)

    assert f"services/api/{SCHEMAS}, class TrialBookResponse:" in output
    assert "+    subtitle: TrialBookSubtitle | None" in output
    assert schemas.read_text() == renamed
    assert "subtitle: Mapped[str | None]" in (copy.api / MODEL).read_text()
    assert list((copy.api / "migrations/versions").glob("*_add_subtitle_to_trial_books_*.py"))


@pytest.mark.any_database
@pytest.mark.usefixtures("documents")
def test_a_resource_that_other_code_uses_is_only_removed_by_force(
    copy: Copy, here: Callable[..., str]
) -> None:
    here("scaffold", *BOOK)
    (copy.api / "app/lending.py").write_text("from app.model.trial_book import TrialBook\n")
    (copy.api / "app/loans.py").write_text('key = ForeignKey("trial_books.id")\n')

    refused = here("unscaffold", "trial_book", status=1)

    for found in (refused, here("unscaffold", "trial_book", "--force")):
        assert "app/lending.py:1: imports app.model.trial_book" in found
        assert "app/loans.py:1: refers to trial_books.id" in found
    assert not (copy.api / MODEL).exists()


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("title", "new", "has no enum field 'title'. Its enum fields: genre"),
        ("genre", "poem", "already has the value 'poem'"),
    ],
)
def test_an_impossible_choice_is_refused(tmp_path: Path, field: str, value: str, reason: str) -> None:
    book = Resource("trial_book", "trial_books", "public", False, parse_fields(BOOK[1:6], "trial_books"))

    with pytest.raises(ScaffoldError, match=re.escape(reason)):
        with_choice(book, field, value)


@pytest.mark.any_database
@pytest.mark.usefixtures("documents")
def test_the_tests_of_generated_resources_pass(copy: Copy, here: Callable[..., str]) -> None:
    here("scaffold", "trial_author", "name:str(50)", "--audited")
    here("scaffold", *ARTICLE, "--audited")

    tested = copy.output(
        "pytest", "-q", *(f"tests/integration/test_trial_{name}.py" for name in ("author", "article"))
    )

    assert re.search(r"\b\d{2,3} passed in", tested), tested


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
    assert re.search(r"\b\d{2,3} passed", tested), tested
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
def test_a_relationship_is_added_and_removed_with_its_table(copy: Copy, here: Callable[..., str]) -> None:
    before = Tree(copy.api).head()
    here("scaffold", "trial_tag", "name:str(50)")
    here(
        "scaffold",
        "trial_post",
        "title:str(50)",
        "about:ref(trial_tag)",
        "topics:many(trial_tag)!",
        "--owned",
    )
    output = here("scaffold-field", "trial_post", "tags:many(trial_tag)")
    assert "tag_ids: deleting the trial tag removes its id from the list" in output
    assert "existing rows have no value" in here(
        "scaffold-field", "trial_post", "more:many(trial_tag)!", status=1
    )
    assert "trial_post refers to trial_tag" in here("unscaffold", "trial_tag", status=1)
    output = copy.each("db upgrade", "db check", f"db downgrade {before}", "db upgrade")
    assert "No new upgrade operations" in output

    copy.output("pytest", "-q", "tests/integration/test_trial_post.py", "-k", "include or _ids or export")

    here("unscaffold", "trial_post")
    assert "No new upgrade operations" in copy.each("db upgrade", "db check")


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
