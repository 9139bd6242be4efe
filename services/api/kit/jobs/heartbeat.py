"""A worker's heartbeat: a file that it keeps locked, with the time until which it counts as alive.

kit/jobs/healthcheck.py reads it. The lock ends with the process, so a killed worker's file doesn't count.
Each worker has its own file, because several may share a machine.
"""

import fcntl
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Self

from kit.jobs.healthcheck import folder

ALIVE_SECONDS = 30  # a worker that has been silent for longer is unhealthy


class Heartbeat:
    """The heartbeat of a worker. If its file can't be written, the worker runs without one."""

    def __init__(self) -> None:
        self.descriptor = -1
        self.file = Path()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.descriptor >= 0:
            self.file.unlink(missing_ok=True)
            os.close(self.descriptor)

    def begin(self) -> None:
        if self.descriptor >= 0:
            return
        with suppress(OSError):
            folder().mkdir(mode=0o700, exist_ok=True)
            self.descriptor, name = tempfile.mkstemp(dir=folder())
            fcntl.flock(self.descriptor, fcntl.LOCK_EX)
            self.file = Path(name)
            self.beat()

    def beat(self, seconds: float = 0) -> None:
        """Count as alive for ALIVE_SECONDS more than the next job may take."""
        if self.descriptor >= 0:
            until = f"{monotonic() + seconds + ALIVE_SECONDS:020.3f}"  # always of one length
            os.pwrite(self.descriptor, until.encode("ascii"), 0)
