"""The jobs of this API. A worker runs them: `flask work`, or a thread beside the server (WORKER=thread).

To add a job, write a function here or in a module of yours, and list it in JOBS. What a job can rely on is in
kit/jobs/jobs.py.
"""

from datetime import timedelta
from uuid import UUID

from app.authentication import lifetimes
from app.config import current
from app.database import db
from app.model import retention
from kit.data.audit import AuditRepository
from kit.jobs.jobs import enqueue, job
from kit.jobs.queue import Queue
from kit.jobs.schedules import every
from kit.storage import stored_files

BLANKED = 5_000  # rows that one statement changes within its time limit


@job(schedule=every(timedelta(hours=1)), seconds=600, attempts=1, priority=1)
def delete_old_rows() -> None:
    """Delete rows that are older than they are kept, in committed steps."""
    kept = lifetimes().retention
    for _ in retention.prune_all(db.session, kept, current().audit_days):
        db.session.commit()
    Queue(db.session).prune_failed(kept)


@job(seconds=600)
def blank_addresses(user_id: UUID) -> None:
    """Blank the addresses of a deleted account in the audit trail, in committed steps."""
    while AuditRepository(db.session).forget(user_id, BLANKED):
        db.session.commit()


def forget_addresses(user_id: UUID) -> None:
    """Blank the addresses of an account that this transaction deletes. If there are many, a job continues."""
    if AuditRepository(db.session).forget(user_id, BLANKED) == BLANKED:
        enqueue(blank_addresses, user_id=user_id)


JOBS = (delete_old_rows, blank_addresses, *stored_files.JOBS)
