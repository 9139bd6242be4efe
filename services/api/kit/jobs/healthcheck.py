"""The health check of the worker's container. If a worker has been silent for too long, exits with 1.

A worker's heartbeat begins when it has read the queue for the first time. From then on, an unavailable
database doesn't make it unhealthy: a new container wouldn't reach the database either.

It runs every few seconds, so it doesn't import the app.
"""

import fcntl
import os
import sys
from pathlib import Path
from time import monotonic


def folder() -> Path:
    """Return the folder with a heartbeat of each worker of this user."""
    return Path(os.environ.get("TMPDIR", "/tmp"), f"workers-{os.getuid()}")  # noqa: S108 # nosec B108 (mode 700)


def main() -> str | None:
    """Return an error message, or None if all workers are alive."""
    try:
        heartbeats = [float(file.read_bytes()) for file in folder().glob("*") if is_locked(file)]
    except (OSError, ValueError) as error:
        return f"The heartbeat can't be read: {error}"
    if not heartbeats:
        return "No worker is running, or it hasn't read the queue yet. Its log has the reason."
    if min(heartbeats) < monotonic():
        return "The worker doesn't answer: its job has exceeded the time limit."
    return None


def is_locked(file: Path) -> bool:
    """Return whether the worker that wrote the file is still running."""
    with file.open("rb") as opened:
        try:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


if __name__ == "__main__":
    sys.exit(main())
