"""Asks a server without pause until it is gone, and counts what became of the requests.

Runs in any container that has Python, from standard input: python - HOST PORT TOKEN CREDENTIALS
"""

import json
import sys
import threading
import time
from collections import Counter
from http.client import HTTPConnection, HTTPException, RemoteDisconnected
from queue import SimpleQueue

CLIENTS = 8
SECONDS = 60  # at most
Request = tuple[str, str, str | None, dict[str, str]]  # as HTTPConnection.request takes it


def ask_until_gone(host: str, port: int, request: Request, outcomes: "SimpleQueue[str]") -> None:
    """Ask on one connection after the other, each as long as the server keeps it."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        connection = HTTPConnection(host, port, timeout=20)
        try:
            connection.connect()
        except OSError:  # refused: gone
            return
        while connection.sock:
            outcomes.put(ask(connection, request))


def ask(connection: HTTPConnection, request: Request) -> str:
    """Return the status of the answer, `unanswered` where there was none, or `cut` where it had begun."""
    outcome = "unanswered"
    try:
        connection.request(*request)
        response = connection.getresponse()
        outcome = "cut"
        json.loads(response.read())
        return str(response.status)
    except (ConnectionError, RemoteDisconnected):
        connection.close()
        return outcome
    except (OSError, HTTPException, ValueError):
        connection.close()
        return "cut"


def main(host: str, port: str, token: str, credentials: str) -> None:
    reads: Request = ("GET", "/account", None, {"Authorization": f"Bearer {token}"})
    logs_in: Request = ("POST", "/auth/login", credentials, {"Content-Type": "application/json"})
    outcomes: SimpleQueue[str] = SimpleQueue()
    clients = [
        threading.Thread(target=ask_until_gone, args=(host, int(port), request, outcomes))
        for request in (CLIENTS // 4) * [logs_in, reads, reads, reads]
    ]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    counted = Counter(outcomes.get() for _ in range(outcomes.qsize()))
    json.dump(counted, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
