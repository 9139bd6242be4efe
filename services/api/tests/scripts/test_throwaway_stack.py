"""scripts/test, with a fake Docker: what it prints around the report, and what it removes."""

from pathlib import Path

import pytest

from tests.support.copies import Copy

STACK = {
    "compose version": "true",
    "info": "true",
    "logs --follow *": "echo Running 3 tests: 100 %",
    "wait *": "echo 0",
    "*compose.test.yaml logs*": "echo api-1: a line of the log",
}
PASSED = "app  2 passed\nend to end  1 passed\nPASSED in 3 s: 3 passed\n"
UNIT_FAILED = (
    "FAILED tests/unit/test_a.py::test_it\napp  1 failed\nend to end  1 xfailed\nFAILED in 3 s: ...\n"
)
E2E_FAILED = "FAILED tests/e2e/test_a.py::test_it\napp  2 passed\nend to end  1 failed\nFAILED in 3 s: ...\n"


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path, "test", "throwaway-stack", docker=STACK)


@pytest.mark.parametrize("report", [PASSED, UNIT_FAILED], ids=["nothing failed", "others failed"])
def test_logs_are_printed_only_if_an_end_to_end_test_fails(copy: Copy, report: str) -> None:
    done = copy.run("test", docker=copy.reporting(report))

    assert done.stdout.endswith(f"Running 3 tests: 100 %\n{report}")
    assert done.stderr == ""


def test_the_logs_of_the_stack_come_before_the_report(copy: Copy) -> None:
    failing = {"logs --follow *": "echo Running 3 tests: F 100 %", "wait *": "echo 1"}
    copy.write("scripts/test", "exec 2>&1\n" + (copy.folder / "scripts/test").read_text())

    done = copy.run("test", docker=copy.reporting(E2E_FAILED) | failing)

    assert done.stdout.endswith(f"Running 3 tests: F 100 %\napi-1: a line of the log\n{E2E_FAILED}")
    assert done.returncode == 1


def test_tests_that_end_without_a_report_fail(copy: Copy) -> None:
    done = copy.run("test", docker={"wait *": "echo 137", "cp *:/results/report -": "exit 1"})

    assert done.stdout.splitlines()[-1].startswith("FAILED: ")
    assert done.returncode == 137


def test_the_logs_of_a_database_that_does_not_start_are_printed(copy: Copy) -> None:
    done = copy.run("test", "tests/e2e", docker={"*compose.test.yaml up *test-db": "exit 1"})

    assert done.stderr.splitlines() == [
        "api-1: a line of the log",
        "FAILED: the stack did not start; its logs are above.",
    ]
    assert not [call for call in copy.calls() if " run " in call]
    assert done.returncode == 1


def test_an_api_that_does_not_start_leaves_the_other_tests_running(copy: Copy) -> None:
    done = copy.run("test", docker=copy.reporting(E2E_FAILED) | {"*up *api": "exit 1", "wait *": "echo 1"})

    assert done.stdout.endswith(E2E_FAILED)
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("argument", "starts"), [("", True), ("-k health", True), ("tests/unit", False), ("tests/e2e", True)]
)
def test_the_stack_starts_only_for_end_to_end_tests(copy: Copy, argument: str, starts: bool) -> None:
    copy.run("test", *argument.split(), docker=copy.reporting(PASSED))

    assert any(call.endswith(" up --detach --no-build api") for call in copy.calls()) is starts


@pytest.mark.parametrize("argument", ["", "tests/unit", "tests/e2e"])
def test_everything_that_was_created_is_removed(copy: Copy, argument: str) -> None:
    copy.run("test", *argument.split(), docker=copy.reporting(PASSED))

    *_, down, images = copy.calls()
    assert " down --volumes --remove-orphans " in down
    assert images.startswith("image rm ")
    assert images.endswith("-db")
