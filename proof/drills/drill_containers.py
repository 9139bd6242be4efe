"""The permissions of the containers, and the contents of the image."""

import pytest

from proof.drills.stack import Stack

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


def test_the_database_cannot_be_reached_from_outside(stack: Stack) -> None:
    assert stack.inspect("db", "{{json .HostConfig.PortBindings}}") in ("{}", "null")
    assert stack.inspect("db", "{{len .NetworkSettings.Networks}}") == "1"
