"""The clock of the api container jumps, and the database's clock does not."""

import time
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from proof.drills.load import Client, under_load
from proof.drills.stack import Stack
from tests.support.credentials import PASSWORD

Measured = Callable[[str], None]
HOUR, DAY = 3600, 86_400
REFUSED = ("token_expired", "invalid_token", "token_revoked")


@pytest.fixture
def stack_with_adjustable_clock(server_stack: Stack) -> Iterator[Stack]:
    server_stack.up(API_PRELOAD="/tools/clock.so")
    yield server_stack
    set_clock(server_stack, 0)


def set_clock(stack: Stack, seconds: int) -> None:
    """Set the clock of the api container to this offset from the real time."""
    write = f"echo {seconds:+d} >/tmp/clock.new && mv /tmp/clock.new /tmp/clock"
    stack.docker("exec --env LD_PRELOAD=", "api", "sh", "-c", write)


class Person:
    """A user with one session."""

    def __init__(self, stack: Stack) -> None:
        self.client = Client([stack.published()], keeps=False)
        body = {"username": f"ann-{uuid4().hex[:12]}", "password": PASSWORD}
        assert self.ask("register", "POST", "/auth/register", body=body)[0] == 201
        status, pair = self.ask("login", "POST", "/auth/login", body=body)
        assert status == 200
        self.access, self.refresh = pair["access_token"], pair["refresh_token"]

    def ask(self, *request: Any, **more: Any) -> tuple[int, Any]:
        answer, document = self.client.ask(*request, **more)
        return answer.status, document

    def read(self) -> str:
        """Read the account. Return the code of the problem, or `ok`."""
        answer, _ = self.client.ask("read", "GET", "/account", self.access)
        return answer.code or "ok"


def test_no_token_outlives_its_time_whatever_the_clock_does(
    stack_with_adjustable_clock: Stack, measured: Measured
) -> None:
    stack = stack_with_adjustable_clock
    today, gone = Person(stack), Person(stack)
    assert gone.ask("logout", "POST", "/auth/logout", gone.access)[0] == 204
    people = {}
    for offset in (2 * HOUR, -2 * HOUR, 400 * DAY):
        set_clock(stack, offset)
        people[offset] = Person(stack)
        assert people[offset].read() == "ok"
        assert gone.read() in REFUSED
    seen = {}
    for offset in (-400 * DAY, 0, HOUR, 2 * HOUR + 1000, 400 * DAY + 1000):
        set_clock(stack, offset)
        seen[offset] = [person.read() for person in (today, *people.values(), gone)]

    measured(f"{seen}")
    early, late = "invalid_token", "token_expired"
    assert seen == {
        -400 * DAY: [early, early, early, early, early],
        0: ["ok", early, late, early, "token_revoked"],
        HOUR: [late, early, late, early, late],
        2 * HOUR + 1000: [late, late, late, early, late],
        400 * DAY + 1000: [late, late, late, late, late],
    }


def test_a_clock_jump_under_load_causes_no_errors(
    stack_with_adjustable_clock: Stack, measured: Measured
) -> None:
    stack = stack_with_adjustable_clock
    # The server closes connections that seem to be idle for minutes.
    with under_load(stack, tolerated=(*REFUSED, "kept connection broke")) as load:
        for offset in (300, -300, 0, 20, -20, 5):  # larger jumps would delete tokens as expired
            set_clock(stack, offset)
            time.sleep(1.5)
        set_clock(stack, 0)
        reset = time.monotonic()
        time.sleep(2)

    measured(load.counts())
    assert [answer for answer in load.since(reset) if answer.succeeded]
