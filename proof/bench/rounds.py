"""Measure the subjects in interleaved rounds, and take the medians."""

import json
import re
from collections.abc import Callable, Iterable
from statistics import median
from typing import NamedTuple


class Subject(NamedTuple):
    """A service and the request to send to it. requests.lua explains `kind` and `file`."""

    name: str
    service: str
    path: str
    kind: str = "get"
    file: str = "none"
    connections: int = 8


class Round(NamedTuple):
    """The measurements of one round of load, or the medians of several rounds."""

    rate: float  # requests per second
    cpu: float  # milliseconds of the service's CPU time per request
    p50: float  # milliseconds
    p99: float


class RequestsFailed(Exception):
    """Some requests failed, so the measurement is invalid."""


def read(output: str) -> Round:
    """Parse the output of wrk between the two CPU times. Raises RequestsFailed."""
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
    """Drive the subjects in turn, so that other load on the machine affects all of them equally."""
    seen: dict[str, list[Round]] = {subject.name: [] for subject in subjects}
    for number in range(rounds):
        for subject in subjects:
            seen[subject.name].append(drive(subject, number))
    return {name: medians(rounds) for name, rounds in seen.items()}


def medians(rounds: list[Round]) -> Round:
    return Round(*(median(values) for values in zip(*rounds, strict=True)))
