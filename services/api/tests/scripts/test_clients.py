"""scripts/client and scripts/client-python: their requirements, and the folders that they leave alone."""

from pathlib import Path

import pytest

from tests.support.copies import Copy, without_docker

TOOLS = ["bash", "dirname", "grep", "mkdir", "cat", "env"]


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path, "client", "client-python", "seed", docker={})


@pytest.mark.parametrize("version", ["", "v18.20.0"])
def test_a_typescript_client_needs_node(copy: Copy, tmp_path: Path, version: str) -> None:
    path = without_docker(tmp_path / "tools", *TOOLS)
    if version:
        copy.write("bin/npm", "#!/bin/sh\n").chmod(0o755)
        copy.write("bin/node", f'#!/bin/sh\n[ "$1" = --version ] && echo {version}\n').chmod(0o755)

    done = copy.run("client", PATH=f"{path}:{tmp_path}/bin")

    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"make client needs Node.js 20 or newer with npm (found: {version or 'none'}).")
    assert not (copy.folder / "clients").exists()


@pytest.mark.parametrize(
    ("script", "file"), [("client", "web/package.json"), ("client-python", "web/README.md")]
)
def test_a_folder_with_other_files_is_left_alone(copy: Copy, script: str, file: str) -> None:
    own = copy.write(file, "my own")
    for name in ("node", "npm", "openapi-python-client"):
        copy.write(f"bin/{name}", "#!/bin/sh\n").chmod(0o755)

    done = copy.run(script, "web", WITH_TOOLS="dev")

    assert done.returncode == 1
    assert f"Choose another folder: make {script} to=FOLDER" in done.stderr
    assert own.read_text() == "my own"
    assert [each.name for each in own.parent.iterdir()] == [own.name]


RUNNING = {"compose ps *": "echo the-container"}
DEVELOPMENT = {"exec the-container printenv FLASK_ENV": "echo development"}


def test_seeds_go_to_the_running_development_stack(copy: Copy) -> None:
    done = copy.run("seed", "50", "--more", docker=RUNNING | DEVELOPMENT)

    assert done.returncode == 0, done.stderr
    run = copy.calls()[-1]
    assert run.startswith("compose --file compose.yaml --file compose.dev.yaml run --rm --no-deps")
    assert run.endswith("api flask seed 50 --more")
    assert f"{copy.folder}/services/api/tools:/app/tools:ro" in run


def test_another_running_stack_gets_no_seeds(copy: Copy) -> None:
    done = copy.run("seed", docker=RUNNING | {"exec *": "echo production"})

    assert done.returncode == 1
    assert "isn't a development stack" in done.stderr
    assert not [call for call in copy.calls() if " run " in call]


def test_without_a_stack_seeds_go_to_the_file_of_make_run(copy: Copy) -> None:
    copy.write("scripts/flask", '#!/bin/sh\necho "flask $*"\n').chmod(0o755)

    done = copy.run("seed", "50")

    assert done.stdout == "flask seed 50\n"
