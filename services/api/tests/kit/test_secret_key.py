"""The generated SECRET_KEY."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kit.secret_key import make_secret_key
from tests.support.paths import API

SCRIPT = API / "kit" / "secret_key.py"


def make(file: Path) -> subprocess.CompletedProcess[str]:
    """Generate it as compose.yaml does."""
    return subprocess.run([sys.executable, "-I", SCRIPT, file], capture_output=True, text=True, check=False)


def test_only_one_of_many_concurrent_calls_creates_the_key(tmp_path: Path) -> None:
    file = tmp_path / "key"

    with ThreadPoolExecutor(16) as pool:
        keys = set(pool.map(make_secret_key, [file] * 64))

    assert len(keys) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_container_creates_the_key_once_without_printing_it(tmp_path: Path) -> None:
    file = tmp_path / "api" / "key"

    done = [make(file), make(file)]

    assert [(each.returncode, each.stdout, each.stderr) for each in done] == [(0, "", "")] * 2
    assert len(file.read_text()) == 64


def test_a_missing_key_is_explained_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    done = make(tmp_path / "file" / "key")

    assert done.returncode == 1
    assert "Can't create the signing key" in done.stderr
    assert done.stderr.count("\n") == 1
