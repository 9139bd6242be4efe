"""Count the SQL statements, transactions and round trips of each kind of request."""

import json
import time
from itertools import pairwise
from typing import Any, NamedTuple

from proof.bench.stack import Stack

ANN = {"username": "ann", "password": "correct horse battery staple"}
BRACKETS = ("BEGIN", "COMMIT", "ROLLBACK")


class Recording(NamedTuple):
    """The round trips of one request to PostgreSQL: their times in seconds, and their SQL."""

    times: list[float]
    sql: list[str]

    @property
    def round_trips(self) -> int:
        return len(self.sql)

    @property
    def statements(self) -> int:
        return sum(not sql.startswith(BRACKETS) for sql in self.sql)

    @property
    def transactions(self) -> int:
        return sum(sql.startswith("BEGIN") for sql in self.sql)

    @property
    def is_open_at_longest_gap(self) -> bool:
        """Return whether a transaction is open during the longest pause between two round trips."""
        gaps = [later - earlier for earlier, later in pairwise(self.times)]
        before = self.sql[: gaps.index(max(gaps)) + 1]
        return not before[-1].startswith(("COMMIT", "ROLLBACK"))


def record(stack: Stack) -> dict[str, Recording]:
    """Send each kind of request twice and record the second, because the first one opens connections."""

    def ask(method: str, path: str, token: str = "", body: object = None) -> Any:
        before = _lines(stack)
        answer = stack.ask("wired", method, path, token, body)
        times, sql = zip(*(_lines(stack)[len(before) :] or [(0.0, "")]), strict=True)
        recordings[f"{method} {path}"] = Recording(list(times), [text for text in sql if text])
        return answer

    recordings: dict[str, Recording] = {}
    ask("POST", "/auth/register", body=ANN | {"username": "bob"})
    ask("POST", "/auth/register", body=ANN)
    for _ in range(2):
        pair = ask("POST", "/auth/login", body=ANN)
        ask("GET", "/account", pair["access_token"])
        ask("GET", "/auth/token", pair["access_token"])
        ask("POST", "/notes", pair["access_token"], {"body": "Buy milk"})
        ask("GET", "/notes", pair["access_token"])
        pair = ask("POST", "/auth/refresh", pair["refresh_token"])
        ask("GET", "/health/ready")
        ask("GET", "/health/live")
        ask("POST", "/auth/logout", pair["access_token"])
    return recordings


def _lines(stack: Stack) -> list[tuple[float, str]]:
    time.sleep(0.3)  # the end of a transaction may follow the response
    return [json.loads(line) for line in stack.printed("wire")]


def table(recordings: dict[str, Recording]) -> str:
    lines = ["| one request | statements | transactions | round trips |", "|---|---:|---:|---:|"]
    lines += [
        f"| {name} | {it.statements} | {it.transactions} | {it.round_trips} |"
        for name, it in recordings.items()
    ]
    return "\n".join(lines)
