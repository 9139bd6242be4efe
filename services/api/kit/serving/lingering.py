"""Connections that the server closes while their clients may still be sending (RFC 9112, section 9.6).

Closing a connection with unread data resets it, and the client loses the response. So the server ends its own
side first, and discards what arrives.
"""

import socket
import time
from selectors import EVENT_READ, BaseSelector

LINGER_SECONDS = 30
LINGER_IDLE_SECONDS = 5  # after which a client that sends nothing more is disconnected
MAX_LINGERING = 100  # connections of a gunicorn process, in addition to those that it serves
READ_BYTES = 65_536


def end_of_lingering(began: float, last_data: float) -> float:
    """Return when the connection is closed if nothing more arrives."""
    return min(began + LINGER_SECONDS, last_data + LINGER_IDLE_SECONDS)


class Lingering:
    """The lingering connections of a gunicorn worker. All methods run in the thread of its selector.

    gunicorn reads for at most 2 seconds and 64 KB, and the whole worker waits meanwhile.
    """

    def __init__(self, selector: BaseSelector) -> None:
        self.selector = selector
        self.times: dict[socket.socket, tuple[float, float]] = {}  # when it began, and of the last data

    def begin(self, connection: socket.socket) -> None:
        """Send the end of the response, and read until the client closes the connection too."""
        try:
            connection.shutdown(socket.SHUT_WR)
        except OSError:  # the client has closed it
            connection.close()
            return
        if len(self.times) >= MAX_LINGERING:
            self._end(next(iter(self.times)))  # the oldest
        connection.setblocking(False)
        now = time.monotonic()
        self.times[connection] = (now, now)
        self.selector.register(connection, EVENT_READ, self._discard)

    def end_overdue(self, now: float) -> None:
        for connection, (began, last_data) in list(self.times.items()):
            if now > end_of_lingering(began, last_data):
                self._end(connection)

    def _discard(self, connection: socket.socket) -> None:
        try:
            data = connection.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:  # the client has reset it
            data = b""
        if data:
            self.times[connection] = (self.times[connection][0], time.monotonic())
        else:
            self._end(connection)

    def _end(self, connection: socket.socket) -> None:
        del self.times[connection]
        self.selector.unregister(connection)
        connection.close()
