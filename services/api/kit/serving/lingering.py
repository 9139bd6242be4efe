"""Connections that the server closes while their clients may still be sending (RFC 9112, section 9.6).

Closing a connection with unread data resets it, and the client loses the response. So the server ends its own
side first, and discards what arrives.
"""

import socket
import time
from collections.abc import Callable
from selectors import EVENT_READ, BaseSelector

LINGER_SECONDS = 30
IDLE_SECONDS = 5  # after which a client that sends nothing more is disconnected
STOPPING_IDLE_SECONDS = 2  # the same, while the server stops
READ_BYTES = 65_536


def end_of_lingering(began: float, last_data: float, idle_seconds: float = IDLE_SECONDS) -> float:
    """Return when the connection is closed if nothing more arrives."""
    return min(began + LINGER_SECONDS, last_data + idle_seconds)


class Lingering:
    """The lingering connections of a gunicorn worker. All methods run in the thread of its selector.

    gunicorn reads for at most 2 seconds and 64 KB, and the whole worker waits. `on_end` is called when a
    connection has ended.
    """

    def __init__(self, selector: BaseSelector, on_end: Callable[[], object]) -> None:
        self.selector = selector
        self.on_end = on_end
        self.times: dict[socket.socket, tuple[float, float]] = {}  # when it began, and of the last data

    def begin(self, connection: socket.socket) -> bool:
        """Send the end of the response, and read until the client closes the connection too.

        Return False if the client has closed it already.
        """
        try:
            connection.shutdown(socket.SHUT_WR)
            connection.setblocking(False)
            self.selector.register(connection, EVENT_READ, self._discard)
        except (OSError, ValueError):  # ValueError: our side is closed
            return False
        now = time.monotonic()
        self.times[connection] = (now, now)
        return True

    def end_overdue(self, now: float, *, is_stopping: bool = False) -> None:
        idle_seconds = STOPPING_IDLE_SECONDS if is_stopping else IDLE_SECONDS
        for connection, (began, last_data) in list(self.times.items()):
            if now > end_of_lingering(began, last_data, idle_seconds):
                self._end(connection)

    def _discard(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:  # the client has reset it, or it has ended since the selector returned this event
            data = b""
        if data:
            self.times[connection] = (self.times[connection][0], time.monotonic())
        else:
            self._end(connection)

    def _end(self, connection: socket.socket) -> None:
        if self.times.pop(connection, None):
            self.selector.unregister(connection)
            connection.close()
            self.on_end()
