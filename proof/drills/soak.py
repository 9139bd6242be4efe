"""The soak test: a steady mix of requests over persistent connections."""

import os
import random
import sys
import time
from collections import Counter
from statistics import quantiles
from threading import Lock, Thread
from typing import Any
from uuid import uuid4

from proof.drills.load import Answer, Client
from proof.drills.stack import Stack, run
from tests.support.credentials import PASSWORD

# Percentages. Logins and logouts are equally frequent, so the number of sessions stays constant.
MIX = {"read": 68, "list": 12, "refresh": 10, "login": 4, "logout": 4, "register": 2}
PEOPLE = 40


class Pace:
    """Schedules the requests of all users at a constant total rate."""

    def __init__(self, rate: float, seconds: float) -> None:
        self.interval, self.next = 1 / rate, time.monotonic()
        self.end = self.next + seconds
        self.lock = Lock()

    def turn(self) -> bool:
        """Wait for the next turn. Return False if the time is over."""
        with self.lock:
            mine, self.next = self.next, self.next + self.interval
        time.sleep(max(0, mine - time.monotonic()))
        return mine < self.end


class Person:
    """A user with several sessions and one connection."""

    def __init__(self, stack: Stack, answers: list[Answer]) -> None:
        self.client, self.answers = Client([stack.published()]), answers
        self.credentials = _credentials()
        self.pairs: list[Any] = []
        self.ask("register", "POST", "/auth/register", body=self.credentials)
        self.login()

    def ask(self, *request: Any, **more: Any) -> Any:
        answer, document = self.client.ask(*request, **more)
        self.answers.append(answer)
        return document if answer.succeeded else None

    def login(self) -> None:
        if pair := self.ask("login", "POST", "/auth/login", body=self.credentials):
            self.pairs.append(pair)

    def work(self, pace: Pace) -> None:
        while pace.turn():
            action = random.choices(list(MIX), list(MIX.values()))[0]
            if action == "logout" and len(self.pairs) < 2:
                action = "login"
            self.act(action, random.randrange(len(self.pairs)))
        self.client.close()

    def act(self, action: str, number: int) -> None:
        access = self.pairs[number]["access_token"]
        match action:
            case "read":
                self.ask("read", "GET", "/account", access)
            case "list":
                self.ask("list", "GET", "/auth/token", access)
            case "refresh":
                token = self.pairs[number]["refresh_token"]
                self.pairs[number] = self.ask("refresh", "POST", "/auth/refresh", token) or self.pairs[number]
            case "login":
                self.login()
            case "logout":
                self.ask("logout", "POST", "/auth/logout", self.pairs.pop(number)["access_token"])
            case "register":
                self.ask("register", "POST", "/auth/register", body=_credentials())


def soak(stack: Stack, rate: float, minutes: float) -> bool:
    """Print the measurements. Return whether every request succeeded or was shed as `overloaded`."""
    people = [Person(stack, []) for _ in range(PEOPLE)]
    if not all(person.pairs for person in people):
        raise RuntimeError("the stack refused a registration or login before the soak test")
    report(f"Memory at the beginning: {memory(stack)}")
    answers: list[Answer] = []
    pace, begun = Pace(rate, minutes * 60), time.monotonic()
    for person in people:
        person.answers = answers
    threads = [Thread(target=person.work, args=(pace,)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - begun
    report(f"Memory at the end: {memory(stack)}")
    report(
        f"{len(answers)} requests in {seconds:.0f} s: {len(answers) / seconds:.0f} per second of {rate:.0f}"
    )
    for action in MIX:
        times = quantiles([1000 * answer.seconds for answer in answers if answer.action == action], n=100)
        report(f"{action:>9}: p50 {times[49]:.0f} ms, p99 {times[98]:.0f} ms")
    shed = sum(answer.is_shed and answer.code == "overloaded" for answer in answers)
    errors = Counter(
        (answer.action, answer.status, answer.code) for answer in answers if not answer.succeeded
    )
    report(f"Shed: {shed}. Errors: {sum(errors.values()) - shed}. {dict(errors) or ''}")
    tracebacks = stack.docker("logs", "api").count("Traceback")
    report(f"Tracebacks in the log: {tracebacks}")
    return errors.total() == shed and not tracebacks


def memory(stack: Stack) -> str:
    command = ["docker", "stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}"]
    return ", ".join(run(*command, stack.container("api"), stack.container("db")).splitlines())


def report(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _credentials() -> dict[str, str]:
    return {"username": f"ann-{uuid4().hex[:12]}", "password": PASSWORD}


if __name__ == "__main__":
    the_stack = Stack(os.environ["COMPOSE_PROJECT_NAME"], os.environ.get("SERVER", "waitress"))
    the_stack.up()
    sys.exit(not soak(the_stack, float(sys.argv[1]), float(sys.argv[2])))
