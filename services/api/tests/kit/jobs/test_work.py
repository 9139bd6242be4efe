"""`flask work` in processes of its own: killed, and stopped."""

import os
import signal
from collections.abc import Iterator
from functools import partial
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from unittest.mock import patch
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import URL, func, select

from app.database import db, release
from app.model.models import User
from kit.jobs.jobs import enqueue
from kit.jobs.queue import Queue
from tests.support.jobs_app import count
from tests.support.processes import begin
from tests.support.settings import SECRET_KEY
from tests.support.waiting import wait_until

USERS = 5
WORK = ("flask", "--app", "tests.support.jobs_app", "work")


class Workers:
    def __init__(self, database: URL, folder: Path) -> None:
        url = database.render_as_string(hide_password=False)
        self.environment = {"DATABASE_URL": url, "SECRET_KEY": SECRET_KEY, "TMPDIR": str(folder)}
        self.output = folder / "output"
        self.running: list[ForkServerProcess] = []

    def start(self) -> ForkServerProcess:
        process = begin(WORK, self.output, self.environment)
        self.running.append(process)
        return process

    def stop(self, process: ForkServerProcess, number: int) -> int:
        assert process.pid
        os.kill(process.pid, number)
        process.join(timeout=60)
        self.running.remove(process)
        assert process.exitcode is not None
        return process.exitcode


@pytest.fixture
def workers(committed_app: Flask, database_url: URL, tmp_path: Path) -> Iterator[Workers]:
    started = Workers(database_url, tmp_path)
    with patch.dict(committed_app.extensions, jobs={"count": count}), committed_app.app_context():
        yield started
    for process in list(started.running):
        started.stop(process, signal.SIGKILL)


def add_users() -> list[UUID]:
    ids = [uuid4() for _ in range(USERS)]
    for id in ids:
        db.session.add(User(id=id, username=str(id), username_key=str(id), password_hash="-"))
    db.session.commit()
    return ids


def marks() -> int:
    found = db.session.scalar(select(func.sum(func.length(User.password_hash) - 1)))
    release()
    return int(found or 0)


def has_marks(more_than: int) -> bool:
    return marks() > more_than


def depth() -> int:
    found = Queue(db.session).depth().waiting
    release()
    return found


@pytest.mark.long
def test_killed_workers_lose_no_job_and_repeat_no_effect(workers: Workers) -> None:
    for id in add_users() * 20:
        enqueue(count, id)
    db.session.commit()

    for _ in range(2):
        workers.start()
    for killed in range(12):
        wait_until(partial(has_marks, 6 * killed), 60)
        workers.stop(workers.running[0], signal.SIGKILL)
        workers.start()

    wait_until(lambda: depth() == 0, 60)
    assert marks() == USERS * 20


def test_a_stopped_worker_finishes_its_job_and_exits_with_0(workers: Workers) -> None:
    for id in add_users() * 20:
        enqueue(count, id)
    db.session.commit()
    process = workers.start()
    wait_until(lambda: marks() > 0, 60)

    assert workers.stop(process, signal.SIGTERM) == 0
    assert 0 < marks() == USERS * 20 - depth()
    assert "Traceback" not in workers.output.read_text()
