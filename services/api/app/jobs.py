"""The jobs of this API. A worker runs them: `flask work`, or a thread beside the server (WORKER=thread).

To add a job, write a function here or in a module of yours, and list it in JOBS. What a job can rely on is in
kit/jobs/jobs.py.
"""

from datetime import timedelta

from app.authentication import lifetimes
from app.database import db
from app.model import retention
from kit.jobs.jobs import job
from kit.jobs.queue import Queue
from kit.jobs.schedules import every


@job(schedule=every(timedelta(hours=1)), seconds=600, attempts=1, priority=1)
def delete_old_rows() -> None:
    """Delete rows that are older than they are kept, in committed steps."""
    kept = lifetimes().retention
    for _ in retention.prune_all(db.session, kept):
        db.session.commit()
    Queue(db.session).prune_failed(kept)


JOBS = (delete_old_rows,)
