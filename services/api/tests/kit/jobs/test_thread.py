"""WORKER=thread: jobs run beside the server."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
from flask import Flask
from sqlalchemy import URL, select, text

from app.database import db, release
from app.jobs import delete_old_rows
from kit.jobs.jobs import enqueue, job
from kit.jobs.queue import Queue, QueuedJob
from kit.jobs.worker import Worker
from tests.support.jobs_app import nap
from tests.support.servers import BY, FLASK_SERVE, GUNICORN, Process
from tests.support.waiting import wait_until

CONFIGURATION = ("--config", "gunicorn.conf.py")
WITH_NAP = {
    "waitress": ("flask", "--app", "tests.support.jobs_app", "serve"),
    "gunicorn": (*GUNICORN, *CONFIGURATION, "tests.support.jobs_app:create_app()"),
}


@pytest.fixture
def start(database_url: URL, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start(command: tuple[str, ...], **settings: str) -> Process:
        output = tmp_path / f"output-{len(started)}"
        started.append(Process(database_url, output, command, WORKER="thread", **settings))
        return started[-1]

    yield start
    for process in started:
        process.kill()


def waiting() -> float:
    found = Queue(db.session).depth().waiting
    release()
    return found


def queued() -> QueuedJob:
    found = db.session.scalars(select(QueuedJob)).one()
    release()
    return found


@pytest.mark.long
@pytest.mark.parametrize("kind", BY)
def test_the_server_runs_jobs(committed_app: Flask, start: Callable[..., Process], kind: str) -> None:
    process = start(FLASK_SERVE, **BY[kind])
    with committed_app.app_context():
        enqueue(delete_old_rows)
        db.session.commit()

        wait_until(lambda: waiting() == 0, 60)

    begun = time.monotonic()
    code, output = process.stop()
    assert code == 0
    assert time.monotonic() - begun < 20
    assert "delete_old_rows done" in output
    assert "Traceback" not in output


@pytest.mark.long
@pytest.mark.parametrize("kind", BY)
def test_a_stopping_server_releases_a_job_that_does_not_end(
    jobs_app_here: Flask, start: Callable[..., Process], kind: str
) -> None:
    process = start(WITH_NAP[kind])
    enqueue(nap)
    db.session.commit()
    wait_until(lambda: queued().lease, 60)

    begun = time.monotonic()
    code, output = process.stop()

    assert code == 0
    assert time.monotonic() - begun < 30
    assert (queued().lease, queued().attempts) == (None, 0)
    assert "nap interrupted by the shutdown" in output


def test_without_the_setting_the_server_runs_no_jobs(committed_app: Flask) -> None:
    assert committed_app.extensions["beside_server"] == []


@job(seconds=1)
def query_for_a_minute() -> None:
    db.session.execute(text("SELECT pg_sleep(60)"))


def test_a_slow_query_of_a_job_in_a_thread_ends(committed_app: Flask) -> None:
    if committed_app.extensions["settings"].database_url.drivername == "sqlite":  # part: sqlite
        pytest.skip("SQLite has no time limits for statements")  # part: sqlite
    worker = Worker(committed_app, Event())
    worker.jobs = {"query_for_a_minute": query_for_a_minute}
    worker.looked_at_schedules = time.monotonic()
    with committed_app.app_context():
        Queue(db.session).put("query_for_a_minute", "{}", priority=0, milliseconds=1000)
        db.session.commit()

        thread = Thread(target=worker.run_next)
        begun = time.monotonic()
        thread.start()
        thread.join(50)

        assert time.monotonic() - begun < 40
        assert "statement timeout" in str(queued().error)
