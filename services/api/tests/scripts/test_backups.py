"""scripts/backup and scripts/restore, with a fake Docker: retention, errors and refusals.

`make -C proof backup-drill` uses a real database.
"""

import os
import stat
from pathlib import Path

import pytest

from tests.support.copies import Copy
from tests.support.paths import REPOSITORY

STACK = {
    "compose config api": "echo name: flask-api",
    "compose ps --quiet --status running *": "echo 0123456789ab",
    "*pg_dump*": "echo a dump",
    "*pg_restore*": "cat",
}
NEWER = "flask-api-20261122T101500Z.dump"


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path, "need-docker", "database", "backup", "restore", docker=STACK)


def backups(copy: Copy) -> list[str]:
    return sorted(path.name for path in (copy.folder / "backups").iterdir())


def test_a_backup_is_readable_only_by_its_owner_and_named_by_its_time(copy: Copy) -> None:
    done = copy.run("backup")

    assert done.returncode == 0, done.stderr
    [backup] = (copy.folder / "backups").iterdir()
    assert backup.read_text() == "a dump\n"
    assert backup.match("flask-api-2???????T??????Z.dump")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert stat.S_IMODE(backup.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "broken",
    [
        {"*pg_dump*": "echo half a; exit 1"},
        {"*pg_dump*": "true"},
        {"*pg_restore*": "cat; echo unexpected end of file >&2; exit 1"},
    ],
    ids=["broken off", "empty", "unreadable"],
)
def test_an_incomplete_backup_leaves_and_deletes_nothing(copy: Copy, broken: dict[str, str]) -> None:
    copy.write(f"backups/{NEWER}")

    done = copy.run("backup", docker=broken, BACKUP_KEEP="1")

    assert done.returncode == 1
    assert "was deleted" in done.stderr
    assert backups(copy) == [NEWER]


def test_the_newest_backups_of_this_project_are_kept(copy: Copy) -> None:
    others = ["flask-api-other-20250101T000000Z.dump", "notes.txt"]
    for name in ("flask-api-20260101T000000Z.dump", "flask-api-20260102T000000Z.dump", *others):
        copy.write(f"backups/{name}")

    done = copy.run("backup", BACKUP_KEEP="2")

    assert done.returncode == 0, done.stderr
    assert "flask-api-20260102T000000Z.dump" in backups(copy)
    assert "flask-api-20260101T000000Z.dump" not in backups(copy)
    assert len(backups(copy)) == 2 + len(others)
    assert set(backups(copy)) > set(others)


@pytest.mark.parametrize("keep", ["0", "x", "-1", "07"])
def test_an_invalid_number_of_backups_is_refused(copy: Copy, keep: str) -> None:
    done = copy.run("backup", BACKUP_KEEP=keep)

    assert (done.returncode, "BACKUP_KEEP" in done.stderr) == (1, True)
    assert not (copy.folder / "backups").exists()


@pytest.mark.parametrize(
    ("docker", "words"),
    [
        (
            {"compose config api": "echo '      DATABASE_URL: postgresql://a:b@host/c'"},
            "an external database",
        ),
        ({"compose ps *": "true"}, "is not running"),
        ({"compose config api": "echo services.api is wrong >&2; exit 15"}, "make doctor"),
    ],
)
def test_a_failed_backup_is_explained(copy: Copy, docker: dict[str, str], words: str) -> None:
    done = copy.run("backup", docker=docker)

    assert done.returncode == 1
    assert words in done.stderr
    assert not (copy.folder / "backups").exists()


@pytest.mark.parametrize(
    ("arguments", "docker", "words"),
    [
        ([], {}, "Which backup?"),
        (["gone.dump"], {}, "No such file: gone.dump"),
        (["scripts"], {}, "Not a file: scripts"),
        (
            ["a.dump"],
            {"compose config api": "echo '      DATABASE_URL: postgresql://a:b@host/c'"},
            "an external database",
        ),
        (["a.dump"], {"*pg_restore*": "exit 1"}, "is not a complete backup"),
        (["empty.dump"], {}, "is not a complete backup"),
        (["a.dump"], {"*psql*": "echo public.alembic_version 1; echo public.users 3"}, "3 public.users"),
    ],
)
def test_a_refused_restore_changes_nothing(
    copy: Copy, arguments: list[str], docker: dict[str, str], words: str
) -> None:
    copy.write("a.dump", "a dump")
    copy.write("empty.dump")

    done = copy.run("restore", *arguments, docker=docker)

    assert done.returncode == 1
    assert words in done.stderr
    assert not [
        call for call in copy.calls() if "--dbname" in call or "stop" in call or "run" in call.split()
    ]


def test_the_scripts_are_executable() -> None:
    for script in (REPOSITORY / "scripts").iterdir():
        sourced = script.name in ("database", "throwaway-stack", "mail-in-development", "throwaway-postgres")
        assert os.access(script, os.X_OK) is not sourced, script.name
