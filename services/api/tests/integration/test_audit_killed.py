"""The audit trail of a server that is killed while it works."""

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Event

import httpx
import pytest
from flask import Flask
from sqlalchemy import func, select

from app.database import db
from app.model.models import Session, User
from kit.data.audit import AuditRow
from kit.security.hashers import PasswordHash
from tests.support import plain_http
from tests.support.credentials import PASSWORD, bearer
from tests.support.people import People
from tests.support.servers import Process
from tests.support.waiting import wait_until

pytestmark = pytest.mark.long
NAMES = ("ann", "bob", "cat", "dan")
SETTINGS = {"LOGIN_LIMIT_SUCCESS": "off", "LOGIN_LIMIT_CLIENT": "off"}


@pytest.fixture
def server(committed_app: Flask, password_hash: PasswordHash, tmp_path: Path) -> Iterator[Process]:
    """A server in its own process, and four accounts without a session."""
    people = People(committed_app, password_hash)
    for name in NAMES:
        people.register(f"{name}-0")
    process = Process(committed_app.extensions["settings"].database_url, tmp_path / "output", **SETTINGS)
    yield process
    process.kill()


def work(url: str, name: str, done: Counter[str], killed: Event) -> None:
    """Log in and rename the account, again and again. Count the renames that were acknowledged."""
    with suppress(httpx.TransportError):
        while not killed.is_set():
            login = {"username": f"{name}-{done[name]}", "password": PASSWORD}
            pair = until_served(partial(plain_http.post, f"{url}/auth/login", json=login)).json()
            change = {"username": f"{name}-{done[name] + 1}", "current_password": PASSWORD}
            access = bearer(pair["access_token"])
            renamed = until_served(partial(plain_http.patch, f"{url}/account", json=change, headers=access))
            assert renamed.status_code == 200, renamed.text
            done[name] += 1


def until_served(send: Callable[[], httpx.Response]) -> httpx.Response:
    """Repeat a request while the server is overloaded. A new login instead would end older sessions."""
    while (response := send()).status_code == 503:
        pass
    return response


@pytest.mark.parametrize("renames", [3, 8, 13])
def test_a_killed_server_leaves_no_change_without_its_row(
    committed_app: Flask, server: Process, renames: int
) -> None:
    done: Counter[str] = Counter()
    killed = Event()
    with ThreadPoolExecutor(len(NAMES)) as pool:
        running = [pool.submit(work, server.url, name, done, killed) for name in NAMES]
        wait_until(lambda: done.total() >= renames, 60)
        server.stop(signal.SIGKILL)
        killed.set()
        for each in running:
            each.result()

    with committed_app.app_context():
        users = {user.username.partition("-")[0]: user for user in db.session.scalars(select(User))}
        for name, user in users.items():
            renamed = int(user.username.partition("-")[2])
            sessions = db.session.scalar(select(func.count()).where(Session.user_id == user.id))
            own = select(AuditRow.event).where(AuditRow.user_id == user.id)
            rows = Counter(db.session.scalars(own))
            assert rows["logged_in"] == sessions
            assert rows["username_changed"] == renamed
            assert done[name] <= renamed <= done[name] + 1
