"""Servers that a test can stop."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import URL

from tests.support.servers import BY, FLASK_SERVE, Process


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
