"""Run a script in a copy of the repository with a fake Docker."""

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.support.paths import REPOSITORY


class Copy:
    """A folder with some scripts and a fake `docker`: a dict of argument patterns and shell commands."""

    def __init__(self, folder: Path, *scripts: str, docker: dict[str, str]) -> None:
        self.folder = folder
        self.docker = docker
        for script in scripts:
            path = path_of(script)
            source = REPOSITORY / path
            self.write(path, source.read_text()).chmod(source.stat().st_mode)

    def write(self, path: str, text: str = "") -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, newline="")
        return file

    def run(
        self, script: str, *arguments: str, docker: dict[str, str] | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a script. `docker` takes precedence over the usual commands."""
        answers = [*(docker or {}).items(), *self.docker.items()]  # the first match wins
        cases = [f"{_quoted(pattern)}) {act} ;;" for pattern, act in answers]
        fake = self.write(
            "bin/docker",
            "\n".join(["#!/bin/sh", f'echo "$*" >>{self.folder}/calls', 'case "$*" in', *cases, "esac"]),
        )
        fake.chmod(0o755)
        path = path_of(script)
        text = (self.folder / path).read_text()
        return subprocess.run(
            ["bash", "-c", text, path, *arguments],
            cwd=self.folder,
            env={"PATH": f"{fake.parent}:{os.environ['PATH']}", **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def calls(self) -> list[str]:
        """Return the arguments of each call of Docker."""
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def reporting(self, report: str) -> dict[str, str]:
        """Return the fake command for copying the report out of the test container."""
        archive = self.folder / "report.tar"
        with tarfile.open(archive, "w") as tar:
            member = tarfile.TarInfo("report")
            member.size = len(report)
            tar.addfile(member, io.BytesIO(report.encode()))
        return {"cp *:/results/report -": f"cat {archive}"}


def path_of(script: str) -> str:
    """Return the path of a script. Without a folder, it is in scripts/."""
    return script if "/" in script else f"scripts/{script}"


def _quoted(pattern: str) -> str:
    """Quote a pattern for `case`, but keep its stars."""
    return pattern.replace(" ", "\\ ")


def without_docker(folder: Path, *tools: str) -> str:
    """Return a PATH with these tools, and no Docker."""
    folder.mkdir()
    for tool in tools:
        found = shutil.which(tool)
        if found:
            (folder / tool).symlink_to(found)
    return str(folder)
