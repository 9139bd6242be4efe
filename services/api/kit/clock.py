"""The app's clock: the one place that asks what time it is."""

from datetime import UTC, datetime


def now() -> datetime:
    """Return the current time, aware and in UTC."""
    return datetime.now(UTC)
