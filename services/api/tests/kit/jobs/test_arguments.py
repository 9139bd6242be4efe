"""The arguments of jobs: checked when a job is queued, stored as JSON, and read back unchanged."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any
from unittest.mock import patch
from uuid import UUID, uuid4

import pytest
from flask import Flask
from pydantic import SecretStr

from app.database import db, release
from kit.jobs.jobs import Job, current_job, enqueue, job
from kit.jobs.queue import Queue
from kit.jobs.schedules import cron, daily_at, every
from tests.support.jobs import run_next

received: list[Any] = []


class Color(Enum):
    RED = "red"


@job()
def keep(id: UUID, at: datetime, price: Decimal, color: Color, days: list[date]) -> None:
    received.extend([id, at, price, color, days])


@job()
def greet(name: str, times: int = 1) -> None:
    received.append(current_job())


@job()
def keep_secret(password: SecretStr) -> None: ...


@job()
def keep_anything(value: Any) -> None: ...


@job()
def keep_bytes(value: bytes) -> None: ...


ALL: dict[str, Job[Any]] = {each.name: each for each in (keep, greet, keep_secret, keep_anything, keep_bytes)}


@pytest.fixture
def jobs_app(committed_app: Flask) -> Iterator[Flask]:
    received.clear()
    with patch.dict(committed_app.extensions, jobs=ALL), committed_app.app_context():
        yield committed_app


def test_arguments_keep_their_types(jobs_app: Flask) -> None:
    given = (uuid4(), datetime.now(UTC), Decimal("1.10"), Color.RED, [date(2026, 1, 2)])
    enqueue(keep, *given)
    db.session.commit()

    run_next()

    assert tuple(received) == given


@pytest.mark.parametrize(
    "arguments", [{"name": 1}, {"name": "ann", "times": "2"}, {"name": "\ud800"}, {"name": None}]
)
def test_wrong_arguments_are_refused_when_queued(jobs_app: Flask, arguments: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="greet: "):
        enqueue(greet, **arguments)

    assert Queue(db.session).depth().waiting == 0


def test_the_error_doesnt_contain_the_value(jobs_app: Flask) -> None:
    with pytest.raises(TypeError) as raised:
        enqueue(greet, name="ann", times="secret-value")  # type: ignore[arg-type]

    assert "secret-value" not in str(raised.value)


@pytest.mark.parametrize(
    ("job", "value"), [(keep_secret, SecretStr("x")), (keep_anything, uuid4()), (keep_bytes, b"\xff")]
)
def test_arguments_that_json_would_change_are_refused(jobs_app: Flask, job: Job[Any], value: Any) -> None:
    with pytest.raises(TypeError, match="read again unchanged"):
        enqueue(job, value)


def test_huge_arguments_are_refused(jobs_app: Flask) -> None:
    with pytest.raises(ValueError, match="too large"):
        enqueue(greet, name="x" * 70_000)


def test_a_job_knows_its_id_and_attempt(jobs_app: Flask) -> None:
    id = enqueue(greet, name="ann")
    db.session.commit()

    run_next()

    assert received == [(id, 1)]


def test_a_job_is_only_queued_in_an_app() -> None:
    with pytest.raises(RuntimeError, match="application context"):
        enqueue(greet, name="ann")


def test_a_rolled_back_savepoint_takes_its_jobs_with_it(jobs_app: Flask) -> None:
    enqueue(greet, name="ann")
    savepoint = db.session.begin_nested()
    enqueue(greet, name="bob")
    savepoint.rollback()
    db.session.commit()

    assert [each.arguments for each in Queue(db.session).newest(9)] == ['{"name":"ann"}']
    release()


def needs_arguments(name: str) -> None: ...


def takes_any(*names: str) -> None: ...


def nothing() -> None: ...


@pytest.mark.parametrize(
    ("declare", "error"),
    [
        (lambda: job(schedule=every(timedelta(0)))(nothing), "at least a second"),
        (lambda: job(schedule=cron("0 0 30 2 *"))(nothing), "no time|Bad|day"),
        (lambda: job(schedule=daily_at("25:00"))(nothing), "hour"),
        (lambda: job(schedule=daily_at("03:30"))(needs_arguments), "name"),
        (lambda: job()(takes_any), "names"),
        (lambda: job(priority=7)(nothing), "priority"),  # type: ignore[arg-type]
    ],
)
def test_a_wrong_declaration_stops_the_start(declare: Callable[[], object], error: str) -> None:
    with pytest.raises(Exception, match=error):
        declare()
