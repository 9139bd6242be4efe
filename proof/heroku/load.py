"""Send requests to a server until it stops, and count the outcomes.

Run it from standard input in any container that has Python: python - HOST PORT TOKEN CREDENTIALS
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
Request = tuple[str, str, str | None, dict[str, str]]  # the arguments of HTTPConnection.request


def send_until_stopped(host: str, port: int, request: Request, outcomes: "SimpleQueue[str]") -> None:
    """Send requests on one connection after another. Use each until the server closes it."""
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        connection = HTTPConnection(host, port, timeout=20)
        try:
            connection.connect()
        except OSError:  # refused: the server has stopped
            return
        while connection.sock:
            outcomes.put(ask(connection, request))


def ask(connection: HTTPConnection, request: Request) -> str:
    """Return the status of the response, `unanswered` without one, or `cut` if it is incomplete."""
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
        threading.Thread(target=send_until_stopped, args=(host, int(port), request, outcomes))
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
