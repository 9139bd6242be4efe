"""The page at /docs in a real browser, with desktop and mobile widths and light and dark color schemes."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.support.credentials import PASSWORD

REQUESTED = """
    const entries = ["navigation", "resource"].flatMap(type => performance.getEntriesByType(type))
    return entries.map(entry => entry.name)
"""
INTO_VIEW = "arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})"
TOP = """
    const [element, done] = arguments
    setTimeout(() => done(element.getBoundingClientRect().top), 50)
"""
BRIGHTNESS_OF_TEXT = """
    const [red, green, blue] = getComputedStyle(arguments[0]).color.match(/[\\d.]+/g).map(Number)
    return (red + green + blue) / 3
"""


@dataclass
class Page:
    """The page object of /docs."""

    browser: Chrome

    @classmethod
    def open(cls, browser: Chrome, base_url: str, width: int, scheme: str) -> "Page":
        screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        preference = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [preference]})
        browser.get(f"{base_url}/docs")
        return cls(browser)

    def find(self, selector: str) -> Any:
        return self._wait(lambda: self.browser.find_element(By.CSS_SELECTOR, selector), f"no {selector}")

    def click(self, selector: str) -> None:
        element = self.find(selector)
        self.browser.execute_script(INTO_VIEW, element)
        self._wait(lambda: self._top(element) == self._top(element), f"{selector} does not stop moving")
        element.click()

    def try_out(self, tag: str, operation: str, body: dict[str, str] | None = None) -> str:
        """Open an operation, fill in the body, execute it, and return the status on the page."""
        block = f"#operations-{tag}-{tag}_{operation}"
        self.click(f"{block} .opblock-summary-control")
        self.click(f"{block} .try-out__btn")
        if body:
            self.find(f"{block} .body-param__text").send_keys(Keys.CONTROL, "a")
            self.browser.execute_cdp_cmd("Input.insertText", {"text": json.dumps(body)})  # typing is slow
        self.click(f"{block} .execute")
        return str(self.find(f"{block} .live-responses-table tbody .response-col_status").text)

    def _top(self, element: Any) -> Any:
        """Return an element's position after a short delay: the page scrolls to an opened operation."""
        return self.browser.execute_async_script(TOP, element)

    def _wait(self, condition: Callable[[], Any], message: str) -> Any:
        return WebDriverWait(self.browser, 20, poll_frequency=0.1).until(lambda _: condition(), message)


@pytest.fixture
def page(browser: Chrome, base_url: str, width: int, scheme: str) -> Page:
    return Page.open(browser, base_url, width, scheme)


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_a_user_registers_logs_in_and_tries_other_operations(
    page: Page, base_url: str, username: str, width: int
) -> None:
    credentials = {"username": username, "password": PASSWORD}

    assert page.try_out("auth", "register", credentials) == "201"
    assert page.try_out("auth", "login", credentials) == "200"
    assert page.try_out("account", "read") == "200"
    assert page.try_out("auth", "refresh") == "200"
    assert page.try_out("auth", "list_tokens") == "200"

    assert (
        username in page.find("#operations-account-account_read .live-responses-table .highlight-code").text
    )
    assert_clean(page, base_url, width)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_the_color_scheme_and_width_of_the_browser(
    page: Page, base_url: str, width: int, scheme: str
) -> None:
    title = page.find(".info .title")

    assert (page.browser.execute_script(BRIGHTNESS_OF_TEXT, title) > 128) == (scheme == "dark")
    assert_clean(page, base_url, width)


def assert_clean(page: Page, base_url: str, width: int) -> None:
    """Check the page: no console messages, no requests to other hosts, no horizontal scrolling.

    Browsers report CSP violations on the console.
    """
    ours = (f"{base_url}/", "data:")

    assert page.browser.get_log("browser") == []
    assert [url for url in page.browser.execute_script(REQUESTED) if not url.startswith(ours)] == []
    assert page.browser.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light")])
def test_an_open_login_fits_on_a_screen_and_a_half(page: Page) -> None:
    page.click("#operations-auth-auth_login .opblock-summary-control")

    page.find("#operations-auth-auth_login .responses-table")
    assert page.find("#operations-auth-auth_login").size["height"] <= 1.5 * 1080
    assert "`" not in page.find("body").text


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light")])
def test_operations_with_mail_are_there_only_if_the_api_sends_mail(page: Page, mail_url: str) -> None:
    page.find("#operations-auth-auth_login")
    assert page.browser.find_elements(By.CSS_SELECTOR, "[id^=operations-email]") == []

    page.browser.get(f"{mail_url}/docs")

    assert page.try_out("email", "request_password_reset", {"email": "unknown@example.com"}) == "202"
    assert_clean(page, mail_url, 1280)
