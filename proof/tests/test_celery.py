"""Jobs that are handed over to Celery, with the code of docs/2-build/jobs.md, on the packages of Debian.

Install them with `apt-get install celery redis-server`. Otherwise, the test is skipped.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest

from proof.documentation.blocks import blocks
from tests.support.waiting import wait_until

REPOSITORY = Path(__file__).parents[2]
PACKAGES = Path("/usr/lib/python3/dist-packages")  # of Debian; last in the path, so that ours take precedence
RUN = f"""
import runpy, sys
sys.path += ['.', '{PACKAGES}']
del sys.argv[0]
runpy.run_module(sys.argv[0], None, '__main__', True)
"""
JOB = """

@job()
def mark(id: UUID) -> None:
    db.session.execute(update(User).where(User.id == id).values(password_hash=User.password_hash + "!"))


JOBS = (*JOBS, mark)
"""
ENQUEUE = """
from app import create_app
from app.database import db
from app.jobs import mark, rename_all
from app.model.models import User
from kit.jobs.jobs import enqueue

with create_app().app_context():
    for number in range(20):
        name = f"ann{number}"
        user = User(username=name, username_key=name, password_hash="-")
        db.session.add(user)
        db.session.flush()
        enqueue(mark, user.id)
    enqueue(rename_all, prefix="old-", limit=1)
    db.session.commit()
    enqueue(mark, user.id)
    db.session.rollback()
"""
MARKS = """
from sqlalchemy import select
from app import create_app
from app.database import db
from app.model.models import User
from kit.jobs.queue import Queue

with create_app().app_context():
    renamed = len(db.session.scalars(select(User).where(User.username.startswith("old-"))).all())
    print(*sorted(db.session.scalars(select(User.password_hash))), renamed, Queue(db.session).depth().waiting)
"""

pytestmark = pytest.mark.skipif(
    not (PACKAGES / "celery").exists() or not shutil.which("redis-server"),
    reason="needs Debian's packages: apt-get install celery redis-server",
)


@pytest.fixture
def api(tmp_path: Path) -> Path:
    """Return a copy of the API with the changes of the documentation, and a job."""
    shutil.copytree(
        REPOSITORY / "services/api", tmp_path / "services/api", ignore=shutil.ignore_patterns("tests")
    )
    for block in blocks("docs/2-build/jobs.md", REPOSITORY):
        block.apply(tmp_path)
    api = tmp_path / "services/api"
    file = api / "app/jobs.py"
    docstring, rest = file.read_text().split("\n\nfrom", 1)
    file.write_text(f"{docstring}\n\nfrom uuid import UUID\nfrom sqlalchemy import update\nfrom{rest}{JOB}")
    return api


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": f"sqlite:///{tmp_path}/jobs_test.db",
        "SECRET_KEY": token_hex(32),
        "CELERY_BROKER": f"redis+socket://{tmp_path}/redis",
        "TMPDIR": str(tmp_path),
    }


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[None]:
    command = ["redis-server", "--port", "0", "--unixsocket", str(tmp_path / "redis"), "--save", ""]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        wait_until((tmp_path / "redis").exists, 10)
        yield
        process.terminate()


def run(api: Path, environment: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "-c", *arguments]
    done = subprocess.run(command, cwd=api, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_committed_jobs_run_in_celery(
    api: Path, environment: dict[str, str], broker: None, tmp_path: Path
) -> None:
    run(api, environment, RUN, "flask", "db", "upgrade")
    run(api, environment, f"import sys; sys.path += ['{PACKAGES}']{ENQUEUE}")
    started = []
    for name, command in {
        "relay": ["flask", "work"],
        "celery": ["celery", "-A", "celery_worker", "worker"],
    }.items():
        with (tmp_path / name).open("w") as output:
            started.append(
                subprocess.Popen(
                    [sys.executable, "-c", RUN, *command],
                    cwd=api, env=environment, stdout=output, stderr=output, start_new_session=True,
                )
            )  # fmt: skip

    def is_done() -> bool:
        return run(api, environment, f"import sys; sys.path += ['{PACKAGES}']{MARKS}") == "-! " * 20 + "1 0"

    try:
        wait_until(is_done, 30)
    except TimeoutError:
        pytest.fail((tmp_path / "relay").read_text() + (tmp_path / "celery").read_text())
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)
    assert (tmp_path / "relay").read_text().count("mark done") == 20
    assert (tmp_path / "celery").read_text().count("Traceback") == 0
