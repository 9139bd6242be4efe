"""Take the pictures of the documentation.

PICTURES=1 make -C proof test-clients t=proof/clients/pictures.py
"""

import os
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from proof.clients.test_docs_page import Page
from tests.support.credentials import PASSWORD

LOGIN = "#operations-auth-auth_login"


@pytest.mark.parametrize(
    ("name", "width", "scheme"), [("docs-page", 1280, "light"), ("docs-login", 1280, "light")]
)
def test_a_picture_is_taken(
    browser: Chrome, base_url: str, username: str, name: str, width: int, scheme: str
) -> None:
    page = Page.open(browser, base_url, width, scheme)
    if name == "docs-login":
        credentials = {"username": username, "password": PASSWORD}
        page.try_out("auth", "register", credentials)
        page.click("#operations-auth-auth_register .opblock-summary-control")
        assert page.try_out("auth", "login", credentials) == "200"
        picture = page.find(LOGIN).screenshot_as_png
    else:
        page.find(LOGIN)
        picture = browser.get_screenshot_as_png()

    Path(os.environ["SCREENSHOTS"], f"{name}.png").write_bytes(picture)
