"""The permissions of the containers, and the contents of the image."""

import re

import pytest

from proof.drills.stack import Stack, run
from tests.support.waiting import wait_until

INSIDE = """
import os, pathlib
lines = pathlib.Path("/proc/self/status").read_text().splitlines()
status = dict(line.split(":\\t", 1) for line in lines)
capabilities = [int(status[name], 16) for name in ("CapEff", "CapBnd")]
print(os.getuid(), os.getgid(), *capabilities, status["NoNewPrivs"].strip())
for folder in ("/", "/app", "/venv", "/secrets/api", "/secrets/database", "/etc", "/tmp"):
    try:
        pathlib.Path(folder, "try").touch()
        print("may write", folder)
    except OSError:
        pass
"""
CONTENTS = """
import importlib.metadata, pathlib, shutil
print(*sorted(path.name for path in pathlib.Path("/app").iterdir()))
print(*sorted(package.name.lower() for package in importlib.metadata.distributions()))
print(*[tool for tool in ("pip", "pip3", "gcc", "cc", "make", "git", "curl", "wget") if shutil.which(tool)])
print(*pathlib.Path("/app").rglob("test_*.py"))
"""


@pytest.mark.quick
def test_the_containers_may_do_little(stack: Stack) -> None:
    seen = stack.docker("exec", "api", "python", "-c", INSIDE).splitlines()

    assert seen == ["10001 10001 0 0 1", "may write /tmp"]
    assert (
        stack.inspect("api", "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}")
        != "0 0 0"
    )


# Each statement would work for the role that owns the tables, or for a superuser.
FORBIDDEN = """
import psycopg2
connection = psycopg2.connect(open("/secrets/database/url").read().strip())
connection.autocommit = True
for statement in (
    "COPY users TO PROGRAM 'cat'", "COPY users FROM '/etc/passwd'", "SELECT pg_read_file('/etc/passwd')",
    "CREATE ROLE drill", "CREATE DATABASE drill", "CREATE TABLE drill (id integer)", "TRUNCATE users CASCADE",
    "DROP TABLE users CASCADE", "UPDATE alembic_version SET version_num = 'drill'", "SET ROLE flask_api",
):
    try:
        connection.cursor().execute(statement)
        print("done:", statement)
    except psycopg2.Error as error:
        print(str(error).splitlines()[0])
"""


@pytest.mark.quick
def test_the_api_cannot_act_as_the_owner_of_the_database(stack: Stack) -> None:
    answers = stack.docker("exec", "api", "python", "-c", FORBIDDEN).splitlines()
    secrets = stack.docker("exec", "api", "ls", "/secrets", "/secrets/database").split()
    environment = stack.docker("exec", "api", "env")
    owners_password = stack.docker("exec", "db", "cat", "/secrets/owner/password")

    assert [each for each in answers if not re.match("permission denied|must be ", each)] == []
    assert len(answers) == 10
    assert secrets == ["/secrets:", "api", "database", "/secrets/database:", "api-password", "url"]
    assert owners_password not in environment
    assert owners_password not in stack.docker("exec", "api", "cat", "/secrets/database/url")


# As an earlier version has left it: the owner's password, and no second role.
ONE_ROLE = """
set -e
cd /secrets
mv owner/password database/password
rm owner/url database/api-password
psql -qU flask_api -c 'DROP OWNED BY flask_api_app' -c 'DROP ROLE flask_api_app'
"""


def test_a_volume_with_one_role_is_converted_at_the_next_start(stack: Stack) -> None:
    password = stack.docker("exec", "db", "cat", "/secrets/owner/password")
    stack.docker("exec", "db", "bash", "-c", ONE_ROLE)

    stack.docker("restart", "db")
    wait_until(stack.takes_connections, 30)
    stack.compose("run", "--rm", "--no-deps", "-T", "migrate")
    stack.docker("restart", "api")
    wait_until(stack.is_ready, 60)

    files = stack.docker("exec", "db", "sh", "-c", "cd /secrets && ls owner database").split()
    assert files == ["database:", "api-password", "url", "owner:", "password", "url"]
    assert stack.docker("exec", "db", "cat", "/secrets/owner/password") == password
    assert stack.docker("exec", "db", "cat", "/secrets/database/api-password") != password
    assert stack.sql("SELECT rolsuper FROM pg_roles WHERE rolname = 'flask_api_app'") == ["f"]


@pytest.mark.quick
def test_the_image_holds_what_runs(stack: Stack) -> None:
    seen = stack.docker("exec", "api", "python", "-c", CONTENTS)

    folder, packages, tools, tests = (seen + "\n\n").split("\n")[:4]
    assert folder.split() == ["app", "gunicorn.conf.py", "instance", "kit", "migrations"]
    assert not {"pip", "setuptools", "pytest", "ruff", "mypy", "hypothesis", "debugpy"} & set(
        packages.split()
    )
    assert tools == ""
    assert tests == ""


@pytest.mark.quick
@pytest.mark.parametrize("service", ["api", "db"])
def test_no_program_can_change_its_user(stack: Stack, service: str) -> None:
    find = ("find", stack.inspect(service, "{{.Image}}"), "/", "-xdev", "-type", "f", "-perm", "/6000")

    assert run("docker", "run", "--rm", "--user", "0", "--entrypoint", *find) == ""


def test_the_database_cannot_be_reached_from_outside(stack: Stack) -> None:
    assert stack.inspect("db", "{{json .HostConfig.PortBindings}}") in ("{}", "null")
    assert stack.inspect("db", "{{len .NetworkSettings.Networks}}") == "1"
