"""A copy of the project, to which the documentation's changes are applied one after the other."""

import os
import pty
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest

REPOSITORY = Path(__file__).parents[2]


class Project:
    """The copy, and a shell in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.name = f"flask-api-documentation-{token_hex(4)}"
        self.api = f"http://localhost:{self.port}"

    def type(self, command: str, *, folder: Path | None = None, **environment: str) -> str:
        """Run a command, by default in the project, and return its output. Its failure fails the test."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=folder or self.folder,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-6000:]}"
        return done.stdout

    def type_at_a_terminal(self, command: str, keys: str) -> str:
        """Run a command that asks for something, and answer. Its failure fails the test."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.folder)
            os.execvpe("bash", ["bash", "-c", command], self.environment)
        printed = b""
        for line in keys.splitlines(keepends=True):
            printed += _read_until(terminal, b": ")
            os.write(terminal, line.encode())
        printed += _read_until(terminal, b"")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, printed.decode()
        return printed.decode()

    @property
    def environment(self) -> dict[str, str]:
        """Only the PATH of the shell, and a separate stack on a free port."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "COMPOSE_PROJECT_NAME": self.name,
            "API_PORT": str(self.port),
            **{
                f"GIT_{role}_{field}": "ann@example.com"
                for role in ("AUTHOR", "COMMITTER")
                for field in ("NAME", "EMAIL")
            },
        }


def _read_until(terminal: int, prompt: bytes) -> bytes:
    """Read what a terminal shows up to a prompt, or without one to the program's end."""
    shown = b""
    while not prompt or not shown.endswith(prompt):
        try:
            part = os.read(terminal, 1024)
        except OSError:  # Linux's way to say that the program has closed the terminal
            break
        if not part:
            break
        shown += part
    return shown


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("documentation") / "flask-api"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.check_output(listed, cwd=REPOSITORY, text=True).split("\0"):
        source, target = REPOSITORY / name, folder / name
        if name and source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    (folder / ".venv").symlink_to(REPOSITORY / ".venv")
    if (cache := REPOSITORY / "services/api/.mypy_cache").exists():  # saves most of a minute
        shutil.copytree(cache, folder / "services/api/.mypy_cache")
    project = Project(folder)
    yield project
    project.type(
        "docker compose down --volumes --remove-orphans --timeout 0 >/dev/null 2>&1 || true\n"
        f"docker image ls -q --filter 'reference={project.name}*' | sort -u | xargs -r docker image rm -f"
    )


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
