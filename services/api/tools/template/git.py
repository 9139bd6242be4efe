"""Calls of git."""

import os
import subprocess
from pathlib import Path

AUTHOR = {
    f"GIT_{role}_{part}": value
    for role in ("AUTHOR", "COMMITTER")
    for part, value in (("NAME", "template"), ("EMAIL", "template@localhost"))
}


class Refused(Exception):
    """An error with its remedy. No file has been changed."""


def git(folder: Path, *arguments: str, **environment: str) -> str:
    """Return the output of git in a folder. Raises Refused with its message."""
    done = run(folder, *arguments, **environment)
    if done.returncode:
        raise Refused(f"git {arguments[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        ["git", *arguments],  # noqa: S607
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def tracked(folder: Path) -> list[str]:
    return [name for name in git(folder, "ls-files", "-z").split("\0") if name]


def require_clean(folder: Path) -> None:
    if run(folder, "rev-parse", "--verify", "HEAD").returncode:
        raise Refused("This folder isn't a Git repository with a commit. Run git init, and commit all files.")
    if git(folder, "status", "--porcelain"):
        raise Refused("Commit or stash your changes first, so that you can review and undo these.")
