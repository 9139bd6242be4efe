"""The table of settings in the documentation."""

from pathlib import Path

import pytest

from app.config import Settings
from tools import settings_table

EXAMPLE = settings_table.EXAMPLE.read_text(encoding="utf-8")


def test_the_tables_have_every_setting_with_its_default_and_bounds() -> None:
    tables = settings_table.render(EXAMPLE)

    assert [name for name in Settings.model_fields if f"\n| `{name.upper()}` |" not in tables] == []
    assert "\n| `THREADS` | `24` | 1 to 200 |" in tables
    assert "\n| `SERVER` | `waitress` | `waitress`, `gunicorn` |" in tables
    assert "\n| `LOGIN_LIMIT_PAIR` | `5/5m` | a limit, or `off` |" in tables


def test_an_unexplained_setting_is_named() -> None:
    with pytest.raises(KeyError, match="THREADS"):
        settings_table.render(EXAMPLE.replace("#THREADS=", "# THREADS="))


def test_only_the_part_between_the_markers_is_written(tmp_path: Path) -> None:
    file = tmp_path / "settings.md"
    file.write_text(f"# Settings\n\n{settings_table.BEGIN}old\n{settings_table.END}\nThe end.\n")

    settings_table.main([str(file)])

    text = file.read_text()
    assert text.startswith("# Settings\n")
    assert "`THREADS`" in text
    assert "old" not in text.splitlines()
    assert text.endswith("\nThe end.\n")


def test_a_check_writes_nothing_and_fails_if_the_file_is_out_of_date(tmp_path: Path) -> None:
    file = tmp_path / "settings.md"
    file.write_text(f"{settings_table.BEGIN}{settings_table.END}")

    with pytest.raises(SystemExit, match="make docs"):
        settings_table.main(["--check", str(file)])
    assert file.read_text() == f"{settings_table.BEGIN}{settings_table.END}"

    settings_table.main([str(file)])
    settings_table.main(["--check", str(file)])
