"""scripts/migration: which database it compares the models with, and that nothing of it stays."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.copies import Copy

FLASK = '#!/bin/sh\n[ "$2" = upgrade ] || echo "flask $*: $DATABASE_URL, $MIGRATION_DATABASE_URL"\n'
DOCKER = {"run --detach *": "echo the-container", "exec *pg_isready*": "true"}
NO_ENGINE = {"info*": "exit 1"}
USERS_OWN = {"DATABASE_URL": "postgresql://db/own", "MIGRATION_DATABASE_URL": "postgresql://db/own"}


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """A copy in which flask prints its database, and PostgreSQL's programs do nothing."""
    copy = Copy(tmp_path, "migration", "throwaway-postgres", "with-tools", docker={})
    copy.write("docker/db.Dockerfile", "# PostgreSQL\nFROM postgres:99\n")
    copy.write("docker/dev.Dockerfile")
    copy.write(".env.example")
    copy.write("services/api/requirements-dev.txt")
    programs = {
        "scripts/venv": "",
        ".venv/bin/flask": FLASK,
        ".venv/bin/ruff": "",
        "bin/id": "echo 1000",  # because PostgreSQL refuses root
        "bin/initdb": f'echo "initdb $*" >>{tmp_path}/programs',
        "bin/pg_ctl": f'echo "pg_ctl $*" >>{tmp_path}/programs',
    }
    for path, text in programs.items():
        copy.write(path, text if text.startswith("#!") else f"#!/bin/sh\n{text}\n").chmod(0o755)
    return copy


@pytest.fixture
def port() -> Iterator[int]:
    """A port on which something listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_with_docker_it_uses_an_empty_database_in_a_container(copy: Copy, port: int) -> None:
    docker = DOCKER | {"port *": f"echo 127.0.0.1:{port}"}

    done = copy.run("migration", "add a nickname", docker=docker, **USERS_OWN)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("flask db migrate --message add a nickname: postgresql://flask_api:")
    assert done.stdout.endswith(f"@127.0.0.1:{port}/flask_api, \n")
    assert "PostgreSQL, in a container" in done.stderr
    [run] = [call for call in copy.calls() if call.startswith("run ")]
    assert " postgres:99 " in run
    assert copy.calls()[-1] == "rm --force --volumes the-container"


def test_without_python_both_containers_share_a_network(copy: Copy) -> None:
    docker = DOCKER | {"run *test -w*": "true", "run --rm *": 'echo "$*"'}
    copy.write("scripts/venv", "#!/bin/sh\nexit 1\n").chmod(0o755)

    done = copy.run("migration", "add a nickname", docker=docker)

    assert done.returncode == 0, done.stderr
    assert "--network container:the-container " in done.stdout
    assert "scripts/migration add a nickname postgresql://flask_api:" in done.stdout
    assert done.stdout.endswith("@127.0.0.1:5432/flask_api\n")
    assert copy.calls()[-1] == "rm --force --volumes the-container"


@pytest.mark.parametrize(
    "docker",
    [NO_ENGINE, {"run --detach *": "exit 125"}, DOCKER | {"port *": "echo 127.0.0.1:1"}],
    ids=["no engine", "no image", "unreachable"],
)
def test_without_a_usable_container_it_uses_the_programs_of_this_machine(
    copy: Copy, docker: dict[str, str]
) -> None:
    done = copy.run("migration", "add a nickname", docker=docker, **USERS_OWN)

    assert done.returncode == 0, done.stderr
    assert "postgresql://flask_api@/postgres?host=/tmp/flask-api-migration." in done.stdout
    assert "PostgreSQL, with the programs of this machine" in done.stderr
    assert sum(call.startswith("run ") for call in copy.calls()) == sum(
        call.startswith("rm --force --volumes ") for call in copy.calls()
    ) + ("exit 125" in docker.values())
    programs = (copy.folder / "programs").read_text().splitlines()
    assert [line.split()[:2] for line in programs] == [
        ["initdb", "-D"],
        ["pg_ctl", "start"],
        ["pg_ctl", "stop"],
    ]
    folder = Path(programs[0].split()[2]).parent
    assert folder.name.startswith("flask-api-migration.")
    assert not folder.exists()


# part: sqlite
def test_without_postgresql_it_uses_sqlite_and_says_what_that_does_not_see(copy: Copy) -> None:
    copy.write("bin/initdb", "#!/bin/sh\nexit 1\n")

    done = copy.run("migration", "add a nickname", docker=NO_ENGINE, **USERS_OWN)

    assert done.returncode == 0, done.stderr
    assert "sqlite:////" in done.stdout
    assert "Comparing the models with SQLite" in done.stderr
    assert "GIN" in done.stderr
    assert not Path(done.stdout.rstrip(", \n").partition("sqlite:///")[2]).parent.exists()


# end of part


def test_a_migration_needs_a_name(copy: Copy) -> None:
    done = copy.run("migration")

    assert done.returncode == 1
    assert 'make migration m="add a nickname"' in done.stderr
    assert copy.calls() == []
