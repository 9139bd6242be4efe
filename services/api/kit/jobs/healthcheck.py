"""The health check of the worker's container: fails if the worker has been silent for too long.

It runs every few seconds, so it doesn't import the app.
"""

import os
import sys
import time
from pathlib import Path

HEARTBEAT = Path(os.environ.get("TMPDIR", "/tmp"), "worker-is-alive-until")  # noqa: S108 # nosec B108 (a container's own)


def main() -> str | None:
    """Return an error message, or None if the worker is alive."""
    try:
        is_alive = float(HEARTBEAT.read_text(encoding="ascii")) > time.time()
    except (OSError, ValueError) as error:
        return f"The worker hasn't started: {error}"
    return None if is_alive else "The worker doesn't answer: its job has exceeded the time limit."


if __name__ == "__main__":
    sys.exit(main())
