"""`make update-from-template`, with this repository's own history as the template."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from shutil import copy2, copytree

import pytest

from tests.support.paths import REPOSITORY
from tools.template import revisions
from tools.template.state import State

COMMITS = 60
TOOL = "services/api/tools/template"
BOOKS = "services/api/app/model/book.py"
MIGRATION = """\"\"\"Add books.

Revision ID: {number}
Revises: {down}
\"\"\"

revision = "{number}"
down_revision = "{down}"
"""
AUTHOR = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "ann"), ("EMAIL", "ann@example.com"))
}
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
ENVIRONMENT = os.environ | AUTHOR | {"WITH_TOOLS": "dev", "PATH": PATH}


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


START = f"HEAD~{COMMITS}"


def has_history() -> bool:
    command = ["git", "rev-parse", "--quiet", "--verify", START]
    return not subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=False).returncode


pytestmark = pytest.mark.skipif(not has_history(), reason="a shallow clone has no history")


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)


def insert(file: Path, before: str, text: str) -> None:
    content = file.read_text()
    assert before in content
    file.write_text(content.replace(before, text + before, 1))


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the template, and a renamed project with a resource and edits by hand.

    The project is of an earlier version, and has the present tools.
    """
    folder = tmp_path_factory.mktemp("originals")
    template, project = folder / "template", folder / "project"
    git(folder, "clone", "--quiet", str(REPOSITORY), "template")
    git(folder, "clone", "--quiet", str(template), "project")
    git(project, "checkout", "--quiet", "-B", "main", git(template, "rev-parse", START))
    rename(project, template)
    commit(project, "Rename the project")
    add_books(project)
    git(folder, "clone", "--quiet", str(template), "renamed")
    rename(folder / "renamed", template)
    for name in ("without", "update-from-template"):
        copy2(folder / "renamed/scripts" / name, project / "scripts" / name)
    copytree(folder / "renamed" / TOOL, project / TOOL, dirs_exist_ok=True)
    commit(project, "Sell books")
    return folder


def rename(folder: Path, template: Path) -> None:
    script = (template / "scripts/rename").read_text()
    command = ["bash", "-c", script, "scripts/rename", "book-shop", "--text-only"]
    subprocess.run(command, cwd=folder, env=ENVIRONMENT, check=True, capture_output=True)


@pytest.fixture
def template(originals: Path, tmp_path: Path) -> Path:
    return copytree(originals / "template", tmp_path / "template", symlinks=True)


@pytest.fixture
def project(originals: Path, tmp_path: Path) -> Path:
    return copytree(originals / "project", tmp_path / "project", symlinks=True)


def add_books(folder: Path) -> None:
    """Change what scripts/flask scaffold changes, and some files by hand."""
    api = folder / "services/api"
    (folder / BOOKS).write_text("class Book: ...\n")
    models = api / "app/model/__init__.py"
    insert(models, "from app.model.models import", "from app.model.book import Book\n")
    insert(models, "    StoredResponse,\n", "    Book,\n")
    insert(api / "app/blueprint/__init__.py", "    problem_pages.blueprint,\n", "    book.blueprint,\n")
    with (api / "tests/authorization.md").open("a") as table:
        table.write("| GET /books | 401 | 200 | 200 | 200 | 401 | 401 | 401 | 401 |\n")
    [head] = set(revisions.read(folder)) - {*revisions.read(folder).values()}
    number = f"{int(head) + 1:04}"
    name = f"2026_01_01_add_books_{number}.py"
    (api / "migrations/versions" / name).write_text(MIGRATION.format(number=number, down=head))
    (folder / "README.md").write_text("# Our book shop\n")
    config = api / "app/config.py"
    config.write_text(config.read_text().replace('VERSION = "0.1.0"', 'VERSION = "3.2.1"'))
    git(folder, "rm", "--quiet", "docs/3-run/heroku.md", "docs/5-troubleshooting.md")


def updated(project: Path, template: Path, **options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-EsB", "-m", "tools.template.update"],
        cwd=project / "services/api",
        env=ENVIRONMENT | {"TEMPLATE": str(template)} | options,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def update(project: Path, template: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    return partial(updated, project, template)


Update = Callable[..., subprocess.CompletedProcess[str]]


def test_a_renamed_project_takes_later_commits_without_a_conflict(
    project: Path, template: Path, update: Update
) -> None:
    done = update()

    assert done.returncode == 0, done.stdout + done.stderr
    start = git(REPOSITORY, "rev-parse", "--short", START)
    assert re.search(rf"Taking \d+ commits of the template, from {start}", done.stdout)
    assert git(project, "diff", "--name-only") == ""  # everything is staged
    assert git(project, "diff", "--cached", "--check", "--", "*.py", "*.md", "*.yaml") == ""  # no markers


def test_names_numbers_and_choices_of_the_project_are_kept(
    project: Path, template: Path, update: Update
) -> None:
    own = set(revisions.read(project))

    update()

    follows = revisions.read(project)
    assert len(follows) - len(own) == len(set(revisions.read(template)) - (own - {max(own)}))
    assert len({*follows.values()}) == len(follows)  # a line, without branches
    assert (project / "README.md").read_text() == "# Our book shop\n"
    assert 'VERSION = "3.2.1"' in (project / "services/api/app/config.py").read_text()
    assert not (project / "docs/5-troubleshooting.md").exists()
    assert "| GET /books |" in (project / "services/api/tests/authorization.md").read_text()
    assert "flask-api" not in (project / "compose.yaml").read_text()
    models = (project / "services/api/app/model/__init__.py").read_text()
    compile(models, "models", "exec")
    assert "    Book,\n" in models


def test_a_second_run_does_nothing(project: Path, update: Update) -> None:
    update()
    assert "Commit or stash your changes first" in update().stderr
    commit(project, "Take the template's changes")

    done = update(TEMPLATE="")

    assert (done.returncode, git(project, "status", "--porcelain")) == (0, "")
    assert "Nothing to do" in done.stdout


def test_a_conflict_is_listed_and_can_be_undone(project: Path, template: Path, update: Update) -> None:
    for folder, text in ((project, "Our own words.\n"), (template, "Other words of the template.\n")):
        page = folder / "docs/1-start.md"
        page.write_text("\n".join([page.read_text().partition("\n")[0], "", text]))
        commit(folder, "Reword a page")
    before = git(project, "rev-parse", "HEAD^{tree}")

    done = update()

    assert done.returncode == 1
    assert "Conflicts in 1 file." in done.stdout
    assert "  docs/1-start.md\n" in done.stdout
    text = (project / "docs/1-start.md").read_text()
    assert (
        text.index("<<<<<<<")
        < text.index("Our own words")
        < text.index("Other words")
        < text.index(">>>>>>>")
    )
    git(project, "reset", "--quiet", "--hard")
    assert git(project, "write-tree") == before
    assert git(project, "status", "--porcelain") == ""


def test_without_a_shared_history_the_start_is_found_or_asked_for(
    project: Path, template: Path, update: Update
) -> None:
    start = git(template, "rev-parse", START)
    state = State.read(project)
    assert state.commit == git(project, "rev-parse", start)
    (project / ".template").unlink()
    subprocess.run(["rm", "-rf", ".git"], cwd=project, check=True)
    git(project, "init", "--quiet")
    commit(project, "Start book-shop")

    asked = update()
    assert asked.returncode == 2
    assert "FROM=v0.1.0" in asked.stderr
    assert git(project, "status", "--porcelain") == ""

    assert update(FROM=start).returncode == 0
    git(project, "reset", "--quiet", "--hard")
    State(url=str(template), tree=state.tree).write(project)  # as scripts/rename writes it
    commit(project, "Remember the template")
    assert update(TEMPLATE="").returncode == 0


def test_wrong_options_change_nothing(project: Path, template: Path, update: Update, tmp_path: Path) -> None:
    for options, words in (
        ({"VERSION": "v9.9.9"}, "no version v9.9.9"),
        ({"TEMPLATE": str(tmp_path / "nowhere")}, "does not exist"),
        ({"TEMPLATE": str(project)}, "is a project made from the template"),
    ):
        done = update(**options)
        assert (done.returncode, words in done.stderr) == (2, True), done.stderr
    assert git(project, "status", "--porcelain") == ""


def test_parts_that_were_left_out_stay_out(tmp_path: Path, template: Path) -> None:
    git(tmp_path, "clone", "--quiet", str(template), "project")
    project = tmp_path / "project"
    command = [sys.executable, "-EsB", "-m", "tools.template.without", "heroku"]
    subprocess.run(command, cwd=project / "services/api", check=True, capture_output=True)
    commit(project, "Leave out Heroku")
    for path in ("heroku.yml", "docs/3-run/heroku.md", "docs/1-start.md"):
        (template / path).write_text((template / path).read_text() + "\n# More\n")
    insert(template / ".dockerignore", "!heroku.yml\n", "!heroku.json\n")
    commit(template, "Change Heroku")

    done = updated(project, template)

    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(git(project, "diff", "--cached", "--name-only").split()) == [".template", "docs/1-start.md"]
    assert State.read(project).without == ["heroku"]
