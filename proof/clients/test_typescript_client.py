"""The TypeScript client that `make client` writes: compiled, and run against the running stack."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.credentials import PASSWORD
from tests.support.paths import REPOSITORY

# The Dockerfile installs the packages of the client's lock here, because this container has no network.
PACKAGES = Path(os.environ.get("CLIENT_PACKAGES", "/typescript/node_modules"))
COMPILER = ["--strict", "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom,dom.iterable"]


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that has the generated client among its packages."""
    client, packages = tmp_path / "client", tmp_path / "project/node_modules"
    client.mkdir()
    (client / "node_modules").symlink_to(PACKAGES)
    run("scripts/client", str(client), cwd=REPOSITORY)
    packages.mkdir(parents=True)
    (packages / "api-client").symlink_to(client)
    (packages.parent / "package.json").write_text('{"type": "module"}')
    shutil.copy(Path(__file__).with_name("session.ts"), packages.parent)
    return packages.parent


def test_a_typescript_project_uses_the_generated_client(project: Path, base_url: str, username: str) -> None:
    run(str(PACKAGES / ".bin/tsc"), *COMPILER, "session.ts", cwd=project)

    output = run("node", "session.js", base_url, username, PASSWORD, cwd=project)

    assert json.loads(output) == {
        "registered": username,
        "account": username,
        "tokens": 4,
        "requests": 2,
        "data": None,
        "wrongPassword": "invalid_credentials",
        "forbidden": [403, "forbidden"],
        "query": "limit=3&genre__in=novel%2C%22a%2C+%22%22b%22%22%22&total=true",
        "unused": 2,
    }
