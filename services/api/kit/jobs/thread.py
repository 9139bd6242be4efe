"""WORKER=thread: a worker in a thread beside the server, for a single small machine.

With several gunicorn processes, each has one. Python can't interrupt a thread: after its time limit, a job
ends only at its next statement on PostgreSQL. Its lease has expired by then, so its changes are rolled back.
"""

import logging
from threading import Thread

from flask import Flask

from kit.jobs.worker import DATABASE_SECONDS, Worker
from kit.serving import lifecycle
from kit.settings import Settings

logger = logging.getLogger("app.jobs")
STOP_SECONDS = 7  # that a running job has after the stop; gunicorn kills its processes after 8


class WorkerThread:
    """Runs jobs until the server stops, and then gives the running job a moment to end."""

    def __init__(self, app: Flask) -> None:
        self.stopping = lifecycle.stopping(app)
        self.worker = Worker(app, self.stopping)
        self.thread = Thread(target=self.worker.run, name="worker", daemon=True)
        self.watcher = Thread(target=self._stop, name="worker-stop", daemon=True)

    def __enter__(self) -> None:
        logger.info("WORKER=thread: this process runs jobs beside requests")
        self.thread.start()
        self.watcher.start()

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.watcher.join(STOP_SECONDS + DATABASE_SECONDS)

    def _stop(self) -> None:
        """Wait for the stop, and then for the running job. The server answers its last requests meanwhile."""
        self.stopping.wait()
        self.thread.join(STOP_SECONDS)
        if self.thread.is_alive():
            self.worker.release_running()


def init_app(app: Flask, settings: Settings) -> None:
    if settings.worker == "thread":
        lifecycle.run_beside_server(app, lambda: WorkerThread(app))
