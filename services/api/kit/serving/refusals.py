"""Responses to requests that the server refuses before they reach the app."""

import logging
import socket
import struct
from contextlib import suppress

from kit.web import request_id
from kit.web.headers import SECURITY
from kit.web.problems import BY_STATUS, MEDIA_TYPE, body
from kit.web.proxies import parse

logger = logging.getLogger("app.request")


def refuse(status: int, given_id: str, peer: str) -> tuple[str, dict[str, str], bytes]:
    """Log a refused request, and return the status line, headers and body of its response."""
    problem = BY_STATUS.get(status, BY_STATUS[400])
    id = request_id.choose(given_id)
    fields = {"request_id": id, "client": str(parse(peer)), "status": problem.status}
    logger.info("refused before it reached the app: %s", problem.code, extra={"fields": fields})
    headers = {"Cache-Control": "no-store", "Content-Type": MEDIA_TYPE, "X-Request-ID": id} | SECURITY
    return f"{problem.status} {problem.title}", headers, body(problem, id)


def reset_when_closed(connection: socket.socket) -> None:
    """Let the end of a connection be a reset, so that the client notices that the response is incomplete."""
    with suppress(OSError):  # the client has closed it
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
