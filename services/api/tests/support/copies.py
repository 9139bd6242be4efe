"""Runs a script in a copy of the repository with a pretended Docker."""

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.support.paths import REPOSITORY


class Copy:
    """A folder with some scripts, and a `docker` that answers as told: pattern of arguments -> shell."""

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
        """Run it with these answers of Docker before the usual ones."""
        answers = [*(docker or {}).items(), *self.docker.items()]  # the first that fits
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
        """What Docker was asked."""
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def reporting(self, report: str) -> dict[str, str]:
        """Return Docker's answer when a script copies the report of its tests."""
        archive = self.folder / "report.tar"
        with tarfile.open(archive, "w") as tar:
            member = tarfile.TarInfo("report")
            member.size = len(report)
            tar.addfile(member, io.BytesIO(report.encode()))
        return {"cp *:/results/report -": f"cat {archive}"}


def path_of(script: str) -> str:
    """Return a script's path in the repository: one without a folder is in scripts/."""
    return script if "/" in script else f"scripts/{script}"


def _quoted(pattern: str) -> str:
    """Fit for `case`: the words as they are, stars as stars."""
    return pattern.replace(" ", "\\ ")


def without_docker(folder: Path, *tools: str) -> str:
    """Return a PATH with these tools, and no Docker."""
    folder.mkdir()
    for tool in tools:
        found = shutil.which(tool)
        if found:
            (folder / tool).symlink_to(found)
    return str(folder)
