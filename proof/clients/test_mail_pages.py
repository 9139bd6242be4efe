"""The pages that links in mails lead to, in a real browser, behind a proxy that removes a path prefix."""

import os
import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import httpx
import pytest
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from proof.clients.front import Answer, Front
from proof.clients.test_docs_page import BRIGHTNESS_OF_TEXT, REQUESTED
from tests.support.credentials import PASSWORD
from tests.support.waiting import wait_until

TOKEN = "pVGu6SIlqC3UhhdWQBu6tGm8XqSvtIEXBVCmMjBEgAo"
VERIFY, RESET = "/verify-email", "/reset-password"
NEW_PASSWORD = "another horse, another staple"
LINK = re.compile(r"\shttp://api-mail:5000(/[a-z-]+)(#token=[\w-]+)\s")
HOSTILE = "<img src=x onerror=document.title='broken'>"
FIELD_ERROR = {"pointer": "/password", "code": "too_short", "detail": f"Too short {HOSTILE}"}
# Chromium reports each response with a status from 400 on.
EXPECTED_MESSAGE = "Failed to load resource"


@pytest.fixture
def front(mail_url: str) -> Iterator[Front]:
    with Front.before(mail_url) as front:
        yield front


class LinkPage:
    """The page object of both pages."""

    def __init__(self, browser: Chrome, front: Front) -> None:
        self.browser, self.front = browser, front

    def open(self, path: str, fragment: str = f"#token={TOKEN}") -> "LinkPage":
        self.browser.get(f"{self.front.url}{path}{fragment}")
        return self

    def find(self, selector: str) -> Any:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    @property
    def text(self) -> str:
        return str(self.find("body").text)

    @property
    def result(self) -> str:
        return str(self.find("#result").text)

    @property
    def focused(self) -> str:
        return str(self.browser.switch_to.active_element.get_attribute("id"))

    @property
    def has_form(self) -> bool:
        return bool(self.find("form").is_displayed())

    def confirm(self) -> None:
        self.find("button").click()

    def choose(self, password: str, repeated: str) -> None:
        for name, value in (("password", password), ("repeated", repeated)):
            self.find(f"#{name}").send_keys(Keys.CONTROL, "a")
            self.find(f"#{name}").send_keys(value)
        self.confirm()

    def wait_for(self, text: str) -> None:
        WebDriverWait(self.browser, 20, poll_frequency=0.1).until(
            lambda _: text in self.text, f"{text!r} doesn't appear"
        )

    def console(self) -> list[str]:
        """Return the console's messages, except recommendations such as a field with a username."""
        entries = self.browser.get_log("browser")
        messages = [entry["message"] for entry in entries if entry["level"] != "DEBUG"]
        return [message for message in messages if EXPECTED_MESSAGE not in message]


@pytest.fixture
def page(browser: Chrome, front: Front) -> LinkPage:
    return LinkPage(browser, front)


def test_a_click_confirms_an_address(page: LinkPage, front: Front) -> None:
    front.answers = [Answer(204)]
    page.open(VERIFY)
    assert page.find("button").text == "Confirm this address"

    page.confirm()

    page.wait_for("Your address is confirmed.")
    assert front.posted == [("/auth/email/verify", {"token": TOKEN})]
    assert not page.has_form
    assert page.focused == "result"
    assert page.console() == []


def test_a_new_password_is_sent(page: LinkPage, front: Front) -> None:
    front.answers = [Answer(204)]
    page.open(RESET)

    page.choose(PASSWORD, PASSWORD)

    page.wait_for("Your password was changed, and you are logged out everywhere.")
    assert front.posted == [("/auth/password-reset/confirm", {"token": TOKEN, "password": PASSWORD})]
    assert not page.has_form
    assert page.focused == "result"
    assert page.find("#password").get_attribute("value") == ""
    assert page.console() == []


@pytest.mark.parametrize("path", [VERIFY, RESET])
def test_opening_a_link_sends_nothing_and_hides_the_token(page: LinkPage, front: Front, path: str) -> None:
    page.open(path)

    assert page.has_form
    assert page.browser.current_url == f"{front.url}{path}"
    assert TOKEN not in page.browser.page_source
    assert {line.partition(" ")[0] for line in front.lines} == {"GET"}
    assert TOKEN not in " ".join(front.lines)
    page.browser.back()
    assert TOKEN not in page.browser.current_url


@pytest.mark.parametrize("path", [VERIFY, RESET])
@pytest.mark.parametrize("fragment", ["", "#", "#token=", "#other=x"])
def test_a_page_without_a_token_explains_what_to_do(page: LinkPage, path: str, fragment: str) -> None:
    page.open(path, fragment)

    assert "This page needs the complete link from the message." in page.result
    assert not page.has_form


def test_another_link_can_be_opened_in_the_same_tab(page: LinkPage, front: Front) -> None:
    front.answers = [Answer.problem(400, "link_invalid"), Answer(204)]
    page.open(VERIFY)
    page.confirm()
    page.wait_for("This link can't be used.")

    page.open(VERIFY, "#token=newer")
    WebDriverWait(page.browser, 20).until(lambda _: page.has_form)
    page.confirm()

    page.wait_for("Your address is confirmed.")
    assert [body["token"] for _, body in front.posted] == [TOKEN, "newer"]


FAILURES = [
    (VERIFY, Answer.problem(400, "link_invalid", "x"), "log in and request another message", False),
    (RESET, Answer.problem(400, "link_invalid", "x"), "To change it, request another message", False),
    (VERIFY, Answer.problem(409, "email_taken", "x"), "Another account has already confirmed", False),
    (RESET, Answer.problem(429, "too_many_attempts", "x"), "Too many attempts. Try again in a moment.", True),
    (
        VERIFY,
        Answer(429, b"", {"Retry-After": "40"}),
        "Too many attempts. Try again in 40 seconds.",
        True,
    ),
    (
        RESET,
        Answer(503, b"", {"Retry-After": "1"}),
        "The server is busy. Try again in a second.",
        True,
    ),
    (RESET, Answer(503, b"<h1>down</h1>"), "The server is busy.", True),
    (RESET, Answer(502, b"<h1>down</h1>"), "The server couldn't do this. Try again later.", True),
    (VERIFY, Answer(500, b"null"), "The server couldn't do this. Try again later.", True),
    (VERIFY, Answer(500, b""), "The server couldn't do this. Try again later.", True),
    (VERIFY, Answer(500, b'{"errors": {}}'), "The server couldn't do this. Try again later.", True),
    (VERIFY, Answer(307, b"", {"Location": "/elsewhere"}), "The server can't be reached.", True),
    (VERIFY, Answer.problem(418, "new_problem", HOSTILE), HOSTILE, True),
    (
        VERIFY,
        Answer.problem(422, "validation_failed", errors=[FIELD_ERROR | {"pointer": "/token"}]),
        f"Too short {HOSTILE}",
        True,
    ),
]


@pytest.mark.parametrize(("path", "answer", "shown", "keeps_form"), FAILURES)
def test_a_failure_is_explained(
    page: LinkPage, front: Front, path: str, answer: Answer, shown: str, keeps_form: bool
) -> None:
    front.answers = [answer]
    page.open(path)

    page.choose(PASSWORD, PASSWORD) if path == RESET else page.confirm()

    page.wait_for(shown)
    assert page.has_form == keeps_form
    assert page.browser.switch_to.active_element.tag_name == ("button" if keeps_form else "div")
    assert page.browser.find_elements(By.TAG_NAME, "img") == []
    assert page.browser.title != "broken"
    assert page.console() == []


def test_after_a_failure_the_same_link_can_be_sent_again(page: LinkPage, front: Front) -> None:
    front.answers = [Answer(503, b""), Answer(204)]
    page.open(RESET)
    page.choose(PASSWORD, PASSWORD)
    page.wait_for("The server is busy.")

    page.confirm()

    page.wait_for("Your password was changed")
    assert "The server is busy." not in page.text
    assert front.posted[0] == front.posted[1]


def test_without_a_network_the_form_stays(page: LinkPage, front: Front) -> None:
    page.open(VERIFY)
    page.browser.set_network_conditions(offline=True, latency=0, throughput=-1)

    page.confirm()

    page.wait_for("The server can't be reached. Check your connection, then try again.")
    page.browser.delete_network_conditions()
    front.answers = [Answer(204)]
    page.confirm()
    page.wait_for("Your address is confirmed.")


def test_two_different_passwords_are_not_sent(page: LinkPage, front: Front) -> None:
    page.open(RESET)

    page.choose(PASSWORD, f"{PASSWORD}x")

    page.wait_for("The two passwords are different.")
    assert front.posted == []
    assert page.focused == "repeated"
    assert page.find("#repeated").get_attribute("aria-invalid") == "true"


def test_a_refused_password_is_explained_at_its_field(page: LinkPage, front: Front) -> None:
    front.answers = [Answer.problem(422, "validation_failed", "x", errors=[FIELD_ERROR]), Answer(204)]
    page.open(RESET)

    page.choose("short", "short")

    page.wait_for("Your password wasn't changed. Correct the form and send it again.")
    assert page.find("#password-error").text.endswith(f"Too short {HOSTILE}")
    assert page.focused == "password"
    assert page.find("#password").get_attribute("aria-invalid") == "true"
    page.choose(PASSWORD, PASSWORD)
    page.wait_for("Your password was changed")


def test_a_double_click_sends_one_request(page: LinkPage, front: Front) -> None:
    front.answers = [Answer(204), Answer(204)]
    page.open(VERIFY)

    page.browser.execute_script("const b = document.querySelector('button'); b.click(); b.click()")

    page.wait_for("Your address is confirmed.")
    assert len(front.posted) == 1


def test_the_password_can_be_shown(page: LinkPage) -> None:
    page.open(RESET)

    page.find("#show").click()
    assert [page.find(f"#{name}").get_attribute("type") for name in ("password", "repeated")] == ["text"] * 2

    page.find("#show").click()
    assert page.find("#password").get_attribute("type") == "password"


def test_the_page_works_with_the_keyboard_and_a_screen_reader(page: LinkPage, front: Front) -> None:
    front.answers = [Answer(204)]
    page.open(RESET)
    tab = page.browser.switch_to.active_element.send_keys

    names = []
    for _ in range(4):
        tab(Keys.TAB)
        focused = page.browser.switch_to.active_element
        names.append((focused.aria_role, focused.accessible_name))
        tab = focused.send_keys

    assert names == [
        ("textbox", "New password"),
        ("textbox", "New password again"),
        ("checkbox", "Show the password"),
        ("button", "Change the password"),
    ]
    assert page.find("#result").aria_role == "status"
    page.find("#password").send_keys(PASSWORD)
    page.find("#repeated").send_keys(PASSWORD, Keys.ENTER)
    page.wait_for("Your password was changed")


@pytest.mark.parametrize("path", [VERIFY, RESET])
def test_a_browser_without_javascript_says_so(page: LinkPage, path: str) -> None:
    page.browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})

    page.open(path)

    assert "This page needs JavaScript." in page.text
    assert not page.has_form


@pytest.mark.parametrize("path", [VERIFY, RESET])
@pytest.mark.parametrize("width", [1280, 320])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_page_fits_the_color_scheme_and_width_of_the_browser(
    page: LinkPage, front: Front, path: str, width: int, scheme: str
) -> None:
    screen = {"width": width, "height": 700, "deviceScaleFactor": 1, "mobile": width < 500}
    preference = {"name": "prefers-color-scheme", "value": scheme}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [preference]})

    page.open(path)

    brightness = page.browser.execute_script(BRIGHTNESS_OF_TEXT, page.find("h1"))
    assert (brightness > 128) == (scheme == "dark")
    assert page.browser.execute_script("return document.documentElement.scrollWidth") <= width
    requested = page.browser.execute_script(REQUESTED)
    assert [url for url in requested if not url.startswith((f"{front.url}/", "data:"))] == []
    assert page.console() == []


def link_to(address: str, path: str) -> str:
    """Wait for a mail to this address with a link to a page. Return the link's fragment."""
    found: list[str] = []

    def is_there() -> bool:
        for file in Path(os.environ["MAIL_FOLDER"]).glob(f"*{address}*.eml"):
            message = message_from_bytes(file.read_bytes(), policy=policy.default)
            body = message.get_body(("plain",))
            links = LINK.findall(body.get_content()) if body else []
            found.extend(fragment for to, fragment in links if to == path)
        return bool(found)

    wait_until(is_there, 30)
    return found[-1]


def test_the_links_in_mails_verify_an_address_and_reset_a_password(
    page: LinkPage, mail_url: str, username: str
) -> None:
    address = f"{username}@example.com"
    account = {"username": username, "password": PASSWORD}
    with httpx.Client(base_url=mail_url, timeout=60) as http:
        assert http.post("/auth/register", json=account | {"email": address}).status_code == 201

        page.open(VERIFY, link_to(address, VERIFY)).confirm()
        page.wait_for("Your address is confirmed.")

        tokens = http.post("/auth/login", json=account).json()
        bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
        assert http.get("/account", headers=bearer).json()["email_verified"] is True

        assert http.post("/auth/password-reset", json={"email": address.upper()}).status_code == 202
        fragment = link_to(address, RESET)
        page.open(RESET, fragment).choose("short", "short")
        page.wait_for("Your password wasn't changed.")
        page.choose(NEW_PASSWORD, NEW_PASSWORD)
        page.wait_for("Your password was changed")

        assert http.get("/account", headers=bearer).status_code == 401
        assert http.post("/auth/login", json=account).status_code == 401
        assert http.post("/auth/login", json=account | {"password": NEW_PASSWORD}).status_code == 200
        page.browser.get("about:blank")
        page.open(RESET, fragment).choose(PASSWORD, PASSWORD)
        page.wait_for("This link can't be used.")
