"""The example of docs/2-build/browser-front-ends.md in a real browser, and pages of other origins."""

import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.support.wait import WebDriverWait

from proof.clients.site import Site
from proof.documentation.blocks import blocks
from tests.e2e.conftest import wait_until_ready
from tests.support.credentials import PASSWORD
from tests.support.paths import REPOSITORY
from tests.support.waiting import wait_until

NAME = "__Host-refresh_token"
# Chromium resolves every name that ends with localhost to this machine, and treats it like HTTPS.
OWN, SIBLING, OTHER = "app.site.localhost", "evil.site.localhost", "evil.localhost"


@pytest.fixture(scope="session")
def cookies_url() -> str:
    """Return the URL of the API with BROWSER_COOKIES=on."""
    url = os.environ["API_COOKIES_URL"]
    wait_until_ready(url)
    return url


@pytest.fixture
def site(cookies_url: str) -> Iterator[Site]:
    [example] = [
        each for each in blocks("docs/2-build/browser-front-ends.md", REPOSITORY) if each.language == "js"
    ]
    with Site.before(cookies_url, example.text) as site:
        yield site


@pytest.fixture
def registered(cookies_url: str, username: str) -> str:
    account = {"username": username, "password": PASSWORD}
    assert httpx.post(f"{cookies_url}/auth/register", json=account, timeout=60).status_code == 201
    return username


class FrontEnd:
    """The page object of the front end."""

    def __init__(self, browser: Chrome, site: Site, host: str = OWN) -> None:
        self.browser, self.site, self.host = browser, site, host

    def open(self) -> "FrontEnd":
        self.browser.get(f"{self.site.url(self.host)}/page")
        WebDriverWait(self.browser, 20).until(
            lambda browser: browser.execute_script("return !!window.session")
        )
        return self

    def call(self, script: str, *arguments: object) -> Any:
        """Return what a call of the example resolves to, or the text of its error."""
        return self.browser.execute_async_script(
            "const [given, done] = [[...arguments].slice(0, -1), [...arguments].at(-1)];"
            f"(async () => {{ {script} }})().then(done, (error) => done(String(error)));",
            *arguments,
        )

    def log_in(self, username: str) -> Any:
        return self.call("return session.logIn(given[0], given[1])", username, PASSWORD)

    def refresh(self) -> Any:
        return self.call("return session.refresh()")

    def status(self, path: str = "/account") -> Any:
        return self.call("return (await session.api(given[0])).status", path)

    def cookie(self) -> Any:
        return self.browser.get_cookie(NAME)


@pytest.fixture
def page(browser: Chrome, site: Site) -> FrontEnd:
    return FrontEnd(browser, site).open()


REVOKE_ACCESS_TOKEN = """
    const { items } = await (await session.api("/auth/token")).json();
    const { id } = items.find((token) => token.current);
    const headers = { "Content-Type": "application/json" };
    const body = '{"revoke": true}';
    return (await session.api(`/auth/token/${id}`, { method: "PUT", headers, body })).status;
"""


@pytest.mark.parametrize("host", [OWN, "localhost"])
def test_the_documented_page_stays_logged_in_until_it_logs_out(
    browser: Chrome, site: Site, registered: str, host: str
) -> None:
    page = FrontEnd(browser, site, host).open()
    assert page.refresh() is False
    assert page.call("return session.logIn(given[0], 'wrong')", registered) is False
    assert page.log_in(registered) is True
    assert page.status() == 200

    cookie = page.cookie()
    assert cookie is not None
    assert (cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (True, True, "Strict")
    assert (cookie["path"], cookie["domain"]) == ("/", host)
    assert browser.execute_script("return document.cookie") == ""
    assert browser.execute_script("return localStorage.length + sessionStorage.length") == 0

    page.open()
    assert page.refresh() is True
    assert page.status() == 200
    assert page.cookie() != cookie

    page.open()
    assert page.status() == 200  # without a call of refresh

    page.call("return session.logOut()")
    assert page.cookie() is None
    assert page.status() == 401
    assert page.open().refresh() is False


def test_requests_that_fail_at_once_share_one_refresh(page: FrontEnd, site: Site, registered: str) -> None:
    page.log_in(registered)
    assert page.call(REVOKE_ACCESS_TOKEN) == 200
    site.requests.clear()

    script = (
        "return Promise.all(Array.from({ length: 10 }, () => session.api('/account').then((r) => r.status)))"
    )

    assert page.call(script) == [200] * 10
    assert site.lines().count("POST /auth/refresh") == 1


def test_two_tabs_refresh_without_reusing_a_token(page: FrontEnd, site: Site, registered: str) -> None:
    browser = page.browser
    page.log_in(registered)
    first = browser.current_window_handle
    browser.switch_to.new_window("tab")
    page.open()
    second = browser.current_window_handle
    site.requests.clear()

    # Each tab starts ten refreshes and doesn't wait for them.
    start = (
        "window.results = Promise.all(Array.from({ length: 10 }, async () => {"
        " for (;;) { if (await session.refresh(undefined)) return true; } }));"
    )
    for tab in (first, second):
        browser.switch_to.window(tab)
        browser.execute_script(start)
    for tab in (first, second):
        browser.switch_to.window(tab)
        assert page.call("return window.results") == [True] * 10

    refreshes = [request.status for request in site.requests if request.line == "POST /auth/refresh"]
    assert len(refreshes) >= 2
    assert set(refreshes) == {200}


def test_a_new_password_keeps_the_page_logged_in(page: FrontEnd, registered: str) -> None:
    page.log_in(registered)
    before = page.cookie()

    changed = page.call(
        "const headers = { 'Content-Type': 'application/json' };"
        "const password = 'another horse, another staple';"
        "const body = JSON.stringify({ password, current_password: given[0] });"
        "return (await session.api('/account', { method: 'PATCH', headers, body })).json()",
        PASSWORD,
    )

    assert "refresh_token" not in changed["tokens"]
    assert page.cookie() != before
    assert page.status() == 200
    assert page.open().refresh() is True


FETCH = """
    const options = { method: "POST", credentials: "include", mode: given[1] };
    if (given[2]) Object.assign(options, { body: given[2], headers: { "Content-Type": given[3] } });
    return fetch(given[0], options).then((response) => response.type, (error) => error.name);
"""
FORM = """
    const form = document.createElement("form");
    [form.method, form.action, form.enctype] = ["post", arguments[0], arguments[1]];
    document.body.append(form);
    form.submit();
"""
# How the browser must describe the pages of other origins.
PAGES = {SIBLING: "same-site", OTHER: "cross-site", "localhost": "cross-site"}


@pytest.mark.parametrize("path", ["/auth/refresh", "/auth/logout"])
@pytest.mark.parametrize("way", ["no-cors", "cors", "form", "text form"])
@pytest.mark.parametrize("host", PAGES)
def test_a_page_of_another_host_cannot_use_the_cookie(
    page: FrontEnd, site: Site, registered: str, host: str, way: str, path: str
) -> None:
    page.log_in(registered)
    cookie = page.cookie()
    site.requests.clear()
    target = site.url(OWN) + path

    FrontEnd(page.browser, site, host).open()
    if "form" in way:
        enctype = "text/plain" if way == "text form" else "application/x-www-form-urlencoded"
        page.browser.execute_script(FORM, target, enctype)
    else:
        # Without CORS, `Cross-Origin-Resource-Policy` makes the browser hide even the opaque response.
        assert page.call(FETCH, target, way) == "TypeError"

    wait_until(lambda: f"POST {path}" in site.lines(), 20)
    [request] = [each for each in site.requests if each.line == f"POST {path}"]
    assert request.site == PAGES[host]
    # A page of the same site makes the browser send the cookie, and the API refuses it.
    assert request.has_cookie is (PAGES[host] == "same-site")
    assert request.status == (403 if request.has_cookie else 401)
    assert request.cookies == []
    page.open()
    assert page.cookie() == cookie
    assert page.refresh() is True


def test_a_page_of_another_port_cannot_use_the_cookie(
    page: FrontEnd, site: Site, cookies_url: str, registered: str
) -> None:
    page.log_in(registered)
    with Site.before(cookies_url, site.script) as other:
        FrontEnd(page.browser, other).open()
        site.requests.clear()

        assert page.call(FETCH, f"{site.url(OWN)}/auth/refresh", "no-cors") == "TypeError"

    [request] = site.requests
    assert (request.site, request.has_cookie, request.status) == ("same-site", True, 403)
    assert page.open().refresh() is True


@pytest.mark.parametrize("content_type", ["text/plain", "application/json"])
@pytest.mark.parametrize("host", PAGES)
def test_a_page_of_another_host_cannot_log_in_with_a_cookie(
    browser: Chrome, site: Site, registered: str, host: str, content_type: str
) -> None:
    page = FrontEnd(browser, site, host).open()
    body = f'{{"username": "{registered}", "password": "{PASSWORD}", "cookie": true}}'

    page.call(FETCH, f"{site.url(OWN)}/auth/login", "cors", body, content_type)

    [request] = [each for each in site.requests if each.line.endswith("/auth/login")]
    assert (request.line.partition(" ")[0], request.status) in [("POST", 415), ("OPTIONS", 204)]
    assert FrontEnd(browser, site).open().cookie() is None
