"""The health check of the container. If the API is unhealthy, exits with 1 and prints the reason.

With `--then-live` it checks /health/ready until that has answered 200, and then /health/live. This is for
hosts that replace unhealthy containers: an unavailable database must not make them replace the API.

It runs every few seconds, so it doesn't import the app.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException
from pathlib import Path

TIMEOUT_SECONDS = 4
WAS_READY = Path(os.environ.get("TMPDIR", "/tmp"), "was-ready")  # noqa: S108 # nosec B108 (a container's own)


def main(*arguments: str) -> str | None:
    """Return an error message, or None if the API is healthy."""
    then_live = "--then-live" in arguments
    path = "/health/live" if then_live and WAS_READY.exists() else "/health/ready"
    try:
        status, body = _ask(path)
        if status != 200:
            return f"{path} answered {status}: {body}"
        if then_live:
            WAS_READY.touch()
    except (OSError, HTTPException) as error:
        return f"{path}: {error!r}"
    return None


def _ask(path: str) -> tuple[int, str]:
    api = HTTPConnection("127.0.0.1", int(os.environ.get("PORT") or 5000), timeout=TIMEOUT_SECONDS)
    api.request("GET", path)  # ALLOWED_HOSTS doesn't apply to health checks
    response = api.getresponse()
    return response.status, response.read(1000).decode(errors="replace")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
