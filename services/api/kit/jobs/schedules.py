"""When a scheduled job is due. All times are in UTC."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

from cronsim import CronSim


class Schedule(Protocol):
    def next_after(self, time: datetime) -> datetime: ...


class every(NamedTuple):  # noqa: N801
    """Once per period, at its multiples since 1970: every(timedelta(minutes=5)) is due at :00, :05, ..."""

    period: timedelta

    def next_after(self, time: datetime) -> datetime:
        if self.period < timedelta(seconds=1):
            raise ValueError("A period lasts at least a second.")
        start = datetime(1970, 1, 1, tzinfo=UTC)
        return start + ((time - start) // self.period + 1) * self.period


class cron(NamedTuple):  # noqa: N801
    """At the times of a cron expression, such as `30 4 * * sun`. See `man 5 crontab`."""

    expression: str

    def next_after(self, time: datetime) -> datetime:
        following: datetime | None = next(CronSim(self.expression, time.astimezone(UTC)), None)
        if following is None:
            raise ValueError(f"The cron expression {self.expression!r} names no time.")
        return following


def daily_at(time: str) -> cron:
    """Once a day, at a time such as `03:30`."""
    hour, minute = map(int, time.split(":"))
    return cron(f"{minute} {hour} * * *")
