"""scripts/venv, with-tools and need-docker: what a command needs, and what happens without it."""

import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.copies import Copy, without_docker
from tests.support.paths import REPOSITORY

TOOLS = ["bash", "dirname", "env", "cat", "cksum", "cmp", "cp", "cut", "id", "mkdir", "mktemp", "rm", "sed"]
NO_PYTHON: Any = {"PYTHON": "/nowhere/python3"}


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    copy = Copy(
        tmp_path,
        "docs",
        "flask",
        "mail-in-development",
        "migration",
        "need-docker",
        "throwaway-postgres",
        "venv",
        "with-tools",
        docker={},
    )
    for lock in ("requirements.txt", "requirements-dev.txt"):
        copy.write(f"services/api/{lock}")
    copy.write("docker/dev.Dockerfile")
    copy.write(".env.example", "#THREADS=8\nNot a setting\n")
    return copy


def python_with(copy: Copy, **modules: str) -> str:
    """Return a Python in which these modules replace the standard ones."""
    for name, text in modules.items():
        copy.write(f"modules/{name}.py", text)
    python = copy.write(
        "bin/fake-python",
        f'#!/bin/sh\nPYTHONPATH={copy.folder}/modules exec {shlex.quote(sys.executable)} "$@"\n',
    )
    python.chmod(0o755)
    return str(python)


MISSING = "raise ImportError"
PIP = (
    "import os, sys\n__version__ = '{}'\n"
    "if __name__ == '__main__':\n    print(*sys.argv[1:], file=open(os.environ['PIP_CALLS'], 'w'))\n"
)


def test_a_python_without_ensurepip_creates_a_venv_with_its_own_pip(copy: Copy) -> None:
    python = python_with(copy, ensurepip=MISSING, pip=PIP.format("23.0.1"))
    calls = copy.folder / "pip-calls"

    done = copy.run("venv", "runtime", "scripts/run", PYTHON=python, PIP_CALLS=str(calls))

    assert done.returncode == 0, done.stderr
    assert "--python .venv/bin/python install" in calls.read_text()
    assert calls.read_text().split()[-4:] == [
        "--no-deps",
        "--require-hashes",
        "-r",
        "services/api/requirements.txt",
    ]
    venv = copy.folder / ".venv"
    assert not list(venv.glob("lib/python3*/site-packages/pip"))
    assert (venv / "requirements.txt").exists()


def test_a_venv_that_is_up_to_date_is_left_alone(copy: Copy) -> None:
    python = python_with(copy, ensurepip=MISSING, pip=PIP.format("23.0.1"))
    calls = copy.folder / "pip-calls"
    environment: Any = {"PYTHON": python, "PIP_CALLS": str(calls)}
    copy.run("venv", "dev", **environment)
    calls.unlink()

    for lock in ("dev", "runtime", "--check"):
        done = copy.run("venv", lock, **environment)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    assert not calls.exists()


@pytest.mark.parametrize("pip", [MISSING, PIP.format("22.2.2")], ids=["no pip", "an old pip"])
@pytest.mark.parametrize("lock", ["runtime", "--check"])
def test_a_python_that_cannot_create_a_venv_names_the_missing_package(
    copy: Copy, pip: str, lock: str
) -> None:
    python = python_with(copy, ensurepip=MISSING, pip=pip)

    done = copy.run("venv", lock, "scripts/run", PYTHON=python)

    assert done.returncode == 1
    assert done.stderr.startswith("scripts/run needs a virtual environment")
    assert f"sudo apt install python{sys.version_info.major}.{sys.version_info.minor}-venv" in done.stderr
    assert not (copy.folder / ".venv").exists()


@pytest.mark.parametrize("lock", ["runtime", "--check"])
def test_a_too_old_python_is_reported_with_the_command_that_needs_it(copy: Copy, lock: str) -> None:
    old = copy.write("bin/old-python", "#!/bin/sh\n[ $1 != --version ] || echo Python 3.9.2; exit 1\n")
    old.chmod(0o755)

    done = copy.run("venv", lock, "scripts/lint", PYTHON=str(old))

    assert done.returncode == 1
    assert done.stderr.startswith("scripts/lint needs Python 3.11 or newer (found: Python 3.9.2")
    assert "make run" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "lock"),
    [
        (["user", "list"], "runtime"),
        (["--help"], "runtime"),
        (["db", "upgrade"], "runtime"),
        (["scaffold", "book", "title:str(200)"], "dev"),
        (["scaffold-field", "book", "isbn:str(13)"], "dev"),
        (["scaffold-choice", "book", "genre", "comic"], "dev"),
        (["unscaffold", "book"], "dev"),
    ],
)
def test_flask_installs_development_tools_only_for_commands_that_use_them(
    copy: Copy, arguments: list[str], lock: str
) -> None:
    copy.write("scripts/venv", '#!/bin/sh\necho "$*" >>venv-calls\n').chmod(0o755)
    copy.write(".venv/bin/flask", '#!/bin/sh\necho "flask $*, $FLASK_APP, $PWD"\n').chmod(0o755)

    done = copy.run("flask", *arguments)

    assert done.stdout == f"flask {' '.join(arguments)}, tools.flask_app, {copy.folder}/services/api\n"
    calls = (copy.folder / "venv-calls").read_text().splitlines()
    assert calls == ["--check scripts/flask", f"{lock} scripts/flask"]


@pytest.mark.parametrize(
    ("environment", "settings"),
    [
        ({}, "file:mail, flask-api <noreply@example.com>, http://localhost:5000"),
        ({"API_PORT": "81"}, "file:mail, flask-api <noreply@example.com>, http://localhost:81"),
        ({"SMTP_URL": ""}, ", flask-api <noreply@example.com>, http://localhost:5000"),
        (
            {"SMTP_URL": "smtp://mail", "MAIL_FROM": "a@example.com", "APP_URL": "http://b.example"},
            "smtp://mail, a@example.com, http://b.example",
        ),
        ({"SMTP_URL_FILE": "/url"}, ", , "),
        ({"FLASK_ENV": "production"}, ", , "),
    ],
)
def test_mail_is_written_to_files_in_development_unless_it_is_set(
    copy: Copy, environment: dict[str, str], settings: str
) -> None:
    copy.write("scripts/venv", "#!/bin/sh\n").chmod(0o755)
    copy.write(".venv/bin/flask", '#!/bin/sh\necho "$SMTP_URL, $MAIL_FROM, $APP_URL"\n').chmod(0o755)

    done = copy.run("flask", "user", "list", docker=None, **environment)

    assert done.stdout == f"{settings}\n"


def test_output_of_the_preparation_is_separate_from_that_of_the_command(copy: Copy) -> None:
    copy.write("scripts/venv", "#!/bin/sh\necho Installing\n").chmod(0o755)

    done = copy.run("with-tools", "echo", "the output")

    assert (done.stdout, done.stderr) == ("the output\n", "Installing\n")


def test_without_python_a_container_runs_the_command(copy: Copy) -> None:
    docker = {"run *test -w*": "true", "run *": 'echo "ran $THREADS"'}

    done = copy.run("flask", "user", "list", docker=docker, THREADS="4", **NO_PYTHON)

    assert (done.returncode, done.stdout) == (0, "ran 4\n")
    assert done.stderr.count("\n") == 1
    assert "Building the image" in done.stderr
    build, _, run = (call for call in copy.calls() if call.startswith(("build", "run")))
    assert "docker/dev.Dockerfile" in build
    assert f"source={copy.folder},target=/repository" in run
    assert "--env=THREADS " in run
    assert run.endswith("scripts/flask user list")
    assert not list((copy.folder / "services/api/instance").iterdir())


def test_the_image_is_rebuilt_only_if_its_inputs_change(copy: Copy) -> None:
    def builds(built: str) -> bool:
        (copy.folder / "calls").unlink(missing_ok=True)
        done = copy.run("with-tools", "true", docker={"image inspect *": f"echo '{built}'"}, **NO_PYTHON)
        has_built = any(call.startswith("build") for call in copy.calls())
        assert ("Building the image" in done.stderr) is has_built
        return has_built

    assert builds("")
    [label] = re.findall(r"--label contents=(\d+ \d+)", "\n".join(copy.calls()))
    assert not builds(label)
    copy.write("services/api/requirements-dev.txt", "other==1\n")
    assert builds(label)


def test_an_engine_that_cannot_access_this_folder_is_reported(copy: Copy) -> None:
    done = copy.run("with-tools", "scripts/docs", docker={"run *test -w*": "exit 125"}, **NO_PYTHON)

    assert done.returncode == 1
    assert "scripts/docs needs Python 3.11" in done.stderr
    assert f"the Docker engine can't see or write {copy.folder}" in done.stderr
    assert not list((copy.folder / "services/api/instance").iterdir())


@pytest.mark.parametrize("script", ["docs", "flask", "migration"])
def test_without_python_and_docker_the_requirement_is_reported(
    copy: Copy, tmp_path: Path, script: str
) -> None:
    path = without_docker(tmp_path / "tools", *TOOLS)

    done = copy.run(script, "anything", PATH=path, **NO_PYTHON)

    assert (done.returncode, done.stdout) == (1, "")
    first, second = done.stderr.splitlines()
    assert first.startswith(f"scripts/{script} needs Python 3.11 or newer (found: none)")
    assert second == f"Or start Docker, and scripts/{script} runs in a container."


def test_a_check_prepares_the_tools_and_runs_nothing(copy: Copy, tmp_path: Path) -> None:
    copy.write("scripts/new", "#!/bin/sh\ntouch ran\n").chmod(0o755)

    ready = copy.run("with-tools", "--check", "scripts/new", **NO_PYTHON)
    path = without_docker(tmp_path / "tools", *TOOLS)
    missing = copy.run("with-tools", "--check", "scripts/new", PATH=path, **NO_PYTHON)

    assert (ready.returncode, missing.returncode) == (0, 1)
    assert missing.stderr.startswith("scripts/new needs Python 3.11")
    assert copy.calls()[-1].endswith(" true")
    assert not (copy.folder / "ran").exists()


NEEDS_DOCKER = ["backup", "deploy", "dev", "restore"]


@pytest.mark.parametrize("script", NEEDS_DOCKER)
def test_without_docker_one_line_says_so(tmp_path: Path, script: str) -> None:
    copy = Copy(tmp_path, "database", "need-docker", script, docker={"compose version": "exit 1"})

    none = copy.run(script, "a.dump", PATH=without_docker(tmp_path / "tools", *TOOLS))
    no_compose = copy.run(script, "a.dump")

    for done, words in (
        (none, "needs Docker, and there is no docker"),
        (no_compose, "needs Docker Compose 2"),
    ):
        assert (done.returncode, done.stdout) == (1, "")
        [line] = done.stderr.splitlines()
        assert line.startswith(f"scripts/{script} {words}")


def test_every_script_that_uses_docker_checks_for_it_first() -> None:
    recipes = re.findall(r"^\t.*docker compose.*", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    asks = r"scripts/need-docker|docker_answers|\. scripts/database|command -v docker|docker info"
    texts = {script.name: script.read_text() for script in (REPOSITORY / "scripts").iterdir()}
    code = {name: re.sub(r"<<END\n.*?\nEND\n", "", text, flags=re.DOTALL) for name, text in texts.items()}
    callers = [
        name for name, text in code.items() if re.search(r"(?m)(^|[;&|(]) *(exec )?docker [a-z]", text)
    ]

    assert len(recipes) >= 4
    assert all("\t@scripts/need-docker " in recipe for recipe in recipes), recipes
    assert len(callers) >= 8
    assert not [name for name in callers if not re.search(asks, code[name])]
