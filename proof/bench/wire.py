"""Proxy the connections to PostgreSQL, and print the time in seconds and the SQL of each round trip as JSON.

It parses the client's messages (protocol 3.0) and forwards them unchanged.
"""

import json
import socket
import sys
from struct import unpack
from threading import Thread
from time import monotonic
from typing import BinaryIO

SSL_REQUEST, GSS_REQUEST = 80877103, 80877104  # sent before the startup message; the response is one byte


def forward_requests(client: BinaryIO, server: BinaryIO) -> None:
    """Forward the client's messages. A round trip is a Query, or a Sync after Parse messages."""
    code = SSL_REQUEST
    while code in (SSL_REQUEST, GSS_REQUEST):
        length = client.read(4)
        rest = client.read(unpack("!I", length)[0] - 4)
        (code,) = unpack("!I", rest[:4])
        send(server, length + rest)
    parsed: list[str] = []
    while head := client.read(5):
        kind, length = unpack("!cI", head)
        body = client.read(length - 4)
        if kind == b"P":  # Parse: a name, the SQL, types
            parsed.append(body.split(b"\0")[1].decode())
        elif kind == b"Q":
            log(body.rstrip(b"\0").decode())
        elif kind == b"S":
            log("; ".join(parsed))
            parsed.clear()
        send(server, head + body)
    server.close()


def log(sql: str) -> None:
    # One write, because several threads print lines.
    sys.stdout.write(f"{json.dumps([monotonic(), sql])}\n")
    sys.stdout.flush()


def send(to: BinaryIO, data: bytes) -> None:
    to.write(data)
    to.flush()


def forward_responses(server: socket.socket, client: socket.socket) -> None:
    while data := server.recv(65536):
        client.sendall(data)
    client.close()


def serve() -> None:
    listener = socket.create_server(("", 5432))
    while True:
        client, _ = listener.accept()
        server = socket.create_connection(("database", 5432))
        for each in (client, server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        Thread(
            target=forward_requests, args=(client.makefile("rb"), server.makefile("wb")), daemon=True
        ).start()
        Thread(target=forward_responses, args=(server, client), daemon=True).start()


if __name__ == "__main__":
    serve()
