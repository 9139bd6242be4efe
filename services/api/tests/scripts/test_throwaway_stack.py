"""scripts/test, with a pretended Docker: what they print around the report."""

from pathlib import Path

import pytest

from tests.scripts.copies import Copy

STACK = {
    "compose version": "true",
    "info": "true",
    "*compose.test.yaml run *": "echo Running 3 tests: 100 %",
    "*compose.test.yaml logs*": "echo api-1: a line of the log",
}
PASSED = "unit  2 passed\nend to end  1 passed\nPASSED in 3 s: 3 passed\n"
UNIT_FAILED = (
    "FAILED tests/unit/test_a.py::test_it\nunit  1 failed\nend to end  1 xfailed\nFAILED in 3 s: ...\n"
)
E2E_FAILED = "FAILED tests/e2e/test_a.py::test_it\nunit  2 passed\nend to end  1 failed\nFAILED in 3 s: ...\n"


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path, "test", "throwaway-stack", docker=STACK)


@pytest.mark.parametrize("report", [PASSED, UNIT_FAILED], ids=["nothing failed", "others failed"])
def test_without_a_failed_end_to_end_test_no_logs_are_printed(copy: Copy, report: str) -> None:
    done = copy.run("test", docker=copy.reporting(report))

    assert done.stdout.endswith(f"Running 3 tests: 100 %\n{report}")
    assert done.stderr == ""


def test_the_logs_of_the_stack_come_before_the_report(copy: Copy) -> None:
    failing = {"*compose.test.yaml run *": "echo Running 3 tests: F 100 %; exit 1"}
    copy.write("scripts/test", "exec 2>&1\n" + (copy.folder / "scripts/test").read_text())

    done = copy.run("test", docker=copy.reporting(E2E_FAILED) | failing)

    assert done.stdout.endswith(f"Running 3 tests: F 100 %\napi-1: a line of the log\n{E2E_FAILED}")
    assert done.returncode == 1


def test_tests_that_end_without_a_report_have_failed(copy: Copy) -> None:
    done = copy.run(
        "test", docker={"*compose.test.yaml run *": "exit 137", "cp *:/results/report -": "exit 1"}
    )

    assert done.stdout.splitlines()[-1].startswith("FAILED: ")
    assert done.returncode == 137


def test_a_stack_that_does_not_start_is_told_with_its_logs(copy: Copy) -> None:
    done = copy.run("test", "tests/e2e", docker={"*compose.test.yaml up *": "exit 1"})

    assert done.stderr.splitlines() == [
        "api-1: a line of the log",
        "FAILED: the stack did not start; its logs are above.",
    ]
    assert not [call for call in copy.calls() if " run " in call]
    assert done.returncode == 1


@pytest.mark.parametrize("argument", ["", "tests/unit", "tests/e2e"])
def test_whatever_was_made_is_removed(copy: Copy, argument: str) -> None:
    copy.run("test", *argument.split(), docker=copy.reporting(PASSED))

    *_, down, images = copy.calls()
    assert " down --volumes --remove-orphans " in down
    assert images.startswith("image rm ")
    assert images.endswith("-db")
