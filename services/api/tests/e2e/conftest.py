"""The running stack: the one that API_BASE_URL names, else one that pytest-docker starts and removes."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

REPOSITORY = Path(__file__).parents[4]
PASSWORD = "correct horse battery staple"


@pytest.fixture(scope="session")
def docker_compose_file() -> str:
    return str(REPOSITORY / "compose.test.yaml")


@pytest.fixture(scope="session")
def docker_setup() -> list[str]:
    return [] if "API_BASE_URL" in os.environ else ["up --build --wait api"]


@pytest.fixture(scope="session")
def docker_cleanup() -> list[str]:
    return [] if "API_BASE_URL" in os.environ else ["down --volumes --rmi local"]


@pytest.fixture(scope="session")
def base_url(request: pytest.FixtureRequest) -> str:
    if given := os.environ.get("API_BASE_URL"):
        wait_for(given)  # scripts/test starts the stack beside the other tests
        return given
    services: Any = request.getfixturevalue("docker_services")
    return f"http://127.0.0.1:{services.port_for('api', 5000)}"


def wait_for(url: str, seconds: int = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/health/ready").status_code == 200:
                return
        time.sleep(0.5)
    pytest.fail(f"{url}/health/ready was not answered with 200 in {seconds} seconds: look at the API's log.")


@pytest.fixture
def http(base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, timeout=30) as client:
        yield client


@pytest.fixture
def username() -> str:
    """A name that nobody else has: this database is not emptied between tests."""
    return f"ann-{uuid4().hex[:12]}"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}
