"""The scripts in proof/scripts, with a fake Docker."""

import os
import re
from pathlib import Path

import pytest

from tests.support.copies import Copy, without_docker
from tests.support.paths import REPOSITORY

SCRIPTS = REPOSITORY / "proof/scripts"
SOURCED = {"drill-stack"}
NEEDS_DOCKER = ["cold-starts", "deploy-rehearsal", "heroku-rehearsal", "swarm-drill"]
CLIENTS_FAILED = "ERROR proof/clients/test_a.py::test_it\nclients  1 error, 2 passed\nFAILED in 3 s: ...\n"
STACK = {
    "compose version": "true",
    "info": "true",
    "logs --follow *": "echo Running 3 tests: F 100 %",
    "wait *": "echo 1",
    "*proof/clients/compose.yaml logs*": "echo api-1: a line of the log",
    "cp --quiet *:/screenshots .": "true",
}


def test_the_scripts_are_programs() -> None:
    for script in SCRIPTS.iterdir():
        assert os.access(script, os.X_OK) is (script.name not in SOURCED), script.name


@pytest.mark.parametrize("name", NEEDS_DOCKER)
def test_without_docker_one_line_says_so(tmp_path: Path, name: str) -> None:
    script = f"proof/scripts/{name}"
    copy = Copy(tmp_path, "need-docker", script, docker={"compose version": "exit 1"})

    none = copy.run(script, PATH=without_docker(tmp_path / "tools", "bash", "dirname"))
    no_compose = copy.run(script)

    for done, words in (
        (none, "needs Docker, and there is no docker"),
        (no_compose, "needs Docker Compose 2"),
    ):
        assert (done.returncode, done.stdout) == (1, "")
        [line] = done.stderr.splitlines()
        assert line.startswith(f"{script} {words}")


def test_every_script_that_calls_docker_checks_for_it_first() -> None:
    checks = r"scripts/need-docker|docker_answers|\. scripts/database"
    code = {script.name: script.read_text() for script in SCRIPTS.iterdir()}
    callers = [
        name for name, text in code.items() if re.search(r"(?m)(^|[;&|(]) *(docker|compose) [a-z]", text)
    ]

    assert len(callers) >= 8
    assert not [name for name in callers if not re.search(checks, code[name])]


def test_the_logs_of_the_stack_come_before_the_report_of_the_clients(tmp_path: Path) -> None:
    script = "proof/scripts/test-clients"
    copy = Copy(tmp_path, script, "throwaway-stack", docker=STACK)
    copy.write(script, "exec 2>&1\n" + (copy.folder / script).read_text())

    done = copy.run(script, docker=copy.reporting(CLIENTS_FAILED))

    assert done.stdout.endswith(
        f"Running 3 tests: F 100 %\nScreenshots: screenshots/\napi-1: a line of the log\n{CLIENTS_FAILED}"
    )
    assert done.returncode == 1


def test_the_curl_session_is_found_in_the_skeletons_readme(tmp_path: Path) -> None:
    copy = Copy(tmp_path, "proof/scripts/curl-session", docker={})
    copy.write("README.md", "# book-shop\n\n```sh\nexit 9\n```\n")
    block = """api=http://localhost:5000\necho "$api" '"username": "ann"'\n"""
    copy.write("docs/skeleton.md", f"## A session with curl\n\n```sh\n{block}```\n")

    done = copy.run("proof/scripts/curl-session", "http://localhost:1", "bob")

    assert (done.returncode, done.stdout) == (0, 'http://localhost:1 "username": "bob"\n')
