"""Fixtures: the running stack, shared with the end-to-end tests, and a browser."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests.e2e.conftest import (
    base_url,
    docker_cleanup,
    docker_compose_file,
    docker_compose_project_name,
    docker_setup,
    http,
    username,
    wait_until_ready,
)

__all__ = [
    "base_url",
    "docker_cleanup",
    "docker_compose_file",
    "docker_compose_project_name",
    "docker_setup",
    "http",
    "username",
]


@pytest.fixture(scope="session")
def mail_url() -> str:
    """Return the URL of the API that sends mail."""
    url = os.environ["API_MAIL_URL"]
    wait_until_ready(url)
    return url


@pytest.fixture
def browser(request: pytest.FixtureRequest) -> Iterator[webdriver.Chrome]:
    """Start a headless Chromium. Save a screenshot in the folder SCREENSHOTS if the test fails."""
    options = webdriver.ChromeOptions()
    options.add_argument("--headless=new")
    options.add_argument("--no-sandbox")  # the container doesn't have the rights to create a sandbox
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # Without a path, Selenium would try to download a driver.
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    failed_before = request.session.testsfailed
    yield driver
    if "SCREENSHOTS" in os.environ and request.session.testsfailed > failed_before:
        driver.save_screenshot(Path(os.environ["SCREENSHOTS"]) / f"{request.node.name}.png")
    driver.quit()
