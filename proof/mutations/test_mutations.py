"""Each mutation of mutations.py makes its tests fail, in a copy of the project and on SQLite."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from proof.mutations.mutations import MUTATIONS, Mutation

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder services/api of a copy of the project."""
    copy = tmp_path_factory.mktemp("project")
    listed = [
        "git",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        "services/api",
        "postman",
    ]
    for name in subprocess.check_output(listed, cwd=REPOSITORY, text=True).split("\0"):
        source, target = REPOSITORY / name, copy / name
        if name and source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return copy / "services/api"


def run(api: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "--tb=no", *tests],
        cwd=api,
        env={"PATH": os.environ["PATH"], "HOME": str(api), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def test_without_a_mutation_the_tests_pass(api: Path) -> None:
    done = run(api, *dict.fromkeys(mutation.test for mutation in MUTATIONS))

    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_mutation_is_caught(api: Path, mutation: Mutation) -> None:
    file = api / mutation.file
    text = file.read_text()
    assert text.count(mutation.old) == 1, f"Update mutations.py: {mutation.old!r} must be in {file.name} once"

    file.write_text(text.replace(mutation.old, mutation.new))
    done = run(api, mutation.test)
    file.write_text(text)

    assert done.returncode != 0, "No test failed. Write one that does."
    assert "\nFAILED " in done.stdout, done.stdout  # not an error of the mutation itself
