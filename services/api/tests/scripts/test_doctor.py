"""scripts/doctor with a fake Docker: every problem is reported with its fix."""

import json
import shlex
import shutil
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.support.copies import Copy, without_docker
from tests.support.paths import REPOSITORY

API = REPOSITORY / "services" / "api"
SECRET = "0123456789abcdefghijklmnopqrstuvwxyz"
STACK = {
    "version *": "echo 26.1.5+dfsg1",
    "compose version --short": "echo 2.26.1-4",
    "compose config --format json": "cat config.json",
    "compose config --hash api": "echo api 1234",
    "image inspect flask-api-db": "true",
    "image inspect *": "exit 1",
    "run *--entrypoint sh*": "date +%s; echo / 9999999 1 9999999 1% /",
    "compose ps --quiet *": "echo 0123456789ab",
    "compose ps --all *": "echo api running healthy 0; echo worker running healthy 0; "
    "echo migrate exited none 0",
    "ps *": 'echo "api 1234 $PWD/compose.yaml"',
    "compose exec *psql*": "echo 0001",
}
MIGRATION = 'revision = "{}"\ndown_revision = {}\n'
TOOLS = ["bash", "cmp", "date", "dirname", "env", "git", "id", "test", "tr"]
IN_CONTAINER = "run *tools.doctor --ask-shell"
IN_IMAGE = "run *--entrypoint python flask-api -c *"


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    copy = Copy(tmp_path, "doctor", "venv", docker=STACK)
    shutil.copytree(
        API / "tools", copy.folder / "services/api/tools", ignore=shutil.ignore_patterns("__pycache__")
    )
    copy.write("compose.yaml")
    copy.write(".env.example", (REPOSITORY / ".env.example").read_text())
    copy.write("services/api/migrations/versions/first.py", MIGRATION.format("0001", "None"))
    return copy


def with_the_app(copy: Copy) -> None:
    """Add what `scripts/venv` creates: a Python that can import the app."""
    install(copy, f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    (copy.folder / "services/api/app").symlink_to(API / "app")
    (copy.folder / "services/api/kit").symlink_to(API / "kit")


def install(copy: Copy, python: str) -> None:
    """Add an up-to-date .venv, with this program as its Python."""
    copy.write(".venv/bin/python", python).chmod(0o755)
    for folder in ("services/api", ".venv"):
        copy.write(f"{folder}/requirements.txt")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def diagnose(
    copy: Copy,
    docker: dict[str, str] | None = None,
    compose_reads: Mapping[str, str | None] | None = None,
    port: int | None = None,
    **environment: str,
) -> CompletedProcess[str]:
    """Run the script in a project where Compose reads these settings."""
    ports = [
        {"mode": "ingress", "host_ip": "127.0.0.1", "target": 5000, "published": str(port or free_port())}
    ]
    settings = dict(compose_reads or {})
    of_the_database = {"POSTGRES_PASSWORD": settings.pop("POSTGRES_PASSWORD", None)}
    services = {
        "api": {"environment": settings, "ports": ports},
        "worker": {},
        "db": {"environment": of_the_database},
    }
    config = {"name": "flask-api", "services": services}
    copy.write("config.json", json.dumps(config, indent=2).replace("$", "$$"))
    done = copy.run("doctor", docker=docker, **{"PYTHON": sys.executable, **environment})
    assert done.stderr == ""
    return done


def problems(done: CompletedProcess[str]) -> list[str]:
    """Return the problems. Each must have a fix, and the status must be 1."""
    found = [line for line in done.stdout.splitlines() if line.startswith("problem")]
    assert all(" Fix: " in line for line in found)
    assert done.returncode == 1
    return found


def assert_problems(done: CompletedProcess[str], *words: str) -> None:
    """Expect exactly these problems, in this order."""
    found = problems(done)
    assert len(found) == len(words), found
    for line, word in zip(found, words, strict=True):
        assert word in line


def test_the_status_is_0_if_nothing_is_wrong(copy: Copy) -> None:
    install(copy, "#!/bin/sh\n")
    copy.write(".env", f"# mine\nexport SECRET_KEY='{SECRET}'\nTHREADS=4\nCOMPOSE_PROFILES=x\n")

    done = diagnose(copy)

    assert done.returncode == 0, done.stdout
    assert "Nothing is wrong." in done.stdout
    assert not {line.split()[0] for line in done.stdout.splitlines()} - {"ok", "Nothing"}


def test_problems_in_env(copy: Copy) -> None:
    lines = [
        "SECRETKEY=x",
        "access_token_secs=5",
        "SOMETHING_ELSE=5",
        "THREADS=4",
        "THREADS=5",
        "export SECRET_KEY=abc",
        "POSTGRES_PASSWORD='hunter2'\r",
        "DATABASE_URL=postgresql://ann:letmein@host/app # mine",
    ]
    copy.write(".env", "\n".join(lines) + "\n")
    secrets = {
        "SECRET_KEY": "abc",
        "POSTGRES_PASSWORD": "hunter2",
        "DATABASE_URL": "postgresql://ann:letmein@host/app",
    }

    done = diagnose(copy, compose_reads=secrets)

    assert_problems(
        done,
        "write SECRET_KEY",
        "SOMETHING_ELSE in .env isn't a setting",
        "write ACCESS_TOKEN_SECONDS",
        "THREADS is set more than once",
        "SECRET_KEY has 3 characters",
        "POSTGRES_PASSWORD has 7 characters",
        "password in DATABASE_URL has 7 characters",
    )
    assert "hunter2" not in done.stdout
    assert "letmein" not in done.stdout


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("please-change-me-please-change-me-now", 'contains "change-me"'),
        ("ab" * 20, "only 2 different characters"),
    ],
)
def test_the_secret_that_compose_reads_is_checked(copy: Copy, key: str, words: str) -> None:
    copy.write(".env", f"SECRET_KEY={SECRET}\n")

    done = diagnose(copy, compose_reads={"SECRET_KEY": key})

    assert_problems(done, words)


def test_a_password_that_compose_cuts_off_at_a_dollar_sign(copy: Copy) -> None:
    warning = r"""echo 'level=warning msg="The \"Kjh38\" variable is not set. Defaulting"' >&2"""
    copy.write(".env", "# $Kjh38\nPOSTGRES_PASSWORD=ab$Kjh38\nSECRET_KEY=ab$Kjh381\n")

    done = diagnose(copy, {"compose config --quiet": warning}, compose_reads={"POSTGRES_PASSWORD": "ab"})

    assert_problems(done, "POSTGRES_PASSWORD='...'", "POSTGRES_PASSWORD has 2 characters")
    assert "Kjh38" not in done.stdout


@pytest.mark.parametrize(
    ("line", "error", "words"),
    [
        ("POSTGRES_PASSWORD=0123456789abcd${x", 'Invalid template: "0123456789abcd${x"', "in single quotes"),
        (
            'POSTGRES_PASSWORD="0123456789abcd',
            'line 2: unterminated quoted value "0123456789abcd',
            "the quote before the value of POSTGRES_PASSWORD isn't closed",
        ),
        (
            "POSTGRES-PASSWORD=0123456789abcd",
            'line 1: unexpected character "-" in variable name "POSTGRES-PASSWORD=0123456789abcd"',
            "line 1 isn't NAME=value",
        ),
    ],
)
def test_a_password_that_compose_cannot_read_is_not_printed(
    copy: Copy, line: str, error: str, words: str
) -> None:
    copy.write(".env", f"{line}\n")
    refused = f"echo {shlex.quote(f'failed to read /srv/.env: {error}')} >&2; exit 1"

    done = diagnose(copy, {"compose config *": refused})

    assert words in problems(done)[0]
    assert "abcd" not in done.stdout


@pytest.mark.parametrize(("trusted", "wrong"), [("", True), ("192.0.2.1", False)])
def test_a_proxy_in_front_must_be_trusted(copy: Copy, trusted: str, wrong: bool) -> None:
    proxy = {"environment": {"SITE_TLS": "off", "TRUSTED_PROXIES": trusted or None}}
    config = {"name": "flask-api", "services": {"api": {}, "proxy": proxy}}
    reads = f"echo {shlex.quote(json.dumps(config))}"

    done = diagnose(copy, {"compose config --format json": reads})

    assert ("SITE_TLS=off without TRUSTED_PROXIES" in done.stdout) is wrong


def test_the_length_of_a_password_is_that_of_its_value(copy: Copy) -> None:
    with_the_app(copy)
    password = r"""a"b\c<&>d$e"""  # 11 characters, and 31 in JSON

    done = diagnose(copy, compose_reads={"POSTGRES_PASSWORD": password, "JWT_ISSUER": "a$b"})

    assert_problems(done, "POSTGRES_PASSWORD has 11 characters")


@pytest.mark.parametrize(
    ("docker", "words"),
    [
        ({"version *": "echo Cannot connect; exit 1"}, ["Docker engine doesn't answer"]),
        ({"version *": "echo permission denied; exit 1"}, ["usermod"]),
        ({"version *": "echo 24.0.9"}, ["Docker Engine is 24.0.9"]),
        ({"compose version *": "echo v2.24.3"}, ["Docker Compose is v2.24.3"]),
        ({"compose version *": "exit 1"}, ["Docker has no Compose"]),
        ({"compose config *": "echo services.api is wrong >&2; exit 15"}, ["services.api is wrong"]),
        (
            {
                "compose ps --all *": "echo db restarting none 1; echo migrate exited none 1;"
                "echo api running unhealthy 0; echo proxy restarting none 1;"
                "echo worker restarting none 1; echo other exited none 143",
                "compose logs *db": "echo FATAL: database files are incompatible with server",
                "compose exec *psql*": "true",
                "compose config --hash *": "echo api 5678",
            },
            [
                "another major version of PostgreSQL",
                "migrate exited with status 1",
                "api runs, but isn't healthy",
                "docker compose logs proxy",
                "docker compose logs worker",
                "have changed since these services were started: api",
                "the database is at nothing, the code at 0001",
            ],
        ),
        (
            {
                "compose exec *psql*": "echo 0002",
                "run *": "echo $(($(date +%s) + 3600)); echo / 1 1 1048576",
            },
            [
                "is at 0002, which only a newer version",
                "The containers' clock differs",
                "Docker has 1024 MB left",
            ],
        ),
    ],
)
def test_problems_with_docker_and_the_stack(copy: Copy, docker: dict[str, str], words: list[str]) -> None:
    assert_problems(diagnose(copy, docker), *words)


@pytest.mark.parametrize(
    "states", ["echo api running healthy 0; echo worker exited none 0", "echo api running x 0"]
)
def test_a_missing_worker_is_reported_unless_the_server_runs_jobs(copy: Copy, states: str) -> None:
    docker = {"compose ps --all *": states}

    assert_problems(diagnose(copy, docker), "The API runs without a worker")
    assert diagnose(copy, docker, compose_reads={"WORKER": "thread"}).returncode == 0
    assert diagnose(copy, {"compose ps --all *": "echo db running healthy 0"}).returncode == 0


def test_without_an_engine_the_stack_is_not_examined(copy: Copy) -> None:
    docker = {"version *": "exit 1", "compose ps --all *": "echo api restarting none 1"}

    assert_problems(diagnose(copy, docker), "Docker engine doesn't answer")


def test_containers_made_with_more_files_are_not_compared(copy: Copy) -> None:
    docker = {"ps *": 'echo "api 5678 $PWD/compose.yaml,$PWD/compose.dev.yaml"'}

    assert diagnose(copy, docker).returncode == 0


def test_the_stack_of_another_clone(copy: Copy, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = tmp_path_factory.mktemp("other")
    docker = {"ps *working_dir*": f"echo {other}", "compose ps --all *": "echo api restarting none 1"}

    done = diagnose(copy, docker)

    assert_problems(done, f"was started from {other}")
    assert "COMPOSE_PROJECT_NAME=flask-api-2" in done.stdout


def test_the_stack_of_this_folder_by_another_path(
    copy: Copy, tmp_path_factory: pytest.TempPathFactory
) -> None:
    link = tmp_path_factory.mktemp("other") / "link"
    link.symlink_to(copy.folder)

    for folder in (link, copy.folder, "/was/renamed/since"):
        assert diagnose(copy, {"ps *working_dir*": f"echo {folder}"}).returncode == 0


def test_a_port_of_another_program(copy: Copy) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        theirs = diagnose(copy, port=port)
        ours = diagnose(copy, {"compose port *": f"echo 127.0.0.1:{port}"}, port=port)

    assert_problems(theirs, f"API_PORT={port + 1} docker compose up --wait")
    assert ours.returncode == 0


def test_windows_line_endings(copy: Copy) -> None:
    copy.write("docker/db-start.sh", "#!/bin/sh\r\ntrue\r\n")

    assert_problems(diagnose(copy), "docker/db-start.sh")


@pytest.mark.parametrize(
    ("revision", "follows", "words"),
    [("0002", "None", "more than one head: 0001 0002"), ("0001", "None", "same revision: 0001")],
)
def test_migrations_that_do_not_follow_each_other(
    copy: Copy, revision: str, follows: str, words: str
) -> None:
    copy.write("services/api/migrations/versions/second.py", MIGRATION.format(revision, follows))

    assert words in problems(diagnose(copy))[0]


def test_pending_migrations(copy: Copy) -> None:
    copy.write("services/api/migrations/versions/second.py", MIGRATION.format("0002", '"0001"'))

    assert_problems(diagnose(copy), "the database is at 0001, the code at 0002")


def test_merged_heads_are_one(copy: Copy) -> None:
    for revision, follows in (("0002", '"0001"'), ("0003", '"0001"'), ("0004", '("0002", "0003")')):
        copy.write(f"services/api/migrations/versions/{revision}.py", MIGRATION.format(revision, follows))

    assert diagnose(copy, {"compose exec *psql*": "echo 0004"}).returncode == 0


def test_settings_that_the_app_finds_weak(copy: Copy) -> None:
    with_the_app(copy)
    settings = {"PASSWORD_MIN_LENGTH": "8", "SECRET_KEY_FILE": "/nowhere", "THREADS": None}

    assert_problems(diagnose(copy, compose_reads=settings), "PASSWORD_MIN_LENGTH is below 15")


def test_a_failing_check_blames_no_setting(copy: Copy) -> None:
    with_the_app(copy)
    (copy.folder / "services/api/app").unlink()
    copy.write("services/api/app/__init__.py", "import gone_missing\n")

    done = diagnose(copy)

    assert_problems(done, "The settings can't be checked: ModuleNotFoundError: No module named 'gone_")
    assert "correct it in .env" not in done.stdout


def test_without_docker_the_other_checks_run(copy: Copy, tmp_path: Path) -> None:
    with_the_app(copy)
    lines = "export SECRET_KEY='abc'\r\nTHREADS=many\nPOSTGRES_PASSWORD=hunter2$Kjh38fhsdkjf # mine\n"
    copy.write(".env", lines)

    done = diagnose(copy, PATH=without_docker(tmp_path / "tools", *TOOLS))

    assert_problems(
        done,
        "Compose takes the text after a $ in POSTGRES_PASSWORD",
        "SECRET_KEY has 3 characters",
        "POSTGRES_PASSWORD has 7 characters",
        "Docker isn't installed",
        "THREADS: must be a whole number",
    )
    assert "hunter2" not in done.stdout


BROKEN = {
    "ends at once": ("#!/bin/sh\nexit 1\n", "its Python doesn't start"),
    "lacks its packages": (
        "#!/bin/sh\ncase $2 in 'import flask') echo Traceback; echo No module named flask; exit 1;; esac\n",
        "No module named flask",
    ),
}


@pytest.mark.parametrize(("python", "words"), BROKEN.values(), ids=BROKEN)
def test_a_broken_venv(copy: Copy, tmp_path: Path, python: str, words: str) -> None:
    install(copy, python)

    with_docker = diagnose(copy, {"image inspect flask-api": "true"})
    without = diagnose(copy, PATH=without_docker(tmp_path / "tools", *TOOLS))

    assert (with_docker.returncode, with_docker.stdout.count(f"note     .venv is broken: {words}")) == (0, 1)
    assert f".venv is broken: {words}" in problems(without)[1]


def test_an_unfinished_venv(copy: Copy) -> None:
    copy.write("services/api/requirements.txt")
    copy.write(".venv/bin/python", "#!/bin/sh\n").chmod(0o755)

    done = diagnose(copy)

    assert done.returncode == 0
    assert "ok       .venv, which the next command" in done.stdout
    assert "skipped  settings" in done.stdout


def test_without_python_the_checks_run_in_a_container_and_examine_this_machine(copy: Copy) -> None:
    python = shlex.quote(sys.executable)
    docker = {
        IN_CONTAINER: f"cd services/api && exec {python} -EsB -m tools.doctor --ask-shell",
        IN_IMAGE: f'shift 8; PYTHONPATH={shlex.quote(str(API))} exec {python} "$@"',
        "image inspect flask-api": "true",
        "compose ps --all *": "echo api running unhealthy 0; echo worker running healthy 0",
    }
    settings = {"PASSWORD_MIN_LENGTH": "8", "JWT_ISSUER": "a'b $c"}
    copy.write("docker/db-start.sh", "#!/bin/sh\r\ntrue\r\n")

    in_container = diagnose(copy, docker, compose_reads=settings, PYTHON="/nowhere/python")
    on_host = diagnose(copy, docker, compose_reads=settings)

    words = ("docker/db-start.sh", "api runs, but isn't healthy", "PASSWORD_MIN_LENGTH is below 15")
    assert_problems(in_container, *words)
    assert_problems(on_host, *words)
    assert "note     make run needs Python 3.11 or newer" in in_container.stdout
    assert "ok       Docker Engine 26.1.5" in in_container.stdout
    assert any(f"source={copy.folder}," in call and "readonly" in call for call in copy.calls())


def test_the_container_that_cannot_start(copy: Copy) -> None:
    docker = {IN_CONTAINER: "echo no such image >&2; exit 125"}

    done = diagnose(copy, docker, PYTHON="/nowhere/python")

    assert_problems(done, "can't run in a container")
    assert "no such image" in done.stdout


def test_neither_python_nor_docker(copy: Copy, tmp_path: Path) -> None:
    done = diagnose(copy, PYTHON="/nowhere/python", PATH=without_docker(tmp_path / "tools", *TOOLS))

    assert_problems(done, "Docker doesn't work (not installed)", "no Python 3.11 or newer")


def test_python_without_docker_that_cannot_create_a_venv(copy: Copy, tmp_path: Path) -> None:
    bare = copy.write(
        "bin/bare", f'#!/bin/sh\ncase $2 in *ensurepip* | *pip*) exit 1 ;; esac\nexec {sys.executable} "$@"\n'
    )
    bare.chmod(0o755)

    done = diagnose(copy, PYTHON=str(bare), PATH=without_docker(tmp_path / "tools", *TOOLS))

    assert_problems(done, "Docker isn't installed", "make run needs a virtual environment")


def test_a_checkout_with_windows_line_endings_has_no_other_problem(copy: Copy) -> None:
    for file in [copy.folder / "scripts/doctor", copy.folder / "scripts/venv", *copy.folder.rglob("*.py")]:
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))

    assert_problems(diagnose(copy), "scripts/doctor scripts/venv")


def test_a_clock_behind_the_newest_commit(copy: Copy) -> None:
    later = int(time.time()) + 86_400
    copy.write("bin/git", f"#!/bin/sh\necho {later}\n").chmod(0o755)

    assert_problems(diagnose(copy), "behind the newest commit")


def test_scripts_flask_runs_it_without_the_app(copy: Copy) -> None:
    copy.write("scripts/flask", (REPOSITORY / "scripts/flask").read_text())
    copy.write("services/api/app/__init__.py", "syntax error\n")

    done = copy.run("flask", "doctor", PYTHON=sys.executable)

    assert "ok       line endings" in done.stdout
