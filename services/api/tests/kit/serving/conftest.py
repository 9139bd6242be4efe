"""Servers that a test can stop."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import URL

from tests.support.servers import BY, FLASK_SERVE, Process


@pytest.fixture(scope="session")
def gunicorn_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gunicorn") / "log"


@pytest.fixture(scope="session")
def gunicorn(migrated_app: Flask, gunicorn_log: Path) -> Iterator[str]:
    process = Process(migrated_app.extensions["settings"].database_url, gunicorn_log, **BY["gunicorn"])
    yield process.url
    process.kill()


@pytest.fixture(params=BY)
def url(request: pytest.FixtureRequest, committed_app: Flask) -> str:
    """The address of a running server, for both kinds of server."""
    if request.param == "gunicorn":
        return str(request.getfixturevalue("gunicorn"))
    return str(request.getfixturevalue("live")[0])


@pytest.fixture
def start(committed_app: Flask, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start servers, and stop them after the test."""
    database: URL = committed_app.extensions["settings"].database_url
    started: list[Process] = []

    def start(command: Sequence[str] = FLASK_SERVE, **settings: str) -> Process:
        started.append(Process(database, tmp_path / f"output-{len(started)}", command, **settings))
        return started[-1]

    yield start
    for process in started:
        process.kill()


@pytest.fixture(params=BY)
def process(request: pytest.FixtureRequest, start: Callable[..., Process]) -> Process:
    """A new server for a test that stops it."""
    return start(**BY[request.param])
