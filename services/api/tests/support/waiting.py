"""Wait for a condition."""

import time
from collections.abc import Callable


def wait_until(condition: Callable[[], object], seconds: float) -> float:
    """Return the seconds until the condition was true. Raises TimeoutError."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() > begun + seconds:
            raise TimeoutError(f"Not true within {seconds} s: {condition}")
        time.sleep(0.02)
    return time.monotonic() - begun
