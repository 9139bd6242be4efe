"""The benchmark: parsing wrk's output, the table of ratios, the goals, and the proxy for PostgreSQL."""

import io
import json
from pathlib import Path
from struct import pack
from typing import Any

import pytest

from app.database import db
from kit.data.base import Base
from kit.security.hashers import PasswordHash
from proof.bench import notes, report, run, scale, stack, wire
from proof.bench.report import Goal
from proof.bench.rounds import RequestsFailed, Round, Subject, interleave, medians, read
from proof.bench.statements import Recording
from tests.support.people import People
from tests.support.settings import settings_for

WRK = """usage_usec 1000000
Running 3s test @ http://api:5000/account
  1 threads and 8 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    14.59ms    3.04ms  46.33ms   85.61%
  1500 requests in 3.00s, 0.95MB read
{"requests": 1500, "microseconds": 3000000, "p50": 14100, "p99": 31900, "failed": 0}
usage_usec 4000000
"""


def test_a_round_is_read_from_wrk_and_the_cgroup() -> None:
    assert read(WRK) == Round(rate=500, cpu=2, p50=14.1, p99=31.9)


@pytest.mark.parametrize("wrong", ['"failed": 1', '"requests": 0'])
def test_a_round_with_failed_or_no_requests_is_rejected(wrong: str) -> None:
    name = wrong.partition(":")[0]
    right = next(part for part in ('"failed": 0', '"requests": 1500') if part.startswith(name))

    with pytest.raises(RequestsFailed):
        read(WRK.replace(right, wrong))


def test_the_median_of_each_column_is_taken() -> None:
    rounds = [Round(1, 30, 5, 7), Round(2, 10, 6, 9), Round(9, 20, 4, 8)]

    assert medians(rounds) == Round(2, 20, 5, 8)


def test_the_subjects_take_turns() -> None:
    driven = []

    def drive(subject: Subject, number: int) -> Round:
        driven.append((subject.name, number))
        return Round(number, 1, 1, 1)

    results = interleave([Subject("a", "api", "/"), Subject("b", "api", "/")], 3, drive)

    assert driven == [("a", 0), ("b", 0), ("a", 1), ("b", 1), ("a", 2), ("b", 2)]
    assert results["a"].rate == 1


def test_the_table_compares_the_cpu_of_each_with_its_own_floor() -> None:
    results = {"floor": Round(100, 2, 1, 1), "bare": Round(100, 1, 1, 1), "api": Round(100, 3, 1, 1)}

    by_floor = report.table(results, {"api": "floor"})
    by_bare = report.table(results, {"api": "bare"})

    assert "| api | 3.00 | 1.50x |" in by_floor
    assert "| api | 3.00 | 3.00x |" in by_bare


@pytest.mark.parametrize(
    ("goal", "verdict"),
    [
        (Goal("cpu", 1.7, 1.7, "x"), "met"),
        (Goal("cpu", 1.71, 1.7, "x"), "MISSED"),
        (Goal("rate", 1.7, 1.7, "x", at_least=True), "met"),
        (Goal("rate", 1.6, 1.7, "x", at_least=True), "MISSED"),
        (Goal("rate", 1.6, 1.7, "x", at_least=True, is_measurable=False), "not measurable here"),
    ],
)
def test_a_goal_is_met_at_its_bound_and_missed_beyond(goal: Goal, verdict: str) -> None:
    assert goal.verdict == verdict
    assert report.goals_table([goal]).splitlines()[-1].endswith(f"| {verdict} |")


def test_begin_and_commit_are_round_trips_but_not_statements() -> None:
    recording = Recording([0, 0, 0, 0], ["BEGIN", "SELECT 1", "UPDATE users", "COMMIT"])

    assert (recording.statements, recording.transactions, recording.round_trips) == (2, 1, 4)


@pytest.mark.parametrize(
    ("times", "is_open"),
    [([0, 1, 2, 30, 31, 32], False), ([0, 1, 2, 3, 30, 31], True), ([0, 1, 2, 3, 4, 30], True)],
)
def test_a_transaction_open_during_the_longest_pause_is_detected(times: list[float], is_open: bool) -> None:
    recording = Recording(times, ["BEGIN", "SELECT 1", "COMMIT", "BEGIN", "SELECT 2", "COMMIT"])

    assert recording.is_open_at_longest_gap is is_open


def test_the_resource_of_the_benchmark_creates_and_lists_rows(tmp_path: Path) -> None:
    app = notes.create_app(settings_for(f"sqlite:///{tmp_path}/bench_test.db"))
    with app.app_context():
        Base.metadata.create_all(db.engine)
    ann = People(app, PasswordHash("none"))("ann")

    created = [ann.post("/notes", {"body": f"Note {number}"}) for number in range(stack.NOTES_A_USER)]
    page = ann.get("/notes").json
    rest = ann.get(f"/notes?cursor={page['next_cursor']}").json
    of_parent = ann.get(f"/users/{ann.id}/notes").json

    assert {response.status_code for response in created} == {201}
    newest_first = [response.json for response in reversed(created)]
    assert (page["items"], rest["items"]) == (newest_first[:20], newest_first[20:])
    assert of_parent["items"] == page["items"]
    with app.app_context():
        db.engine.dispose()


def test_every_subject_is_compared_with_a_measured_one() -> None:
    names = {subject.name for subject in run.SUBJECTS}

    assert set(run.COMPARED) == names
    assert set(run.COMPARED.values()) <= names


def message(kind: bytes, body: bytes) -> bytes:
    return kind + pack("!I", len(body) + 4) + body


def test_the_proxy_prints_each_round_trip_and_forwards_it_unchanged(
    capsys: pytest.CaptureFixture[Any],
) -> None:
    sent = (
        pack("!II", 8, wire.SSL_REQUEST)
        + pack("!II", 15, 196608)
        + b"user\0a\0"
        + message(b"Q", b"BEGIN\0")
        + message(b"P", b"\0SELECT 1\0\0\0")
        + message(b"B", b"portal\0")
        + message(b"S", b"")
        + message(b"X", b"")
    )
    server = Server()

    wire.forward_requests(io.BytesIO(sent), server)

    assert server.received == sent
    assert [json.loads(line)[1] for line in capsys.readouterr().out.splitlines()] == ["BEGIN", "SELECT 1"]


class Server(io.BytesIO):
    """Keeps the data that was written to it after it is closed."""

    received = b""

    def close(self) -> None:
        self.received = self.getvalue()
        super().close()


def test_many_users_are_compared_with_few() -> None:
    results = {each.name: Round(rate=100, cpu=1, p50=2, p99=3) for each in scale.SUBJECTS}
    results["GET /account, 1000000 users"] = Round(rate=100, cpu=1, p50=5, p99=9)

    text, data = scale.report(results, fill_seconds=240)

    assert "| GET /account, 1000000 users | 5.00 | 9.00 | 100 | 1.00 |" in text
    assert "| GET /account: time with 1000000 users, compared with 1000 | 2.5x | <= 1.2x | MISSED |" in text
    assert [goal["verdict"] for goal in data["goals"]] == ["MISSED", "met", "met", "met"]
