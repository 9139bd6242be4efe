"""The parts of `make without`: their marks, files and words exist, and the documentation names them."""

import re

import pytest

from tests.support.paths import REPOSITORY
from tools.template.git import tracked
from tools.template.state import State
from tools.template.without import (
    BEGIN,
    END,
    LINE,
    UNMARKED,
    WORDS,
    Part,
    matches,
    parts,
    unmarked,
    with_needs,
)

KNOWN = parts()
REMOVED = State.read(REPOSITORY).without
LEFT = [part for part in KNOWN.values() if part.name not in REMOVED]
FILES = [name for name in tracked(REPOSITORY) if not matches(name, (*UNMARKED, "proof/tests/test_parts.py"))]


def texts() -> dict[str, str]:
    found = {}
    for name in FILES:
        file = REPOSITORY / name
        if file.is_file() and not file.is_symlink():
            text = file.read_bytes().decode(errors="replace")
            if re.search(r"part: |end of part", text):
                found[name] = text
    return found


MARKED = texts()


@pytest.mark.parametrize("name", sorted(MARKED))
def test_every_block_is_closed_and_every_mark_names_a_part(name: str) -> None:
    text = WORDS.sub("", MARKED[name])
    depth, marks = 0, [*WORDS.finditer(MARKED[name])]
    for line in text.splitlines(keepends=True):
        if begin := BEGIN.match(line):
            depth += 1
            marks.append(begin)
        elif END.match(line):
            depth -= 1
        elif mark := LINE.search(line):
            marks.append(mark)
        else:
            assert not re.search(r"<!-- (part: |end of part)", line), line
        assert depth >= 0, line

    assert depth == 0
    assert {each for mark in marks for each in mark["names"].split(", ")} <= set(KNOWN)


@pytest.mark.parametrize("part", LEFT, ids=lambda part: part.name)
def test_every_file_of_a_part_exists(part: Part) -> None:
    gone = {pattern for other in REMOVED for pattern in KNOWN[other].files}

    for pattern in part.files:
        assert any(matches(name, [pattern]) for name in FILES) or matches(pattern, gone), pattern
    for old, new in part.renames:
        assert not (REPOSITORY / old).exists() or (REPOSITORY / new).exists()


@pytest.mark.parametrize("part", LEFT, ids=lambda part: part.name)
def test_the_words_that_a_part_replaces_are_there_once(part: Part) -> None:
    for edit in part.edits:
        file = REPOSITORY / edit.file
        if not file.exists() or any(
            matches(edit.file, KNOWN[each].files) for each in with_needs([part.name], KNOWN)
        ):
            continue
        assert unmarked(file.read_text(), [part.name]).count(edit.old) == 1, (edit.file, edit.old)


def test_the_documentation_names_every_part() -> None:
    page = (REPOSITORY / "docs/2-build/template.md").read_text()

    assert re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE) == list(KNOWN)


def test_what_a_part_needs_is_known() -> None:
    for name in KNOWN:
        assert set(with_needs([name], KNOWN)) <= set(KNOWN)
