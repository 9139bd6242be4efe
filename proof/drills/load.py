"""The load of a drill: clients that use accounts, and record what the API acknowledged."""

import json
import select
import time
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from statistics import median
from threading import Event, Thread
from typing import Any
from uuid import uuid4

from proof.drills.stack import Address, Stack
from tests.support.credentials import PASSWORD
from tests.support.waiting import wait_until

# A busy machine may exceed the promised times by this factor: the drills look for hangs, not for delays.
PATIENCE = 2

SUCCESS = {
    "register": 201, "login": 200, "read": 200, "refresh": 200, "list": 200, "logout": 204, "dead": 401,
    "live": 200, "problem": 200,
}  # fmt: skip
HASHING = ("register", "login")
WITHOUT_DATABASE = ("live", "problem")
# A session has as many access tokens as refresh tokens. All refresh tokens are used except the current one.
HALF_APPLIED = """
    WITH found AS (
        SELECT s.id,
            count(*) FILTER (WHERE t.type = 'access') AS access,
            count(*) FILTER (WHERE t.type = 'refresh') AS refresh,
            count(*) FILTER (WHERE t.revoked_reason = 'rotated') AS spent,
            count(*) FILTER (WHERE t.id = s.refresh_id AND t.revoked_at IS NULL) AS own
        FROM sessions s LEFT JOIN tokens t ON t.session_id = s.id GROUP BY s.id
    )
    SELECT id FROM found WHERE access <> refresh OR spent <> refresh - 1 OR own <> 1
"""


@dataclass(frozen=True)
class Answer:
    """The outcome of a request."""

    action: str
    begun: float  # on the monotonic clock
    seconds: float
    status: int  # 0: no response
    code: str  # the code of the problem, or how the connection failed

    @property
    def succeeded(self) -> bool:
        expected_code = "token_revoked" if self.action == "dead" else ""
        return (self.status, self.code) == (SUCCESS[self.action], expected_code)

    @property
    def is_shed(self) -> bool:
        """Return whether it is an acceptable 503. Only requests that hash a password may get `overloaded`."""
        codes = {"database_unavailable", "query_timeout"} | (
            {"overloaded"} if self.action in HASHING else set()
        )
        return self.status == 503 and self.code in codes and self.action not in WITHOUT_DATABASE


class Client:
    """Keeps one connection, to the first address that accepts it.

    With `keeps=False`, it opens a connection per request, and alternates between the addresses.
    """

    def __init__(self, addresses: Sequence[Address], *, keeps: bool = True) -> None:
        self.addresses = list(addresses)
        self.keeps = keeps
        self.connection: HTTPConnection | None = None

    def ask(
        self, action: str, method: str, path: str, token: str = "", body: object = None
    ) -> tuple[Answer, Any]:
        if self.connection and select.select([self.connection.sock], [], [], 0)[0]:
            self.close()  # the server has closed the idle connection
        begun = time.monotonic()
        kind = "kept" if self.connection else "fresh"
        status, code, document = 0, "", None
        try:
            status, code, document = self._exchange(method, path, token, body)
        except ConnectionRefusedError:
            code = "refused"
        except (OSError, HTTPException) as error:
            code = f"{kind} connection broke"
            self.close()
            document = repr(error)
        return Answer(action, begun, time.monotonic() - begun, status, code), document

    def _exchange(self, method: str, path: str, token: str, body: object) -> tuple[int, str, Any]:
        connection = self.connection = self.connection or self._connect()
        headers = {"Content-Type": "application/json"} if body is not None else {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        content = response.read()
        if not self.keeps:
            self.addresses.append(self.addresses.pop(0))
        if response.will_close or not self.keeps:
            self.close()
        document = json.loads(content) if content else None
        return response.status, _code(response.status, response.headers, document), document

    def _connect(self) -> HTTPConnection:
        """Connect to the first address that accepts. Raises ConnectionRefusedError."""
        for _ in self.addresses:
            connection = HTTPConnection(*self.addresses[0], timeout=1)
            try:
                connection.connect()
            except OSError:  # refused, or the container and its address are gone
                self.addresses.append(self.addresses.pop(0))
                continue
            connection.sock.settimeout(30)
            return connection
        raise ConnectionRefusedError

    def close(self) -> None:
        if self.connection:
            self.connection.close()
        self.connection = None


def _code(status: int, headers: Any, document: Any) -> str:
    """Return the code of a problem, or a description of an invalid one."""
    if status < 400:
        return ""
    if headers["Content-Type"] != "application/problem+json":
        return f"{status} without a problem document"
    if status == 503 and int(headers["Retry-After"] or 0) < 1:
        return "503 without Retry-After"
    return str(document["code"])


class Load:
    """Many clients. `tolerated` are the problem codes and connection failures that a drill expects."""

    def __init__(self, addresses: Sequence[Address], tolerated: Collection[str], pause: float) -> None:
        self.addresses, self.tolerated, self.pause = addresses, tolerated, pause
        self.answers: list[Answer] = []
        self.wrong: list[tuple[Answer, Any]] = []
        self.tried: dict[str, str] = {}  # username -> code of the response
        self.issued: set[str] = set()  # ids of tokens
        self.ended: set[str] = set()  # ids of sessions
        self.stopped = Event()
        self.threads: list[Thread] = []

    def start(self, lives: int, readers: int) -> None:
        """Start all clients. Return when the readers are logged in and the others are running."""
        self._start([self._read] * readers)
        wait_until(lambda: len(self.since(0, "read")) >= 3 * readers, 60)
        self._start([self._live] * lives)
        self._start([self._probe], "live", "/health/live")
        self._start([self._probe], "problem", "/problems/not-found")
        self.stopped.wait(1.5)

    def stop(self) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join(timeout=60)

    def since(self, begun: float, *actions: str, until: float = float("inf")) -> list[Answer]:
        """Return the requests within this time with these actions, or with all that need the database."""
        return [
            answer
            for answer in list(self.answers)
            if begun <= answer.begun
            and answer.begun + answer.seconds < until
            and (answer.action in actions if actions else answer.action not in WITHOUT_DATABASE)
        ]

    def recovery(self, since: float) -> float:
        """Return the seconds from this moment to the last failed request. `overloaded` is not a failure."""
        failed = [
            answer
            for answer in self.since(since)
            if not answer.succeeded and answer.code != "overloaded" and answer.code not in self.tolerated
        ]
        return max((answer.begun - since for answer in failed), default=0)

    def counts(self) -> str:
        kinds = Counter(
            "ok" if answer.succeeded else answer.code or str(answer.status) for answer in list(self.answers)
        )
        return ", ".join(f"{number} {kind}" for kind, number in kinds.most_common())

    def applied_unacknowledged(self, stack: Stack) -> set[str]:
        """Return the users that were registered although the response was an error or missing."""
        acknowledged = {name for name, code in self.tried.items() if code == ""}
        return set(self.tried) & set(stack.sql("SELECT username FROM users")) - acknowledged

    def check(self, stack: Stack) -> None:
        """Check that the database has everything that was acknowledged, and nothing half applied."""
        assert not self.wrong, self.wrong[:5]
        assert not any(thread.is_alive() for thread in self.threads), "a client hangs"
        registered = {name for name, code in self.tried.items() if code == ""}
        assert registered, "nothing was acknowledged, so the drill proves nothing"
        assert registered - set(stack.sql("SELECT username FROM users")) == set()
        assert self.issued - set(stack.sql("SELECT id FROM tokens")) == set()
        assert self.ended - set(stack.sql("SELECT id FROM sessions WHERE ended_at IS NOT NULL")) == set()
        assert stack.sql(HALF_APPLIED) == []
        # `overloaded` means that nothing was done. After the other codes, a commit may have succeeded.
        shed = {name for name, code in self.tried.items() if code == "overloaded"}
        assert shed & set(stack.sql("SELECT username FROM users")) == set()

    def _start(self, works: Sequence[Callable[..., None]], *arguments: str) -> None:
        for number, work in enumerate(works):
            turn = number % len(self.addresses)
            client = Client([*self.addresses[turn:], *self.addresses[:turn]], keeps=number % 2 == 0)
            thread = Thread(target=self._repeat, args=(work, client, *arguments))
            self.threads.append(thread)
            thread.start()

    def _repeat(self, work: Callable[..., None], client: Client, *arguments: str) -> None:
        while not self.stopped.is_set():
            work(client, *arguments)
        client.close()

    def _ask(self, client: Client, *request: Any, **more: Any) -> tuple[Answer, Any]:
        answer, document = client.ask(*request, **more)
        self.answers.append(answer)
        if not answer.succeeded and not answer.is_shed and answer.code not in self.tolerated:
            self.wrong.append((answer, document))
        self.stopped.wait(1 if answer.code == "overloaded" else self.pause)
        return answer, document

    def _enter(self, client: Client) -> Any:
        """Register and log in. Return the token pair, or None."""
        name = f"ann-{uuid4().hex[:12]}"
        credentials = {"username": name, "password": PASSWORD}
        self.tried[name] = "never answered"
        registered, _ = self._ask(client, "register", "POST", "/auth/register", body=credentials)
        self.tried[name] = registered.code
        return self._pair(client, "login", "/auth/login", body=credentials) if registered.succeeded else None

    def _pair(self, client: Client, action: str, path: str, **more: Any) -> Any:
        answer, pair = self._ask(client, action, "POST", path, **more)
        if not answer.succeeded:
            return None
        self.issued |= {_id(pair["access_token"]), _id(pair["refresh_token"])}
        return pair

    def _live(self, client: Client) -> None:
        """Use an account from the registration to the logout, or to the first failure."""
        pair = self._enter(client)
        for _ in range(5):
            pair = pair and self._pair(client, "refresh", "/auth/refresh", token=pair["refresh_token"])
            if not pair:
                return
            token = pair["access_token"]
            self._ask(client, "list", "GET", "/auth/token", token)
        answer, _ = self._ask(client, "logout", "POST", "/auth/logout", token)
        if answer.succeeded:
            self.ended.add(pair["session_id"])
            self._ask(client, "dead", "GET", "/account", token)

    def _read(self, client: Client) -> None:
        """Read one account until its token is refused."""
        pair = self._enter(client)
        while pair and not self.stopped.is_set():
            answer, _ = self._ask(client, "read", "GET", "/account", pair["access_token"])
            if answer.status == 401:
                return

    def _probe(self, client: Client, action: str, path: str) -> None:
        self._ask(client, action, "GET", path)


def _id(token: str) -> str:
    """Return the `jti` of a token."""
    claims = token.split(".")[1]
    return str(json.loads(urlsafe_b64decode(claims + "=="))["jti"])


@contextmanager
def under_load(
    stack: Stack,
    *,
    lives: int = 4,
    readers: int = 2,
    addresses: Sequence[Address] = (),
    tolerated: Collection[str] = (),
    restarts: bool = False,
    pause: float = 0.05,
) -> Iterator[Load]:
    """Run clients during a drill, and check afterwards that the API kept its promises.

    Nothing may be lost or half applied. Every response must be a success or an acceptable 503. The api must
    not restart, unless the drill `restarts` it.
    """
    starts = stack.starts()
    begun = datetime.now(UTC).isoformat()
    load = Load(addresses or stack.ports(), tolerated, pause)
    try:
        load.start(lives, readers)
        yield load
    finally:
        load.stop()
    load.check(stack)
    _, traceback, more = stack.docker(f"logs --since {begun}", "api").partition("Traceback")
    assert not traceback, more[:4000]
    assert restarts or stack.starts() == starts


def median_seconds(answers: Sequence[Answer]) -> float:
    """Return the median response time."""
    return median(answer.seconds for answer in answers)


def longest(answers: Sequence[Answer]) -> float:
    return max(answer.seconds for answer in answers)
