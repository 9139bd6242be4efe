"""Take the pictures of the documentation.

PICTURES=1 make -C proof test-clients t=proof/clients/pictures.py
"""

import os
from base64 import b64decode
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from proof.clients.test_docs_page import Page
from tests.support.credentials import PASSWORD

LOGIN = "#operations-auth-auth_login"
PLACE = """
    const {x, y, width, height} = document.querySelector(arguments[0]).getBoundingClientRect()
    return {x: x + scrollX, y: y + scrollY, width, height: Math.min(height, 1400), scale: 1}
"""


@pytest.mark.parametrize("name", ["docs-page", "docs-login"])
def test_a_picture_is_taken(browser: Chrome, base_url: str, username: str, name: str) -> None:
    page = Page.open(browser, base_url, 1280, "light")
    page.find(LOGIN)
    options: dict[str, object] = {"format": "png"}
    if name == "docs-login":
        credentials = {"username": username, "password": PASSWORD}
        page.try_out("auth", "register", credentials)
        page.click("#operations-auth-auth_register .opblock-summary-control")
        assert page.try_out("auth", "login", credentials) == "200"
        options |= {"captureBeyondViewport": True, "clip": browser.execute_script(PLACE, LOGIN)}

    picture = browser.execute_cdp_cmd("Page.captureScreenshot", options)["data"]

    Path(os.environ["SCREENSHOTS"], f"{name}.png").write_bytes(b64decode(picture))
