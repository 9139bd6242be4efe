"""What is driven, and what comes of it: rounds, in turn, and the median of each subject's."""

import json
import re
from collections.abc import Callable, Iterable
from statistics import median
from typing import NamedTuple


class Subject(NamedTuple):
    """A service asked for one thing. `kind` and `file` are explained in requests.lua."""

    name: str
    service: str
    path: str
    kind: str = "get"
    file: str = "none"
    connections: int = 8


class Round(NamedTuple):
    """What some seconds of load gave, or the medians of several such rounds."""

    rate: float  # requests a second
    cpu: float  # milliseconds of the service's CPU a request
    p50: float  # milliseconds
    p99: float


class RequestsFailed(Exception):
    """Some requests were not answered well, so what was measured is something else."""


def read(output: str) -> Round:
    """Read what wrk printed between the CPU times before and after. Raises RequestsFailed."""
    before, after = (int(usage) for usage in re.findall(r"^usage_usec (\d+)$", output, re.MULTILINE))
    seen = json.loads(re.findall(r"^\{.*\}$", output, re.MULTILINE)[-1])
    if seen["failed"] or not seen["requests"]:
        raise RequestsFailed(f"{seen['failed']} of {seen['requests']} requests failed")
    return Round(
        rate=seen["requests"] / seen["microseconds"] * 1e6,
        cpu=(after - before) / seen["requests"] / 1000,
        p50=seen["p50"] / 1000,
        p99=seen["p99"] / 1000,
    )


def interleave(
    subjects: Iterable[Subject], rounds: int, drive: Callable[[Subject, int], Round]
) -> dict[str, Round]:
    """Drive each subject in turn, again and again, so that what disturbs the machine disturbs all alike."""
    seen: dict[str, list[Round]] = {subject.name: [] for subject in subjects}
    for number in range(rounds):
        for subject in subjects:
            seen[subject.name].append(drive(subject, number))
    return {name: middle(rounds) for name, rounds in seen.items()}


def middle(rounds: list[Round]) -> Round:
    return Round(*(median(values) for values in zip(*rounds, strict=True)))
