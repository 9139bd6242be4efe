"""Workers in separate processes."""

import os
import signal
from collections.abc import Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from unittest.mock import patch

import pytest
from flask import Flask
from sqlalchemy import URL

from tests.support import jobs_app
from tests.support.processes import begin
from tests.support.settings import SECRET_KEY

WORK = ("flask", "--app", "tests.support.jobs_app", "work")


class Workers:
    def __init__(self, database: URL, folder: Path) -> None:
        url = database.render_as_string(hide_password=False)
        self.environment = {"DATABASE_URL": url, "SECRET_KEY": SECRET_KEY, "TMPDIR": str(folder)}
        self.output = folder / "output"
        self.running: list[ForkServerProcess] = []

    def start(self, **settings: str) -> ForkServerProcess:
        process = begin(WORK, self.output, self.environment | settings)
        self.running.append(process)
        return process

    def stop(self, process: ForkServerProcess, *numbers: int) -> int:
        assert process.pid
        for number in numbers:
            os.kill(process.pid, number)
        process.join(timeout=60)
        self.running.remove(process)
        assert process.exitcode is not None
        return process.exitcode


@pytest.fixture
def jobs_app_here(committed_app: Flask) -> Iterator[Flask]:
    """The app in this process, with the jobs of tests/support/jobs_app.py."""
    jobs = {each.name: each for each in jobs_app.JOBS}
    with patch.dict(committed_app.extensions, jobs=jobs), committed_app.app_context():
        yield committed_app


@pytest.fixture
def workers(jobs_app_here: Flask, database_url: URL, tmp_path: Path) -> Iterator[Workers]:
    started = Workers(database_url, tmp_path)
    yield started
    for process in list(started.running):
        started.stop(process, signal.SIGKILL)
