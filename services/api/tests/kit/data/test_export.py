"""Exports are consistent and bounded, and leave the connections as they were."""

from collections.abc import Iterator
from contextlib import closing
from uuid import UUID, uuid4

import pytest
from flask import Flask, g
from sqlalchemy import NullPool, create_engine, delete, insert, text

from app.database import db
from app.model.models import KnownNetwork, User
from kit.clock import now
from kit.data.export import ROWS, export
from kit.errors import CallerGone, Overloaded
from tests.support.people import People, Person


@pytest.fixture(params=["request", "command"])
def ann(request: pytest.FixtureRequest, committed_app: Flask, people_of: People) -> Iterator[Person]:
    """Ann in a request that only reads, and in a command."""
    ann = people_of("ann")
    context = (
        committed_app.test_request_context() if request.param == "request" else committed_app.app_context()
    )
    with context:
        if request.param == "request":
            g.is_read_only = True
        yield ann


@pytest.fixture
def people_of(committed_app: Flask, password_hash: object) -> People:
    return People(committed_app, password_hash)  # type: ignore[arg-type]


def add_networks(person: Person, number: int) -> None:
    """Store rows in a transaction that is committed at once."""
    time = now()
    rows = [
        {"id": uuid4(), "user_id": UUID(person.id), "network": str(uuid4())}
        | {"first_seen_at": time, "last_seen_at": time}
        for _ in range(number)
    ]
    with create_engine(db.engine.url, poolclass=NullPool).begin() as connection:
        connection.execute(insert(KnownNetwork), rows)


def in_use() -> int:
    return sum(engine.pool.checkedout() for engine in db.engines.values())  # type: ignore[attr-defined]


def isolation_level() -> str:
    level = db.session.connection().get_isolation_level()
    db.session.remove()
    return level


def test_an_export_shows_all_rows_as_they_were_at_one_moment(ann: Person) -> None:
    with closing(export(User, UUID(ann.id))) as parts:
        first = next(parts)
        add_networks(ann, ROWS)
        with create_engine(db.engine.url, poolclass=NullPool).begin() as connection:
            connection.execute(delete(User).where(User.id == UUID(ann.id)))

        exported = b"".join([first, *parts]).decode()

    assert exported.count('"parent_id"') == 2
    assert exported.count('"last_seen_at"') == 1


def test_an_export_returns_its_connection_as_it_was(ann: Person) -> None:
    level = isolation_level()
    b"".join(export(User, UUID(ann.id)))
    interrupted = export(User, UUID(ann.id))
    next(interrupted)
    assert in_use() == 1
    interrupted.close()

    assert in_use() == 0
    assert isolation_level() == level


def test_an_export_of_an_account_that_was_deleted_meanwhile_fails_before_its_first_part(ann: Person) -> None:
    with pytest.raises(CallerGone):
        next(export(User, uuid4()))

    assert in_use() == 0


def test_an_export_is_cut_off_after_a_time(ann: Person) -> None:
    parts = export(User, UUID(ann.id), seconds=0)
    next(parts)

    with pytest.raises(TimeoutError):
        next(parts)

    assert in_use() == 0


@pytest.mark.parametrize("ann", ["request"], indirect=True)
def test_exports_use_at_most_a_quarter_of_the_connections(ann: Person) -> None:
    most = 3  # of the 12 that DATABASE_POOL_SIZE allows
    running = [export(User, UUID(ann.id)) for _ in range(most)]
    for parts in running:
        next(parts)

    with pytest.raises(Overloaded):
        next(export(User, UUID(ann.id)))

    running.pop().close()
    assert next(export(User, UUID(ann.id)))
    for parts in running:
        parts.close()


def test_an_export_that_the_database_ended_returns_its_connection(ann: Person) -> None:
    if db.engine.dialect.name == "sqlite":  # part: sqlite
        pytest.skip("SQLite ends no connections")  # part: sqlite
    interrupted = export(User, UUID(ann.id))
    next(interrupted)
    with create_engine(db.engine.url, poolclass=NullPool).begin() as connection:
        others = "datname = current_database() AND state LIKE 'idle in trans%'"
        connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))

    interrupted.close()

    assert in_use() == 0
    assert next(export(User, UUID(ann.id)))
