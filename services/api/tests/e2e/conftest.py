"""The running stack: the one at API_BASE_URL, or one that pytest-docker starts and removes."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.support.paths import REPOSITORY
from tests.support.waiting import wait_until


@pytest.fixture(scope="session")
def docker_compose_file() -> str:
    return str(REPOSITORY / "compose.test.yaml")


@pytest.fixture(scope="session")
def docker_compose_project_name() -> Iterator[str]:
    name = f"flask-api-test-{os.getpid()}"
    yield name
    # `down --rmi local` leaves images that have a name.
    subprocess.run(["docker", "image", "rm", name, f"{name}-db"], capture_output=True, check=False)


@pytest.fixture(scope="session")
def docker_setup() -> list[str]:
    return [] if "API_BASE_URL" in os.environ else ["up --build --wait api"]


@pytest.fixture(scope="session")
def docker_cleanup() -> list[str]:
    return [] if "API_BASE_URL" in os.environ else ["down --volumes --rmi local"]


@pytest.fixture(scope="session")
def base_url(request: pytest.FixtureRequest) -> str:
    if given := os.environ.get("API_BASE_URL"):
        wait_until_ready(given)
        return given
    services: Any = request.getfixturevalue("docker_services")
    return f"http://127.0.0.1:{services.port_for('api', 5000)}"


def wait_until_ready(url: str, seconds: int = 60) -> None:
    """Wait for the stack, which scripts/test starts in parallel with the other tests."""

    def is_ready() -> bool:
        with suppress(httpx.TransportError):
            return client.get("/health/ready").status_code == 200
        return False

    with httpx.Client(base_url=url, timeout=60) as client:
        try:
            wait_until(is_ready, seconds)
        except TimeoutError:
            pytest.fail(
                f"{url}/health/ready was not answered with 200 in {seconds} seconds: look at the API's log."
            )


@pytest.fixture
def http(base_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=base_url, timeout=60) as client:
        yield client


@pytest.fixture
def username() -> str:
    """A unique name, because this database isn't emptied between tests."""
    return f"ann-{uuid4().hex[:12]}"
