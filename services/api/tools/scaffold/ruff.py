"""Ruff, for the files that the scaffolder writes or edits."""

import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

SORT_IMPORTS = ["check", "--fix", "--exit-zero", "--select", "I"]
REMOVE_IMPORTS = ["check", "--fix", "--select", "F401,I"]
FORMAT = ["format"]


def format_files(folder: Path, paths: Iterable[str]) -> None:
    """Format new files, sort their imports, and remove those that are unused."""
    files = list(paths)
    if not files:  # without a path, Ruff changes the whole folder
        return
    for arguments in (REMOVE_IMPORTS, FORMAT):
        _run(folder, [*arguments, *files])


def formatted(api: Path, texts: Mapping[str, str]) -> dict[str, str]:
    """Return the texts of new files as `format_files` would leave them."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pyproject.toml").write_bytes((api / "pyproject.toml").read_bytes())
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(text.encode())
        format_files(folder, texts)
        return {path: (folder / path).read_bytes().decode() for path in texts}


def tidied(api: Path, path: str, before: str, after: str) -> str:
    """Format an edited file and sort its imports, each only if it was so before the edit."""
    if not path.endswith(".py") or before == after:
        return after
    for arguments in (SORT_IMPORTS, FORMAT):
        command = [*arguments, "--stdin-filename", path, "-"]
        if _run(api, command, before) == before:
            after = _run(api, command, after)
    return after


def _run(folder: Path, arguments: list[str], text: str = "") -> str:
    command = [sys.executable, "-m", "ruff", arguments[0], "--quiet", "--no-cache", *arguments[1:]]
    done = subprocess.run(  # noqa: S603
        command, cwd=folder, input=text.encode(), stdout=subprocess.PIPE, check=True
    )
    return done.stdout.decode()
