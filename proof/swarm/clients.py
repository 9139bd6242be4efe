"""The clients of proof/scripts/swarm-drill. They only need Python, and run in containers.

In a client container, through the nodes' proxies:
load ADDRESS ...       use accounts until /tmp/stop exists
limits ADDRESS ...     send failed logins, as one client
other_client ADDRESS   log in to the same account, as another client

In a replica, with requests to the other replicas:
everywhere NUMBER      check that this many replicas share revocations and rate limits
ready NUMBER           check that this many replicas are ready

Each command prints its measurements. The exit status is 1 if one of them is wrong.
"""

import json
import socket
import ssl
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from uuid import uuid4

SITE = "api.example.com"
PASSWORD = "correct horse battery staple"
VICTIM = "victim-of-the-drill"
CLIENTS = 4
PAUSE = 0.05
AT_MOST_SECONDS = 300
STOP = Path("/tmp/stop")
KILL = Path("/tmp/kill")  # the times when the kill of a node began and ended
CERTIFICATE = Path("/certificate.pem")  # of the proxies
Answer = tuple[int, dict[str, object]]
Measured = tuple[str, bool]  # the text, and whether the result is right


class NotConnected(ConnectionError):
    """No connection could be made, so no request was sent."""


def ask(
    address: str,
    method: str,
    path: str,
    token: str = "",
    body: object = None,
    forwarded_for: str = "",
    inside: bool = False,
) -> Answer:
    """Send a request to a node's proxy, or directly to a replica. Raises NotConnected."""
    connection = HTTPConnection(address, 5000 if inside else 443, timeout=2)
    try:
        try:
            connection.connect()
            if not inside:
                connection.sock = tls().wrap_socket(connection.sock, server_hostname=SITE)
        except OSError as error:
            raise NotConnected from error
        connection.sock.settimeout(30)
        headers = {"Host": SITE, "Connection": "close"}
        if forwarded_for:
            headers["X-Forwarded-For"] = forwarded_for
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read() or "{}")
    finally:
        connection.close()


@cache
def tls() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=CERTIFICATE)


class Client:
    """Sends each request to the next node. Only retries a request that could not be sent, on another node."""

    def __init__(self, number: int, addresses: list[str]) -> None:
        self.name = f"client-{number}"
        self.addresses = addresses[number % len(addresses) :] + addresses[: number % len(addresses)]
        self.moved = 0
        self.slowest = 0.0
        self.answered: Counter[str] = Counter()
        self.versions: Counter[object] = Counter()
        self.failures: list[tuple[float, float, str]] = []  # begin, end, outcome

    def live(self) -> None:
        """Until /tmp/stop exists: log in, read, refresh, log out, and try the revoked token."""
        until = time.monotonic() + AT_MOST_SECONDS
        self.ask("register", (201, 409), "POST", "/auth/register", body=self.credentials)
        while not STOP.exists() and time.monotonic() < until:
            for _ in self.life():
                time.sleep(PAUSE)

    @property
    def credentials(self) -> dict[str, str]:
        return {"username": self.name, "password": PASSWORD}

    def life(self) -> Iterator[None]:
        pair = self.ask("login", (200,), "POST", "/auth/login", body=self.credentials)
        yield
        for _ in range(2):
            if pair is None:
                return
            for _ in range(3):
                self.ask("read", (200,), "GET", "/account", token=str(pair["access_token"]))
                yield
            index = self.ask("index", (200,), "GET", "/")
            self.versions[index and index["version"]] += 1
            yield
            pair = self.ask("refresh", (200,), "POST", "/auth/refresh", token=str(pair["refresh_token"]))
            yield
        if pair is None:
            return
        token = str(pair["access_token"])
        if self.ask("logout", (204,), "POST", "/auth/logout", token=token) is not None:
            yield
            self.ask("dead", (401,), "GET", "/account", token=token)

    def ask(
        self,
        action: str,
        expected: tuple[int, ...],
        method: str,
        path: str,
        token: str = "",
        body: object = None,
    ) -> dict[str, object] | None:
        """Return the body of the response, or None if the status is unexpected."""
        begun = time.time()
        try:
            status, document = self.send(method, path, token, body)
        except (OSError, HTTPException, ValueError) as error:
            self.failures.append(
                (begun, time.time(), f"{action}: {error!r} after {time.time() - begun:.1f} s")
            )
            return None
        self.slowest = max(self.slowest, time.time() - begun)
        self.answered[action] += 1
        if status not in expected:
            self.failures.append(
                (begun, time.time(), f"{action}: {status} {document} after {time.time() - begun:.1f} s")
            )
            return None
        return document

    def send(self, method: str, path: str, token: str, body: object) -> Answer:
        while True:
            address = self.addresses.pop(0)
            self.addresses.append(address)
            try:
                return ask(address, method, path, token, body)
            except NotConnected:
                if len(self.addresses) == 1:
                    raise
                self.addresses.remove(address)  # don't use this node again
                self.moved += 1


def load(*addresses: str) -> Measured:
    clients = [Client(number, list(addresses)) for number in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(Client.live, clients))
    kill = [float(line) for line in KILL.read_text().split()] if KILL.exists() else [0.0, 0.0]
    failures = [failure for client in clients for failure in client.failures]
    in_flight = [outcome for begun, ended, outcome in failures if begun < kill[1] and ended > kill[0]]
    failed = [outcome for begun, ended, outcome in failures if begun >= kill[1] or ended <= kill[0]]
    answered = sum((client.answered for client in clients), Counter[str]())
    versions = sum((client.versions for client in clients), Counter[object]())
    moved = sum(client.moved for client in clients)
    text = (
        f"{answered.total()} requests, {len(failed)} failed, {len(in_flight)} interrupted by a kill;"
        f" slowest {max(client.slowest for client in clients):.1f} s;"
        f" {moved} retried on another node; versions {dict(versions)}"
    )
    right = (
        not failed
        and len(in_flight) <= CLIENTS  # each client has at most one in flight
        and moved <= (CLIENTS if KILL.exists() else 0)
        and answered["dead"] > CLIENTS  # revoked tokens were tried
    )
    return "\n  ".join([text, *failed, *(f"in flight: {outcome}" for outcome in in_flight)]), right


def limits(*addresses: str) -> Measured:
    """Expect 401 for five failed logins and 429 for the others, on all nodes and with forged addresses."""
    ask(addresses[0], "POST", "/auth/register", body={"username": VICTIM, "password": PASSWORD})
    wrong = {"username": VICTIM, "password": "a wrong password"}

    def log_in(number: int) -> int:
        forged = f"203.0.113.{number}" if number % 2 else ""
        return ask(addresses[number % len(addresses)], "POST", "/auth/login", "", wrong, forged)[0]

    with ThreadPoolExecutor(4) as pool:
        statuses = Counter(pool.map(log_in, range(12)))
    text = f"12 failed logins from one client, through {len(addresses)} nodes: {dict(statuses)}"
    return text, statuses == {401: 5, 429: 7}


def other_client(address: str) -> Measured:
    credentials = {"username": VICTIM, "password": PASSWORD}
    status = ask(address, "POST", "/auth/login", body=credentials)[0]
    return f"another client logs in to that account: {status}", status == 200


def everywhere(replicas: str) -> Measured:
    """Check revocations and rate limits on each replica, with requests like the proxy's."""
    addresses = find_replicas()
    name = f"ann-{uuid4().hex[:12]}"

    def post(
        number: int, path: str, password: str = "", token: str = "", client: str = "203.0.113.7"
    ) -> Answer:
        body = {"username": name, "password": password} if password else None
        address = addresses[number % len(addresses)]
        return ask(address, "POST", path, token, body, client, inside=True)

    def read_everywhere(token: str) -> list[int]:
        return [ask(address, "GET", "/account", token, inside=True)[0] for address in addresses]

    post(0, "/auth/register", PASSWORD)
    token = str(post(1, "/auth/login", PASSWORD)[1]["access_token"])
    before = read_everywhere(token)
    post(2, "/auth/logout", token=token)
    after = read_everywhere(token)
    revoked = f"a token on {len(addresses)} replicas: {before}, and after its revocation on one: {after}"

    name = f"bob-{uuid4().hex[:12]}"
    post(0, "/auth/register", PASSWORD)
    wrong = [post(number, "/auth/login", "a wrong password")[0] for number in range(8)]
    other = post(0, "/auth/login", "a wrong password", client="203.0.113.8")[0]
    limited = f"8 failed logins on the replicas in turn: {wrong}; from another client: {other}"
    right = (
        len(addresses) == int(replicas)
        and set(before) == {200}
        and set(after) == {401}
        and (wrong, other) == ([401] * 5 + [429] * 3, 401)
    )
    return f"{revoked}\n{limited}", right


def find_replicas() -> list[str]:
    found = socket.getaddrinfo("api", 5000, socket.AF_INET, socket.SOCK_STREAM)
    return sorted({str(address[0]) for *_, address in found})


def ready(replicas: str) -> Measured:
    statuses = [ask(address, "GET", "/health/ready", inside=True)[0] for address in find_replicas()]
    return f"ready: {statuses}", statuses == [200] * int(replicas)


COMMANDS: dict[str, Callable[..., Measured]] = {
    "load": load,
    "limits": limits,
    "other_client": other_client,
    "everywhere": everywhere,
    "ready": ready,
}

if __name__ == "__main__":
    measured, right = COMMANDS[sys.argv[1]](*sys.argv[2:])
    sys.stdout.write(f"{measured}\n")
    sys.exit(not right)
