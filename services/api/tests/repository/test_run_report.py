"""tests/support/run_report.py: the output of a test run, and its exit status."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import API

PASSES = "def test_it():\n    pass\n"
FAILS = "def test_it():\n    assert 1 == 2\n"
SKIPS = "import pytest\n\n\ndef test_it():\n    pytest.skip()\n"
ON_BOTH = """
import pytest

@pytest.mark.parametrize("name", ["ann", "bob"])
@pytest.mark.parametrize("database", ["postgresql", "sqlite"])
def test_it(database, name):
    assert (database, name) != ("sqlite", "bob")
"""


def run(folder: Path, *options: str, report_file: str = "", **files: str) -> tuple[int, list[str]]:
    """Run these tests, one file for each part. Return the exit status and the lines that were printed."""
    for part, text in files.items():
        file = folder / "tests" / part / f"test_{part}.py"
        file.parent.mkdir(parents=True)
        file.write_text(text)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment |= {"PYTHONPATH": str(API), "REPORT_FILE": report_file, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    plugins = ["-p", "xdist", "-p", "tests.support.run_report"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "-rN", *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_passing_run_prints_progress_a_line_for_each_part_and_a_verdict(
    tmp_path: Path, workers: str
) -> None:
    status, lines = run(tmp_path, "-n", workers, kit=PASSES, e2e=PASSES, scripts=SKIPS, other=PASSES)

    *progress, kit, scripts, end_to_end, other, verdict = [line for line in lines if line]
    assert progress == ["Running 4 tests: 25 50 75 100 %"]
    assert kit.split("  ")[0] == "kit without a database"
    assert kit.endswith(" 1 passed")
    assert scripts.startswith("repository and scripts  ")
    assert scripts.endswith(" 1 skipped")
    assert end_to_end.startswith("end to end  ")
    assert other.startswith("other  ")
    assert verdict.startswith("PASSED in ")
    assert verdict.endswith(" s: 3 passed, 1 skipped")
    assert status == 0


@pytest.mark.parametrize("workers", ["0", "2"])
def test_failures_end_with_their_ids_the_parts_and_the_verdict(tmp_path: Path, workers: str) -> None:
    status, lines = run(tmp_path, "-n", workers, unit=FAILS, integration=ON_BOTH)

    *_, first_id, second_id, postgresql, sqlite, unit, verdict = lines
    [progress] = [line for line in lines if line.startswith("Running 5 tests: ")]
    assert progress.replace(" F", "") == "Running 5 tests: 20 40 60 80 100 %"
    assert progress.count(" F") == 2
    assert "E       assert 1 == 2" in lines
    assert {first_id, second_id} == {
        "FAILED tests/unit/test_unit.py::test_it",
        "FAILED tests/integration/test_integration.py::test_it[sqlite-bob]",
    }
    assert " ".join(unit.split()) == "app without a database 1 failed"
    assert " ".join(postgresql.split()) == "app on PostgreSQL 2 passed"
    assert " ".join(sqlite.split()) == "app on SQLite 1 failed, 1 passed"
    assert verdict.startswith("FAILED in ")
    assert verdict.endswith(" s: 2 failed, 3 passed")
    assert status == 1


def test_a_file_that_cannot_be_imported_fails_the_run(tmp_path: Path) -> None:
    status, lines = run(tmp_path, "-n", "2", unit="1 / 0\n", scripts=PASSES)

    assert "ERROR tests/unit/test_unit.py" in lines
    assert lines[-1].startswith("FAILED in ")
    assert status != 0


def test_a_run_without_tests_fails(tmp_path: Path) -> None:
    status, lines = run(tmp_path, "-k", "nothing", unit=PASSES)

    assert lines[-1].startswith("FAILED in ")
    assert lines[-1].endswith(": no tests")
    assert status == 5


def test_an_interrupted_run_says_so(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("def pytest_runtest_setup():\n    raise KeyboardInterrupt\n")

    status, lines = run(tmp_path, unit=PASSES)

    assert lines[-1].startswith("INTERRUPTED in ")
    assert status == 2


def test_the_closing_lines_can_go_to_a_file(tmp_path: Path) -> None:
    file = tmp_path / "report"

    status, lines = run(tmp_path, report_file=str(file), unit=FAILS)

    failed_id, unit, verdict = file.read_text().splitlines()
    assert failed_id == "FAILED tests/unit/test_unit.py::test_it"
    assert verdict.startswith("FAILED in ")
    assert not {failed_id, unit, verdict} & set(lines)
    assert status == 1


def test_with_v_pytest_reports_each_test_and_the_verdict_is_last(tmp_path: Path) -> None:
    _, lines = run(tmp_path, "-v", unit=PASSES)

    assert any(line.startswith("tests/unit/test_unit.py::test_it PASSED") for line in lines)
    assert lines[-1].startswith("PASSED in ")
