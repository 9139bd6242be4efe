"""What a container's health check runs: is the API beside it healthy? Exit status 1 and a line why, if not.

`--then-live` asks /health/ready until that has answered 200, and from then on /health/live: for hosts that
replace what is unhealthy. There a database that is away shall not cost the replicas too.

It runs every few seconds, so it imports nothing of the app.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException
from pathlib import Path

TIMEOUT_SECONDS = 4
WAS_READY = Path(os.environ.get("TMPDIR", "/tmp"), "was-ready")  # noqa: S108 # nosec B108 (a container's own)


def main(*arguments: str) -> str | None:
    """Return what is wrong."""
    then_live = "--then-live" in arguments
    path = "/health/live" if then_live and WAS_READY.exists() else "/health/ready"
    try:
        status, body = _ask(path)
        if status != 200:
            return f"{path} was answered with {status}: {body}"
        if then_live:
            WAS_READY.touch()
    except (OSError, HTTPException) as error:
        return f"{path}: {error!r}"
    return None


def _ask(path: str) -> tuple[int, str]:
    name = os.environ.get("ALLOWED_HOSTS", "").split(",")[0].strip()
    api = HTTPConnection("127.0.0.1", int(os.environ.get("PORT") or 5000), timeout=TIMEOUT_SECONDS)
    api.request("GET", path, headers={"Host": name or "127.0.0.1"})
    response = api.getresponse()
    return response.status, response.read(1000).decode(errors="replace")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
