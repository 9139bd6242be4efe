"""gunicorn's worker and log, where this app needs them otherwise. Uses internals of gunicorn 27."""

import select
import signal
import socket
from contextlib import suppress
from typing import Any

from gunicorn.glogging import Logger
from gunicorn.http.errors import (
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
    UnsupportedTransferCoding,
)
from gunicorn.util import close, write_nonblock
from gunicorn.workers.gthread import ThreadWorker

from kit.serving import lifecycle
from kit.serving.refusals import RESET, refuse
from kit.web.streaming import BrokenOff

REFUSALS = {UnsupportedTransferCoding: 501, LimitRequestLine: 414, LimitRequestHeaders: 431}


class Worker(ThreadWorker):  # type: ignore[misc]
    """Threads, and a stop like the other server's: not ready from its first moment, and no connection is
    left in the kernel's queue for seconds, to be reset in the end."""

    sockets: list[Any]

    def get_thread_pool(self) -> Any:
        pool = super().get_thread_pool()
        lifecycle.measure_queue(self.app.wsgi(), pool._work_queue.qsize)
        return pool

    def notify(self) -> None:
        """Tell that this process lives, at least once a second, and what it has to do."""
        super().notify()
        if metrics := self.app.wsgi().extensions.get("metrics"):
            metrics.sample()

    def init_signals(self) -> None:
        """Leave Ctrl-C, which reaches every process of a terminal, to the master: it stops the workers."""
        super().init_signals()
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Begin to stop, once: gunicorn sends the signal again and again, and one that came while the event
        is being set would wait for its lock for ever."""
        if self.alive:
            super().handle_exit(sig, frame)  # and so it is not
            lifecycle.stopping(self.app.wsgi()).set()

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled)
        if not enabled and not self.alive:
            self._close_listeners()

    def _close_listeners(self) -> None:
        """Take what the kernel has accepted for us already, then refuse more."""
        for listener in self.sockets:
            poll = select.poll()
            poll.register(listener, select.POLLIN)
            while poll.poll(0):
                self.accept(listener)
            listener.close()
        self.sockets = []

    def handle_request(self, req: Any, conn: Any) -> bool:
        try:
            return bool(super().handle_request(req, conn))
        except BrokenOff:  # and so the connection is closed
            if req.version < (1, 1):  # without chunks, only a reset tells the client that this is not the end
                conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                conn.close = lambda **_: close(conn.sock)  # in place of gunicorn's, which sends an end first
            raise

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer what never reaches the app as a problem. Not a word of it is logged or sent back, as
        gunicorn would: the rest of a body that was cut may be what it takes for a request."""
        status = REFUSALS.get(type(exc), 400)
        if not isinstance(exc, ParseException):
            status = 500
            self.log.exception("A request failed outside the app.")
        line, headers, body = refuse(status, "", addr[0] if addr else "")
        headers |= {"Connection": "close", "Content-Length": str(len(body))}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        with suppress(OSError):
            write_nonblock(client, f"HTTP/1.1 {line}\r\n{head}\r\n".encode() + body)


class Log(Logger):  # type: ignore[misc]
    """gunicorn's own messages, written as all others are."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
