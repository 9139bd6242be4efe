"""Runs the next job of the current app in this process."""

from threading import Event

from flask import current_app

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
