"""Compare response times with 1,000,000 and with 1,000 users, in interleaved rounds.

The list by parent is compared with 2,500,000 and with 25,000 rows.
"""

import random
import sys
from collections.abc import Callable
from hashlib import md5
from typing import Any
from uuid import UUID

from proof.bench.report import Goal, goals_table, write
from proof.bench.rounds import Round, Subject, interleave
from proof.bench.stack import DATABASE, LARGE_DATABASE, Stack, lines

USERS = {"notes": 1000, "large": 1_000_000}
PARENTS = {"notes": 1000, "large": 100_000}  # users with notes
DATABASES = {"notes": DATABASE, "large": LARGE_DATABASE}
TOKENS_A_USER = 5
ROUNDS, SECONDS = 5, 3
REFRESHES = 20  # sessions per round
GOAL = 1.2
REQUESTS = {
    "GET /account": ("/account", "token", "tokens"),
    "GET /auth/token": ("/auth/token", "token", "tokens"),
    "GET /users/…/notes": ("/users/*/notes", "parent", "parents"),
    "POST /auth/refresh": ("/auth/refresh", "refresh", "refresh"),
}

SUBJECTS = [
    # One connection, because queuing would distort the response times.
    Subject(f"{name}, {users} users", service, *request, connections=1)
    for name, request in REQUESTS.items()
    for service, users in USERS.items()
]


def main(project: str) -> None:
    stack = Stack(project)
    stack.up("db", "load")
    stack.compose("run", "--rm", "migrate")
    stack.sql("postgres", f"CREATE DATABASE {LARGE_DATABASE} TEMPLATE {DATABASE}")
    filled = {service: stack.fill(DATABASES[service], users) for service, users in USERS.items()}
    for service, parents in PARENTS.items():
        stack.fill_notes(DATABASES[service], parents)
    stack.up("notes", "large")
    drive = _driver(stack)
    for subject in SUBJECTS:
        drive(subject, ROUNDS)  # fill the caches
    results = interleave(SUBJECTS, ROUNDS, drive)
    write("scale", *report(results, filled["large"]))


def report(results: dict[str, Round], fill_seconds: float) -> tuple[str, dict[str, Any]]:
    """Return the report as text and as data."""
    goals = [_growth(results, name) for name in REQUESTS]
    rows = [
        "| | p50 ms | p99 ms | requests/s | CPU ms |",
        "|---|---:|---:|---:|---:|",
        *(
            f"| {name} | {it.p50:.2f} | {it.p99:.2f} | {it.rate:.0f} | {it.cpu:.2f} |"
            for name, it in results.items()
        ),
    ]
    sections = [
        f"# make -C proof bench-scale: medians of {ROUNDS} rounds of {SECONDS} s\n",
        *rows,
        f"\n{USERS['large']} users with {USERS['large'] * TOKENS_A_USER} tokens were created in "
        f"{fill_seconds:.0f} s.\n",
        goals_table(goals),
    ]
    data = {
        "results": {name: round._asdict() for name, round in results.items()},
        "fill_seconds": fill_seconds,
        "goals": [goal.as_dict() for goal in goals],
    }
    return "\n".join(sections), data


def _driver(stack: Stack) -> Callable[[Subject, int], Round]:
    """Return a function that drives a subject with tokens of random users, and refreshes each token once."""
    pairs = {service: stack.pairs(service, users, 1000) for service, users in USERS.items()}

    def drive(subject: Subject, number: int) -> Round:
        chosen = pairs[subject.service]
        if subject.kind == "refresh":
            chosen = chosen[number * REFRESHES :][:REFRESHES]
        else:  # refreshing a session ten times revokes its first access token
            chosen = chosen[(ROUNDS + 1) * REFRESHES :]
        if subject.kind == "parent":
            chosen = [(access, _user(PARENTS[subject.service])) for access, _ in chosen]
        stack.write_file(subject.file, lines(chosen))
        return stack.drive(subject, SECONDS)

    return drive


def _user(users: int) -> str:
    """Return the id of a random user of fill.sh."""
    return str(UUID(md5(f"user {random.randint(1, users)}".encode()).hexdigest()))


def _growth(results: dict[str, Round], name: str) -> Goal:
    small, large = (results[f"{name}, {users} users"] for users in USERS.values())
    return Goal(
        f"{name}: time with {USERS['large']} users, compared with {USERS['notes']}",
        large.p50 / small.p50,
        GOAL,
        "x",
    )


if __name__ == "__main__":
    main(sys.argv[1])
