"""Compare the API with the floor in interleaved rounds, and report the goals."""

import json
import os
import sys
from statistics import median

from proof.bench import statements
from proof.bench.report import Goal, goals_table, table, write
from proof.bench.rounds import Round, Subject, interleave
from proof.bench.stack import DATABASE, Pair, Stack, lines

USERS = 1000
ROUNDS, SECONDS = 5, 2
REFRESHES = 100  # sessions per round: a used token can't be sent again
STARTS = 3
LIBRARIES = "flask, flask_jwt_extended, flask_migrate, flask_sqlalchemy, psycopg2, pydantic, waitress"

FLOOR, BARE = "floor: GET /account", "floor: a bare view"
ACCOUNT, LIVE = "waitress: GET /account", "waitress: GET /health/live"
REFRESH, LIST, LOGIN = (
    "waitress: POST /auth/refresh",
    "waitress: GET /auth/token",
    "waitress: POST /auth/login",
)
FLOOR_NOTES, FLOOR_CREATE = "floor: GET /notes", "floor: POST /notes"
NOTES, CREATE = "waitress: GET /notes", "waitress: POST /notes"
ONE, TWO = "gunicorn, 1 process: GET /account", "gunicorn, 2 processes: GET /account"
SUBJECTS = [
    Subject(FLOOR, "floor", "/account", "token", "tokens"),
    Subject(BARE, "floor", "/bare"),
    Subject(ACCOUNT, "api", "/account", "token", "tokens"),
    Subject(LIVE, "api", "/health/live"),
    Subject(LIST, "api", "/auth/token", "token", "tokens"),
    Subject(FLOOR_NOTES, "floor", "/notes", "token", "tokens"),
    Subject(NOTES, "notes", "/notes", "token", "tokens"),
    Subject(FLOOR_CREATE, "floor", "/notes", "create", "tokens"),
    Subject(CREATE, "notes", "/notes", "create", "tokens"),
    Subject(REFRESH, "api", "/auth/refresh", "refresh", "refresh"),
    Subject(LOGIN, "api", "/auth/login", "login", "login", connections=1),
    Subject(ONE, "gunicorn-1", "/account", "token", "tokens"),
    Subject(TWO, "gunicorn-2", "/account", "token", "tokens"),
]
COMPARED = {
    BARE: BARE,
    LIVE: BARE,
    NOTES: FLOOR_NOTES,
    CREATE: FLOOR_CREATE,
    FLOOR_NOTES: FLOOR_NOTES,
    FLOOR_CREATE: FLOOR_CREATE,
} | dict.fromkeys((FLOOR, ACCOUNT, LIST, REFRESH, LOGIN, ONE, TWO), FLOOR)


def main(project: str) -> None:
    stack = Stack(project)
    stack.up("floor", "api", "notes", "gunicorn-1", "gunicorn-2", "wire", "wired", "load")
    stack.fill(DATABASE, USERS)
    stack.fill_notes(DATABASE, USERS)
    pairs = stack.pairs("api", USERS, USERS)
    _require_equal_responses(stack, pairs[0])
    results = _drive(stack, pairs)
    recordings = statements.record(stack)
    memory = {"api": stack.resident("api"), "floor": stack.resident("floor")}
    imports = {
        "api": stack.import_seconds("api", "import app; app.create_app()"),
        "libraries": stack.import_seconds("api", f"import {LIBRARIES}; flask.Flask('empty')"),
        "floor": stack.import_seconds("floor", "import flask, jwt, psycopg2, waitress"),
    }
    starts = _starts(stack)
    size = stack.image_size()

    goals = _goals(results, recordings, imports, size)
    more = [
        f"Imported and created: app {imports['api']:.2f} s, empty app with its libraries "
        f"{imports['libraries']:.2f} s, floor {imports['floor']:.2f} s.",
        f"From the container's start to the first 200: API {starts['live']:.2f} s (live) and "
        f"{starts['ready']:.2f} s (ready), floor {starts['floor']:.2f} s.",
        f"Resident after the load: API {memory['api']:.0f} MB, floor {memory['floor']:.0f} MB.",
    ]
    sections = [
        f"# make -C proof bench: medians of {ROUNDS} rounds of {SECONDS} s, on {os.cpu_count()} CPUs\n",
        table(results, COMPARED),
        "\nCPU is the CPU time per request in the API's container. The ratio compares it with the floor, "
        "and for /health/live with a bare view.\n",
        statements.table(recordings),
        "",
        *(f"- {line}" for line in more),
        "",
        goals_table(goals),
    ]
    data = {
        "results": {name: round._asdict() for name, round in results.items()},
        "compared": COMPARED,
        "sql": {name: it.sql for name, it in recordings.items()},
        "memory_mb": memory,
        "import_seconds": imports,
        "start_seconds": starts,
        "image_mb": size,
        "goals": [goal.as_dict() for goal in goals],
    }
    write("bench", "\n".join(sections), data)


def _require_equal_responses(stack: Stack, pair: Pair) -> None:
    """Check that the floor and the API return the same response."""
    floor, api = (stack.ask(service, "GET", "/account", pair[0]) for service in ("floor", "api"))
    if floor != api:
        raise SystemExit(f"The responses must be equal, but the floor returns {floor} and the API {api}.")
    floor, api = (stack.ask(service, "GET", "/notes", pair[0])["items"] for service in ("floor", "notes"))
    if floor != api or len(api) < 20:
        raise SystemExit(f"The lists must be equal, but the floor returns {floor} and the API {api}.")


def _drive(stack: Stack, pairs: list[Pair]) -> dict[str, Round]:
    carol = statements.ANN | {"username": "carol"}
    stack.ask("api", "POST", "/auth/register", body=carol)
    stack.write_file("login", json.dumps(carol))
    # Refreshing a session ten times revokes its first access token.
    stack.write_file("tokens", lines(pairs[ROUNDS * REFRESHES :]))

    def drive(subject: Subject, number: int) -> Round:
        if subject.kind == "refresh":
            stack.write_file("refresh", lines(pairs[number * REFRESHES :][:REFRESHES]))
        return stack.drive(subject, SECONDS)

    for subject in SUBJECTS:
        if subject.kind != "refresh":
            stack.drive(subject, 1)  # each thread connects, each cache fills
    return interleave(SUBJECTS, ROUNDS, drive)


def _starts(stack: Stack) -> dict[str, float]:
    seen: dict[str, list[float]] = {"floor": [], "live": [], "ready": []}
    for _ in range(STARTS):
        seen["floor"].append(stack.seconds_until("floor", "/bare"))
        seen["live"].append(stack.seconds_until("api", "/health/live"))
        seen["ready"].append(stack.seconds_until("api", "/health/ready"))
    return {name: median(seconds) for name, seconds in seen.items()}


def _goals(
    results: dict[str, Round],
    recordings: dict[str, statements.Recording],
    imports: dict[str, float],
    size: float,
) -> list[Goal]:
    account, notes, create, refresh, login = (
        recordings[it]
        for it in ("GET /account", "GET /notes", "POST /notes", "POST /auth/refresh", "POST /auth/login")
    )
    cpu = (
        ("GET /account, compared with the floor", ACCOUNT, FLOOR, 1.2),
        ("a list of 20 own rows, compared with the floor", NOTES, FLOOR_NOTES, 2.0),
        ("a new row, compared with the floor", CREATE, FLOOR_CREATE, 2.3),
        # 1.7 ms where the floor's GET /account takes 0.61 ms. The floor has no refresh.
        ("POST /auth/refresh, compared with the floor's GET /account", REFRESH, FLOOR, 2.8),
        ("GET /health/live, compared with a bare view", LIVE, BARE, 1.3),
        ("GET /account on one gunicorn process, compared with waitress", ONE, ACCOUNT, 1.15),
    )
    return [
        *(
            Goal(f"CPU of {name}", results[it].cpu / results[floor].cpu, most, "x")
            for name, it, floor, most in cpu
        ),
        Goal("GET /account: statements", account.statements, 1),
        Goal("GET /account: round trips", account.round_trips, 1),
        Goal("GET /notes: statements", notes.statements, 2),
        Goal("POST /notes: statements", create.statements, 2),
        Goal("POST /notes: transactions", create.transactions, 1),
        Goal("POST /auth/refresh: statements", refresh.statements, 4),
        Goal("POST /auth/refresh: transactions", refresh.transactions, 1),
        Goal("POST /auth/login: statements", login.statements, 7),  # one for the audit trail
        Goal("POST /auth/login: transactions", login.transactions, 2),
        Goal("POST /auth/login: transactions open during the hash", login.is_open_at_longest_gap, 0),
        Goal(
            "Time to create the app, compared with an empty app that imports its libraries",
            imports["api"] / imports["libraries"],
            1.6,
            "x",
        ),
        Goal("Size of the image without its base image", size, 85, " MB"),
        # The load generator and the database need their own cores.
        Goal(
            "Requests per second of two gunicorn processes, compared with one",
            results[TWO].rate / results[ONE].rate,
            1.7,
            "x",
            at_least=True,
            is_measurable=(os.cpu_count() or 1) >= 4,
        ),
    ]


if __name__ == "__main__":
    main(sys.argv[1])
