"""scripts/rename: what it changes, what it keeps, and what it checks first."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.copies import Copy

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="rename needs git, which the image lacks")

LICENSE = "Copyright (c) 2026 The corner-kiosk authors\n"
README = """# corner-kiosk

A skeleton. ![A page](docs/page.png) of corner_kiosk. See [the
drills](proof/README.md), [the license](LICENSE), [curl](#curl) and [Flask](https://flask.example/docs).
"""
TEMPLATE = "docs/templates/README.md"
CODE = "services/api/app/config.py"
CHANGELOG = "# Changelog\n\nThe newest version comes first.\n"
NAMED = {"app.json": '{"name": "corner-kiosk"}\n', "corner-kiosk.http": "corner_kiosk\n"}


def git(copy: Copy, *arguments: str) -> str:
    command = ["git", "-c", "user.name=ann", "-c", "user.email=ann@example.com", *arguments]
    return subprocess.run(command, cwd=copy.folder, check=True, capture_output=True, text=True).stdout


def commit(copy: Copy) -> None:
    git(copy, "add", "--all")
    git(copy, "commit", "--quiet", "--message", "All")


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    copy = Copy(tmp_path, "rename", docker={})
    for script in ("docs", "with-tools"):
        copy.write(f"scripts/{script}", "#!/bin/sh\n").chmod(0o755)
    files = {"compose.yaml": "name: corner-kiosk\n", "LICENSE": LICENSE, "README.md": README}
    files[TEMPLATE] = "# NEW_NAME\n\nMade from the OLD_NAME skeleton, version OLD_VERSION.\n"
    files["CHANGELOG.md"] = f"{CHANGELOG}\n## 2.5.0\n\n- Better.\n\n## 2.4.0\n\n- Good.\n"
    files[CODE] = 'VERSION = "2.5.0"  # the newest heading of CHANGELOG.md\n'
    files |= {".ci/run": "skeleton\n", ".ci/renamed": "corner-kiosk\n"}
    for path, text in {**files, **NAMED, ".gitignore": "bin/\ncalls\n", "docs/page.png": ""}.items():
        copy.write(path, text)
    git(copy, "init", "--quiet")
    commit(copy)
    return copy


def text(copy: Copy, path: str) -> str:
    return (copy.folder / path).read_text()


def test_every_file_has_the_new_name_and_the_licence_its_notice(copy: Copy) -> None:
    done = copy.run("rename", "book-shop")

    assert done.returncode == 0, done.stderr
    assert text(copy, "app.json") == '{"name": "book-shop"}\n'
    assert text(copy, "book-shop.http") == "book_shop\n"
    assert text(copy, "LICENSE") == LICENSE
    assert not (copy.folder / "corner-kiosk.http").exists()


def test_the_project_gets_its_readme_and_ci_once(copy: Copy) -> None:
    copy.run("rename", "book-shop")

    assert text(copy, "README.md").startswith("# book-shop\n")
    assert "corner-kiosk skeleton, version 2.5.0." in text(copy, "README.md")
    assert "_NAME" not in text(copy, "README.md")
    assert not (copy.folder / TEMPLATE).exists()
    assert text(copy, "docs/skeleton.md") == (
        "# The skeleton\n\nA skeleton. ![A page](page.png) of book_shop. See [the\n"
        "drills](../proof/README.md), [the license](../LICENSE), [curl](#curl) and [Flask](https://flask.example/docs).\n"
    )

    assert text(copy, ".ci/run") == "book-shop\n"
    assert not (copy.folder / ".ci/renamed").exists()

    copy.write("README.md", "# The book-shop of mine\n")
    commit(copy)
    copy.run("rename", "library")

    assert text(copy, "README.md") == "# The library of mine\n"


def test_the_project_remembers_the_template_without_a_password(copy: Copy) -> None:
    git(copy, "remote", "add", "origin", "https://ann:secret@example.com/corner-kiosk.git")
    head, tree = (git(copy, "rev-parse", name).strip() for name in ("HEAD", "HEAD^{tree}"))

    copy.run("rename", "book-shop")

    assert text(copy, ".template").splitlines()[1:] == [
        "url https://example.com/corner-kiosk.git",
        f"commit {head}",
        f"tree {tree}",
    ]
    remembered = text(copy, ".template")
    commit(copy)
    copy.run("rename", "library")
    assert text(copy, ".template") == remembered


def test_the_changelog_and_the_version_are_reset_once(copy: Copy) -> None:
    copy.run("rename", "book-shop")

    assert text(copy, "CHANGELOG.md") == f"{CHANGELOG}\n## 0.1.0\n"
    assert text(copy, CODE) == 'VERSION = "0.1.0"  # the newest heading of CHANGELOG.md\n'

    copy.write("CHANGELOG.md", "## 0.2.0\n\n- Books.\n")
    copy.write(CODE, 'VERSION = "0.2.0"\n')
    commit(copy)
    copy.run("rename", "library")

    assert text(copy, "CHANGELOG.md") == "## 0.2.0\n\n- Books.\n"
    assert text(copy, CODE) == 'VERSION = "0.2.0"\n'


def test_it_says_what_to_do_about_history_remote_and_licence(copy: Copy) -> None:
    output = copy.run("rename", "book-shop").stdout

    for words in (
        "git diff HEAD",
        "git remote set-url origin",
        "git init",
        "git remote add origin",
        "LICENSE",
        "--project-name corner-kiosk",
    ):
        assert words in output


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "scripts/rename book-shop"),
        ("Book Shop", "lower-case letters"),
        ("corner-kiosk", "already"),
        ("pg-shop", "PostgreSQL reserves "),
        ("postgres", "PostgreSQL reserves "),
    ],
)
def test_an_invalid_name_is_refused(copy: Copy, name: str, words: str) -> None:
    done = copy.run("rename", name)

    assert done.returncode == 1
    assert words in done.stderr
    assert git(copy, "status", "--porcelain") == ""


def test_without_the_tools_nothing_is_changed(copy: Copy) -> None:
    copy.write("scripts/with-tools", "#!/bin/sh\necho no Python 3.11 >&2; exit 1\n")
    commit(copy)

    done = copy.run("rename", "book-shop")

    assert done.returncode == 1
    assert "no Python 3.11" in done.stderr
    assert git(copy, "status", "--porcelain") == ""


def test_uncommitted_work_is_kept(copy: Copy) -> None:
    copy.write("app.json", "mine: corner-kiosk\n")

    done = copy.run("rename", "book-shop")

    assert done.returncode == 1
    assert "commit or stash your changes first" in done.stderr
    assert text(copy, "app.json") == "mine: corner-kiosk\n"


def test_a_folder_without_git_is_refused(copy: Copy) -> None:
    shutil.rmtree(copy.folder / ".git")

    done = copy.run("rename", "book-shop", GIT_CEILING_DIRECTORIES=str(copy.folder.parent))

    assert done.returncode == 1
    assert "must be a Git repository" in done.stderr
    assert text(copy, "app.json") == NAMED["app.json"]
