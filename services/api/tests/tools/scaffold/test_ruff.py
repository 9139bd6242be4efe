"""Ruff only changes the files that it gets."""

from pathlib import Path

import pytest

from tools.scaffold.ruff import format_files

UNTIDY = "import os\nx = { 'a':1 }\n"


@pytest.mark.parametrize("paths", [[], ["new.py"]])
def test_other_files_stay_as_they_are(tmp_path: Path, paths: list[str]) -> None:
    for name in ("new.py", "other.py"):
        (tmp_path / name).write_text(UNTIDY)

    format_files(tmp_path, iter(paths))

    assert (tmp_path / "other.py").read_text() == UNTIDY
    assert (tmp_path / "new.py").read_text() == ('x = {"a": 1}\n' if paths else UNTIDY)
