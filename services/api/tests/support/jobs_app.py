"""The app with jobs for tests: `flask --app tests.support.jobs_app work`."""

import time
from uuid import UUID

from flask import Flask
from sqlalchemy import update

import app
from app.database import db
from app.model.models import User
from kit.jobs import jobs
from kit.jobs.jobs import job


@job(seconds=1, attempts=50)
def count(id: UUID) -> None:
    """Leave one mark in a user's row, slowly."""
    db.session.execute(update(User).where(User.id == id).values(password_hash=User.password_hash + "!"))
    time.sleep(0.02)


@job(seconds=600)
def nap() -> None:
    """Take longer than a stop may."""
    time.sleep(600)


JOBS = (count, nap)


def create_app() -> Flask:
    with_job = app.create_app()
    jobs.init_app(with_job, JOBS)
    return with_job
