"""Runs jobs in this process."""

from threading import Event

from flask import Flask, current_app

from app.database import db
from kit.jobs.jobs import all_jobs
from kit.jobs.queue import Queue
from kit.jobs.worker import perform


def run_next() -> None:
    jobs = all_jobs(current_app)
    claimed = Queue(db.session).claim(jobs)
    assert claimed
    db.session.commit()
    perform(jobs[claimed.name], claimed, Event())


def run_jobs(app: Flask) -> None:
    """Run the jobs of an app that are due, until none is."""
    with app.app_context():
        jobs = all_jobs(app)
        while claimed := Queue(db.session).claim(jobs):
            db.session.commit()
            perform(jobs[claimed.name], claimed, Event())
