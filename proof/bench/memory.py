"""Measure the memory of one waitress process after 100,000 and after 200,000 requests."""

import json
import sys
import time

from proof.bench.report import Goal, goals_table, write
from proof.bench.rounds import Subject
from proof.bench.stack import DATABASE, Stack, lines
from proof.bench.statements import ANN

USERS = 1000
REQUESTS = 100_000
LOGIN_SECONDS, SECONDS = 4, 20  # per round: logins, whose hashes need 19 MB each for a moment, then reads
LONGEST = 400  # the maximum seconds: a slow machine sends fewer requests
READ = Subject("GET /account", "api", "/account", "token", "tokens")
LOGIN = Subject("POST /auth/login", "api", "/auth/login", "login", "login", connections=4)


def main(project: str) -> None:
    stack = Stack(project)
    stack.up("api", "load")
    stack.fill(DATABASE, USERS)
    stack.write_file("tokens", lines(stack.pairs("api", USERS, USERS)))
    stack.write_file("login", json.dumps(ANN))
    stack.ask("api", "POST", "/auth/register", body=ANN)

    sent, seen = [0], [stack.resident("api")]
    for _ in range(2):
        sent.append(sent[-1] + _ask(stack))
        seen.append(stack.resident("api"))
    goals = [
        Goal(f"Resident after {sent[1]} requests", seen[1], 95, " MB"),
        Goal(f"Growth after {sent[2] - sent[1]} more", (seen[2] / seen[1] - 1) * 100, 1, " %"),
    ]
    rows = [f"| {requests} | {megabytes:.1f} |" for requests, megabytes in zip(sent, seen, strict=True)]
    text = "\n".join(
        [
            "# make -C proof bench-memory: one waitress process\n",
            "| requests | resident MB |",
            "|---:|---:|",
            *rows,
            "",
        ]
    )
    data = {"requests": sent, "resident_mb": seen, "goals": [goal.as_dict() for goal in goals]}
    write("memory", f"{text}\n{goals_table(goals)}", data)


def _ask(stack: Stack) -> int:
    """Send requests until their number or the time is reached. Return their number."""
    sent, end = 0.0, time.monotonic() + LONGEST
    while sent < REQUESTS and time.monotonic() < end:
        for subject, seconds in ((LOGIN, LOGIN_SECONDS), (READ, SECONDS)):
            sent += stack.drive(subject, seconds).rate * seconds
    return round(sent)


if __name__ == "__main__":
    main(sys.argv[1])
