"""The metrics of the jobs."""

from collections.abc import Iterator
from threading import Event

import pytest
from flask import Flask
from sqlalchemy import URL

from app import create_app
from app.database import db
from kit.jobs import jobs
from kit.jobs.jobs import enqueue, job
from kit.jobs.queue import Queue
from kit.jobs.worker import Worker
from tests.kit.serving.test_metrics import sample
from tests.support.settings import NEVER_OPENED, settings_for


@job(attempts=1)
def succeed() -> None:
    """Do nothing."""


@job(attempts=1)
def fail() -> None:
    raise RuntimeError


@pytest.fixture
def measured(committed_app: Flask, database_url: URL) -> Iterator[Flask]:
    assert committed_app  # its tables exist, and are emptied afterwards
    app = create_app(settings_for(database_url, metrics_enabled=True))
    jobs.init_app(app, [succeed, fail])
    with app.app_context():
        yield app
        for engine in db.engines.values():
            engine.dispose()


def scrape(app: Flask) -> str:
    db.session.close()
    return app.test_client().get("/metrics").text


def test_the_queue_is_measured_at_each_scrape(measured: Flask) -> None:
    assert sample(scrape(measured), "jobs_waiting") == 0

    for each in (succeed, fail):
        enqueue(each)
    db.session.commit()
    Worker(measured, Event()).run_next()
    Worker(measured, Event()).run_next()
    Queue(db.session).put("succeed", "{}", priority=0, milliseconds=1000, delay_ms=-60_000)
    db.session.commit()

    text = scrape(measured)
    assert sample(text, "jobs_waiting") == 1
    assert sample(text, "jobs_failed") == 1
    assert 60 <= (sample(text, "jobs_oldest_due_seconds") or 0) < 120
    assert "job_attempts" not in text  # this process runs no jobs


def test_a_scrape_does_not_fail_without_the_database() -> None:
    response = create_app(settings_for(NEVER_OPENED, metrics_enabled=True)).test_client().get("/metrics")

    assert response.status_code == 200
    assert "\njobs_waiting NaN\n" in response.text
    assert "\njobs_oldest_due_seconds NaN\n" in response.text


def test_a_server_that_runs_jobs_counts_attempts(committed_app: Flask, database_url: URL) -> None:
    app = create_app(settings_for(database_url, metrics_enabled=True, worker="thread"))
    text = app.test_client().get("/metrics").text
    assert sample(text, "job_attempts_total", job="delete_old_rows", outcome="failed") == 0
    jobs.init_app(app, [succeed, fail])
    with app.app_context():
        for each in (succeed, fail, succeed):
            enqueue(each)
        db.session.commit()
        for _ in range(3):
            Worker(app, Event()).run_next()
        text = scrape(app)
        for engine in db.engines.values():
            engine.dispose()

    assert sample(text, "job_attempts_total", job="succeed", outcome="done") == 2
    assert sample(text, "job_attempts_total", job="fail", outcome="failed") == 1
