"""tests/support/databases.py and tests/conftest.py: which tests run on which database, in which order."""

import os
import subprocess
import sys

from tests.support.paths import API

FILES = [
    "integration/test_index.py",
    "kit/web/test_documentation.py",
    "kit/serving/test_servers.py",
    "e2e/test_fuzz.py",
]


def collected(database_url: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--collect-only", *(f"tests/{file}" for file in FILES)],
        cwd=API,
        env=os.environ | {"TEST_DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        check=True,
    )
    return [line for line in done.stdout.splitlines() if "::" in line]


def of(file: str, ids: list[str]) -> set[str]:
    """Return the databases that the tests of this file run on."""
    parameters = {nodeid.partition("[")[2].partition("-")[0].strip("]") for nodeid in ids if file in nodeid}
    return parameters & {"postgresql", "sqlite"}


def test_with_postgresql_tests_run_on_both_databases_except_those_marked_any_database() -> None:
    ids = collected("postgresql://ann@127.0.0.1:1/never_opened_test")

    assert of("test_index.py", ids) == {"postgresql", "sqlite"}
    assert of("test_documentation.py", ids) == {"postgresql"}
    files = [nodeid.partition("::")[0].removeprefix("tests/") for nodeid in ids]
    # The long tests first, then the end-to-end tests.
    assert list(dict.fromkeys(files)) == [FILES[2], FILES[3], FILES[0], FILES[1]]


# part: sqlite
def test_without_postgresql_all_tests_run_on_sqlite() -> None:
    ids = collected("")

    assert of("test_index.py", ids) == of("test_documentation.py", ids) == {"sqlite"}


# end of part
