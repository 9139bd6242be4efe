"""`flask work` runs jobs, and `flask job` shows, repeats and deletes them."""

import logging
import signal
from datetime import UTC, datetime
from typing import NoReturn
from uuid import UUID

import click
from flask import Flask, current_app
from flask.cli import AppGroup, with_appcontext

from kit.commands import reports_failures
from kit.data.database import db
from kit.jobs.heartbeat import ALIVE_SECONDS, Heartbeat
from kit.jobs.queue import Queue, QueuedJob
from kit.jobs.worker import AGAIN_SECONDS, SignalledStop, Worker, WorkerStopped
from kit.serving import logs
from kit.settings import Settings, current

logger = logging.getLogger("app.jobs")
STOP_SECONDS = 8  # that a running job has after SIGTERM

jobs = AppGroup("job", help="Jobs: list, show, retry and delete them.")


def init_app(app: Flask) -> None:
    for command in (work, jobs):
        app.cli.add_command(command)


@click.command("work")
@with_appcontext
def work() -> None:
    """Run jobs until SIGTERM or Ctrl-C. The running job has 8 s to end; otherwise it runs again later."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    stopping = stop_by_signal()
    logs.use_standard_output()
    with Heartbeat() as heartbeat:
        if current(Settings).worker == "thread":
            wait_idly(stopping, heartbeat)
        else:
            Worker(app, stopping, heartbeat).run()
            signal.setitimer(signal.ITIMER_REAL, 0)


def stop_by_signal() -> SignalledStop:
    """Stop at SIGTERM and SIGINT, and interrupt the running job 8 s later."""
    stopping = SignalledStop()

    def interrupt(*_: object) -> NoReturn:
        raise WorkerStopped

    def stop(*_: object) -> None:
        if not stopping.is_set():  # some hosts repeat the signal
            stopping.set()
            signal.signal(signal.SIGALRM, interrupt)
            signal.setitimer(signal.ITIMER_REAL, STOP_SECONDS, AGAIN_SECONDS)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return stopping


def wait_idly(stopping: SignalledStop, heartbeat: Heartbeat) -> None:
    """Do nothing, in a container that need not be there. If it ended, its host would start it again."""
    logger.info("WORKER=thread: the server runs the jobs, so this process only waits")
    while not stopping.is_set():
        heartbeat.begin()
        heartbeat.beat()
        stopping.wait(ALIVE_SECONDS / 3)


@jobs.command("list")
@click.option("--failed", is_flag=True, help="List only jobs that have failed for good.")
@click.option("--limit", default=50, show_default=True)
@reports_failures
def list_jobs(failed: bool, limit: int) -> None:
    """List the newest jobs: id, name, state, attempts, time of creation."""
    for each in Queue(db.session).newest(limit, failed_only=failed):
        click.echo(f"{each.id}\t{each.name}\t{state_of(each)}\t{each.attempts}\t{_time(each.created_at)}")


@jobs.command("show")
@click.argument("id", type=click.UUID)
@reports_failures
def show(id: UUID) -> None:
    """Show a job with its arguments and the traceback of its latest attempt."""
    found = Queue(db.session).get(id)
    if found is None:
        raise click.ClickException("No job has this id. Jobs that are done are deleted.")
    click.echo(f"{found.name} {found.arguments}\n{state_of(found)}, {found.attempts} attempts")
    click.echo(found.error or "")


@jobs.command("retry")
@click.argument("id", type=click.UUID, required=False)
@click.option("--all-failed", is_flag=True, help="Retry all failed jobs.")
@click.option("--name", help="Only jobs of this name.")
@reports_failures
def retry(id: UUID | None, all_failed: bool, name: str | None) -> None:
    """Run a failed job again, or all of them."""
    _require_one(id, all_failed)
    _report(Queue(db.session).retry_failed(id, name), "No failed job matches.", "Queued {} again.")


@jobs.command("delete")
@click.argument("id", type=click.UUID, required=False)
@click.option("--all-failed", is_flag=True, help="Delete all failed jobs.")
@click.option("--name", help="Delete all jobs of this name, or with --all-failed the failed ones.")
@reports_failures
def delete(id: UUID | None, all_failed: bool, name: str | None) -> None:
    """Delete a job, or many. If one is running, its changes are rolled back."""
    _require_one(id, all_failed or name)
    _report(Queue(db.session).discard(id, name, failed_only=all_failed), "No job matches.", "Deleted {}.")


def _require_one(id: UUID | None, many: object) -> None:
    if bool(id) == bool(many):
        raise click.UsageError("Pass either the id of a job or an option that chooses many.")


def _report(number: int, if_none: str, message: str) -> None:
    if not number:
        raise click.ClickException(if_none)
    db.session.commit()
    click.echo(message.format(f"{number} job{'s' * (number > 1)}"))


def state_of(job: QueuedJob) -> str:
    return "failed" if job.failed_at else "running" if job.lease else "waiting"


def _time(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
