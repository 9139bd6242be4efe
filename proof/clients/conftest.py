"""The running stack, as the end-to-end tests find it, and a browser to open it in."""

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


@pytest.fixture
def browser(request: pytest.FixtureRequest) -> Iterator[webdriver.Chrome]:
    """A headless Chromium. The folder that SCREENSHOTS names gets a picture of what a failed test saw."""
    options = webdriver.ChromeOptions()
    options.add_argument("--headless=new")
    options.add_argument("--no-sandbox")  # the container is the sandbox, and gives no rights to make another
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    # Named, for without a path Selenium goes looking for drivers on other hosts.
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    failed_before = request.session.testsfailed
    yield driver
    if "SCREENSHOTS" in os.environ and request.session.testsfailed > failed_before:
        driver.save_screenshot(Path(os.environ["SCREENSHOTS"]) / f"{request.node.name}.png")
    driver.quit()
