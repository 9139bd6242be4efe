"""Fixtures: a stack for each server, and a table of measurements at the end of the run."""

import os
import time
from collections.abc import Callable, Iterator

import pytest

from proof.drills.stack import Stack

SERVERS = ("waitress", "gunicorn")
MEASURED = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session", params=SERVERS)
def server_stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    stack = Stack(os.environ["COMPOSE_PROJECT_NAME"], request.param)
    yield stack
    stack.down()


@pytest.fixture
def stack(server_stack: Stack) -> Stack:
    """Return the stack with default settings, healthy."""
    server_stack.up()
    return server_stack


@pytest.fixture(autouse=True)
def _remove_broken_stack(server_stack: Stack) -> Iterator[None]:
    yield
    if not server_stack.is_ready():
        server_stack.down()


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Iterator[Callable[[str], None]]:
    """Return a function that adds a text to the table of measurements."""
    lines: list[str] = []
    begun = time.monotonic()
    yield lines.append
    table = request.config.stash.setdefault(MEASURED, [])
    table.append(f"{request.node.name} ({time.monotonic() - begun:.0f} s): {'; '.join(lines)}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if table := terminalreporter.config.stash.get(MEASURED, []):
        terminalreporter.section("measured")
        for line in table:
            terminalreporter.line(line)
