"""Waiting for what comes about by itself."""

import time
from collections.abc import Callable


def wait_until(what: Callable[[], object], seconds: float) -> float:
    """Return after how many seconds it was so. Raises TimeoutError."""
    begun = time.monotonic()
    while not what():
        if time.monotonic() > begun + seconds:
            raise TimeoutError(f"not so within {seconds} s: {what}")
        time.sleep(0.02)
    return time.monotonic() - begun
