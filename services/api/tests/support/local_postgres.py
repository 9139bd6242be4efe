"""Run the tests on a temporary PostgreSQL, created with the programs installed on this machine.

scripts/test loads this plugin if no Docker engine answers. Without these programs, only SQLite is tested.
"""

import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path
from tempfile import mkdtemp

import pytest

# Not on PATH in Debian and Homebrew.
FOLDERS = [*Path("/usr/lib/postgresql").glob("*/bin"), *Path("/opt/homebrew/opt").glob("postgresql*/bin")]


def pytest_configure(config: pytest.Config) -> None:
    is_worker = hasattr(config, "workerinput")  # of xdist
    if is_worker:
        return
    os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], *map(str, FOLDERS)])
    if not shutil.which("initdb") or not shutil.which("pg_ctl"):
        config.get_terminal_writer().line(
            "No PostgreSQL (initdb, pg_ctl) on this machine: running the tests only on SQLite."
        )
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that SIGTERM also removes the database
    folder = Path(mkdtemp(prefix="flask-api-test.", dir="/tmp"))  # the path of a Unix socket has to be short
    config.add_cleanup(lambda: remove(folder))
    os.environ["TEST_DATABASE_URL"] = start(folder)


def start(folder: Path) -> str:
    """Start an empty database in this folder. Return its URL."""
    if user := user_of_postgres():
        shutil.chown(folder, user)
    # The connections need no password, because only their user can open the folder.
    run(folder, "initdb", "-D", "data", "-U", "flask_api", "--auth=trust", "--no-sync")
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    run(folder, "pg_ctl", "start", "-D", "data", "-l", "log", "-w", "-s", "-o", options)
    run(folder, "createdb", "-h", str(folder), "-U", "flask_api", "flask_api_test")
    return f"postgresql://flask_api@/flask_api_test?host={folder}"


def remove(folder: Path) -> None:
    run(folder, "pg_ctl", "stop", "-D", "data", "-m", "immediate", "-s", check=False)
    shutil.rmtree(folder)


def run(folder: Path, *command: str, check: bool = True) -> None:
    subprocess.run(command, cwd=folder, user=user_of_postgres(), stdout=subprocess.DEVNULL, check=check)


def user_of_postgres() -> str | None:
    """Return another user for PostgreSQL if the tests run as root, because it refuses root."""
    if os.getuid() != 0:
        return None
    names = {user.pw_name for user in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"
