"""make without and make update-from-template: marks, numbers of migrations, lists that both sides extend."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tools.template import lists, revisions
from tools.template.git import Refused
from tools.template.revisions import VERSIONS
from tools.template.state import State
from tools.template.without import Edit, Part, Removal, unmarked, with_needs

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="the image has no git")

YAML = """services:
  api:
    - A
    - B # part: heroku
  # part: swarm
  many:
    - C
  # end of part
  last: {}
"""
MARKDOWN = """# Title

<!-- part: heroku -->
## Heroku

Text.
<!-- end of part -->

- one <!-- part: swarm -->
- two<!-- part: heroku -->, or
  three<!-- end of part -->, and four<!-- part: swarm --> or five<!-- end of part -->

| a | b <!-- part: swarm --> |
| c | d |
"""


def test_blocks_and_lines_of_a_part_are_removed() -> None:
    assert unmarked(YAML, ["heroku"]) == YAML.replace("    - B # part: heroku\n", "")
    assert unmarked(YAML, ["swarm"]) == YAML[: YAML.index("  # part: swarm")] + "  last: {}\n"
    assert unmarked(YAML, ["other"]) == YAML


def test_words_in_markdown_are_removed_and_other_parts_keep_their_marks() -> None:
    without_heroku = unmarked(MARKDOWN, ["heroku"])

    assert without_heroku.startswith(
        "# Title\n\n- one <!-- part: swarm -->\n- two, and four<!-- part: swarm -->"
    )
    assert unmarked(without_heroku, ["swarm"]) == "# Title\n\n- two, and four\n\n| c | d |\n"


def test_the_order_of_two_removals_does_not_matter() -> None:
    one, other = (
        unmarked(unmarked(MARKDOWN, [a]), [b]) for a, b in (("heroku", "swarm"), ("swarm", "heroku"))
    )

    assert one == other == unmarked(MARKDOWN, ["heroku", "swarm"])


def test_an_inner_block_goes_with_the_outer_one_or_alone() -> None:
    text = "a\n# part: x\nb\n# part: y, z\nc\n# end of part\nd\n# end of part\ne\n"

    assert unmarked(text, ["x"]) == "a\ne\n"
    assert unmarked(text, ["z"]) == "a\n# part: x\nb\nd\n# end of part\ne\n"


def test_an_unknown_part_is_refused_and_needed_ones_are_added() -> None:
    known = {"a": Part("a", "A", needs=("b",)), "b": Part("b", "B")}

    assert with_needs(["a"], known) == ["a", "b"]
    with pytest.raises(Refused, match=r"no part c\. The parts are: a, b"):
        with_needs(["c"], known)


def git(folder: Path, *arguments: str) -> None:
    command = ["git", "-c", "user.name=ann", "-c", "user.email=ann@example.com", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


@needs_git
def test_files_go_with_their_folder_and_what_is_missing_is_reported(tmp_path: Path) -> None:
    (tmp_path / "only").mkdir()
    for name, text in {
        "only/file": "",
        "a.md": MARKDOWN,
        "b.txt": "red or blue\n",
        ".ci": "old",
        ".new": "new",
    }.items():
        (tmp_path / name).write_text(text)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    edits = (Edit("b.txt", " or blue"), Edit("b.txt", "green"), Edit("gone.txt", "x"))
    part = Part("heroku", "", files=("only/*",), edits=edits, renames=((".new", ".ci"),))

    removal = Removal(tmp_path, {"heroku": part})
    removal.remove(["heroku"])

    assert not (tmp_path / "only").exists()
    assert (tmp_path / "b.txt").read_text() == "red\n"
    assert (tmp_path / ".ci").read_text() == "new"
    assert (removal.deleted, removal.changed) == (["only/file"], {"a.md", "b.txt", ".ci"})
    assert removal.missing == [Edit("b.txt", "green")]


def test_the_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    state = State("https://example.com/t.git", "c0ffee", "7ree", ["heroku", "swarm"], {"0006": "0007"})

    state.write(tmp_path)

    assert State.read(tmp_path) == state
    assert State.read(tmp_path / "elsewhere") == State()


BEFORE: dict[str, str | None] = {"0001": None, "0002": "0001"}
AFTER = BEFORE | {"0003": "0002", "0004": "0003"}


def test_without_own_migrations_the_numbers_of_the_template_stay() -> None:
    assert revisions.plan(BEFORE, BEFORE, AFTER, {}) == {}


def test_new_migrations_of_the_template_follow_those_of_the_project() -> None:
    numbers = revisions.plan(BEFORE | {"0003": "0002"}, BEFORE, AFTER, {})
    assert numbers == {"0003": "0004", "0004": "0005"}

    project = BEFORE | {"0003": "0002", "0004": "0003", "0005": "0004", "0006": "0005"}
    assert revisions.plan(project, AFTER, AFTER | {"0005": "0004"}, numbers) == numbers | {"0005": "0007"}


def test_several_heads_are_refused() -> None:
    with pytest.raises(Refused, match="several heads: 0003, 0004"):
        revisions.plan(BEFORE | {"0003": "0002", "0004": "0002"}, BEFORE, AFTER, {})


def test_a_migration_gets_its_number_and_what_it_follows(tmp_path: Path) -> None:
    folder = tmp_path / VERSIONS
    folder.mkdir(parents=True)
    for number, down in (("0003", "0002"), ("0004", "0003")):
        docstring = f'"""M.\n\nRevision ID: {number}\nRevises: {down}\n"""\n\n'
        text = f'revision = "{number}"\ndown_revision = "{down}"\n'
        (folder / f"2026_01_01_m_{number}.py").write_text(docstring + text)

    revisions.renumber(tmp_path, {"0003": "0004", "0004": "0005"}, BEFORE | {"0003": "0002"})

    assert sorted(file.name for file in folder.iterdir()) == ["2026_01_01_m_0004.py", "2026_01_01_m_0005.py"]
    assert revisions.read(tmp_path) == {"0004": "0003", "0005": "0004"}
    assert "Revision ID: 0005\nRevises: 0004\n" in (folder / "2026_01_01_m_0005.py").read_text()


def test_the_projects_rows_keep_their_place_in_the_table_of_permissions(tmp_path: Path) -> None:
    template, project = tmp_path / "template", tmp_path / "project"
    rows = {
        template: "| GET /a | 200 | 1 |\n| GET /b | 200 | 1 |\n",
        project: "| GET /a | 200 |\n| GET /mine | 201 |\n",
    }
    for folder, text in rows.items():
        file = folder / lists.PERMISSIONS
        file.parent.mkdir(parents=True)
        file.write_text(f"| route |\n{text}")

    lists.keep_own_rows(template, project, {"GET /a"})

    expected = "| route |\n| GET /a | 200 | 1 |\n| GET /mine | 201 |\n| GET /b | 200 | 1 |\n"
    assert (template / lists.PERMISSIONS).read_text() == expected
