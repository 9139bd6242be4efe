"""waitress with limits, problem responses and a graceful shutdown. Uses internals of waitress 3.0.x."""

import gc
import logging
import resource
import select
import signal
import socket
import time
from collections import deque
from copy import copy
from threading import Event
from typing import Any

from flask import Flask
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, WSGITask

from kit.serving import lifecycle
from kit.serving.refusals import RESET, refuse
from kit.settings import Settings
from kit.web.streaming import BrokenOff

logger = logging.getLogger("app.server")
DRAIN_SECONDS = 8
IDLE_SECONDS = 0.5  # after which a shutdown closes a connection; a request may be on its way until then
MAX_CONNECTIONS = 2000  # with incomplete bodies of up to 128 KiB each they need 250 MB
INLINE_SEND_BYTES = 65_536  # longer responses are sent by the request's own thread
LINGER_SECONDS = 2  # during which the rest of a refused request is read and discarded


class Task(WSGITask):  # type: ignore[misc]
    """A request to the app. The connection is closed if the app asks for it, or during a shutdown."""

    wrote_header: bool

    def service(self) -> None:
        try:
            super().service()
        except BrokenOff:  # the connection is closed
            if not self.chunked_response:  # without chunks, only a reset shows that the body is incomplete
                self.channel.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    def build_response_header(self) -> bytes:
        if self.channel.server.stopping_since or (self.environ or {}).get("app.close"):
            self.set_close_on_finish()
        return bytes(super().build_response_header())

    def write(self, data: bytes) -> None:
        """Hand a complete response to the I/O thread, so that head and body go out in one send().

        waitress would send both separately from this thread, and each system call releases the GIL. That is a
        seventh of the CPU time of GET /account, and a quarter of GET /health/live.
        """
        if self.wrote_header or not self.has_body or len(data) != self.content_length:
            super().write(data)
            return
        head = self.build_response_header()
        self.wrote_header, self.content_bytes_written = True, len(data)
        self.channel.send_later(head + data)


class ProblemTask(ErrorTask):  # type: ignore[misc]
    """Answers waitress' own errors (malformed, too large, not implemented) with problems."""

    def execute(self) -> None:
        given_id = self.request.headers.get("X_REQUEST_ID", "")
        self.status, headers, body = refuse(self.request.error.code, given_id, self.channel.addr[0])
        self.response_headers.extend(headers.items())
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(b"" if getattr(self.request, "command", "") == "HEAD" else body)
        self.channel.refused_at = time.time()


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """waitress' parser, without its crash for a URI with a broken IPv6 address."""

    path = ""  # waitress logs it even if parsing has failed

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError as error:
            raise ParsingError("Bad URI") from error


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection. After a refusal it lingers (RFC 9112, section 9.6).

    Closing it with unread data would reset it, and the client would lose the response.
    """

    parser_class = Parser
    task_class = Task
    close_when_flushed: bool
    error_task_class = ProblemTask
    refused_at: float = 0  # never
    lingers = False

    def send_later(self, data: bytes) -> None:
        """Let the I/O thread send the data when the request is done, unless it is long."""
        self.adj = self.server.buffering
        try:
            self.write_soon(data)
        finally:
            self.adj = self.server.adj
        self.server.ready_to_send.append(self)

    def handle_write(self) -> None:
        if self.refused_at and self.close_when_flushed and not self.total_outbufs_len:
            self.close_when_flushed, self.lingers = False, True
            self.socket.shutdown(socket.SHUT_WR)
        else:
            super().handle_write()

    def received(self, data: bytes) -> bool:
        if self.lingers:
            self.will_close = time.time() > self.refused_at + LINGER_SECONDS
            return False
        return bool(super().received(data))

    def is_idle(self) -> bool:
        """Return whether no request or response is in progress, or was a moment ago."""
        if self.requests or self.request or self.total_outbufs_len:
            return False
        since = max(self.last_activity, self.server.stopping_since)
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return time.time() - since > IDLE_SECONDS and not poll.poll(0)


class Server(TcpWSGIServer):  # type: ignore[misc]
    """waitress' server with a graceful shutdown."""

    channel_class = Channel
    buffering: Adjustments  # what channels use for a response that this thread sends
    ready_to_send: deque[Channel]  # those with such a response
    stopping_since: float | None = None
    stopping: Event  # read by the readiness check

    def stop(self, *_: object) -> None:
        """Begin to shut down. Can be a signal handler; repeated calls do nothing."""
        if not self.stopping_since:
            self.pull_trigger()  # wakes the loop; do it first, because the loop's end closes the trigger
            self.stopping_since = time.time()
            self.stopping.set()

    def run(self) -> None:
        """Serve until `stop`, then finish accepted requests for at most DRAIN_SECONDS."""
        while not self.stopping_since:
            self._run_once()
        self._close_listener()
        while self.active_channels and time.time() < self.stopping_since + DRAIN_SECONDS:
            self._run_once()
            for channel in list(self.active_channels.values()):
                channel.will_close = channel.will_close or channel.is_idle()
        self.task_dispatcher.shutdown(timeout=0.5)
        wasyncore.close_all(self._map)

    def handle_accept(self) -> None:
        """Accept all waiting connections. waitress accepts one per loop, which is slow under load."""
        accepted = -1
        while accepted < len(self._map) < self.adj.connection_limit:
            accepted = len(self._map)
            super().handle_accept()

    def _run_once(self) -> None:
        wasyncore.loop(timeout=0.1, map=self._map, use_poll=True, count=1)
        while self.ready_to_send:  # saves a loop that only finds out that they are writable
            channel = self.ready_to_send.popleft()
            if channel.connected:
                channel.handle_write()

    def _close_listener(self) -> None:
        """Accept the connections in the kernel's queue, then close the listener."""
        self.handle_accept()
        self.accepting = False
        self.del_channel()
        self.socket.close()


def create_server(app: Flask, settings: Settings, listener: socket.socket) -> Server:
    """Return waitress, ready to run."""
    limits: dict[str, Any] = {
        "threads": settings.threads,
        "connection_limit": _connection_limit(settings),
        "channel_timeout": 60,
        "max_request_header_size": 16_384,
        # The app refuses bodies longer than MAX_BODY_BYTES. waitress' limit is larger, because it counts the
        # framing of chunks too.
        "max_request_body_size": 2 * settings.max_body_bytes,
        "inbuf_overflow": 4 * settings.max_body_bytes,  # never reached, so no temporary files
        "ident": None,
        "clear_untrusted_proxy_headers": False,  # the app ignores them unless the proxy is trusted
    }
    sockinfo = (listener.family, listener.type, listener.proto, listener.getsockname())
    server = Server(app, {}, _sock=listener, adj=Adjustments(**limits), sockinfo=sockinfo, bind_socket=False)
    server.buffering, server.ready_to_send = copy(server.adj), deque()
    server.buffering.send_bytes = INLINE_SEND_BYTES
    server.stopping = lifecycle.stopping(app)
    lifecycle.measure_queue(app, lambda: len(server.task_dispatcher.queue))
    return server


def _connection_limit(settings: Settings) -> int:
    """Return how many connections the limit of open files allows, after raising that limit if possible."""
    others = 64 + 3 * (
        settings.database_pool_size or settings.threads
    )  # SQLite opens three files per connection
    wanted = MAX_CONNECTIONS + others
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    if files < wanted:
        logger.warning(
            "accepts only %d connections, because it can open only %d files (ulimit -n)", files - others, hard
        )
    return files - others


def serve(app: Flask, settings: Settings, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT."""
    gc.freeze()  # skip loaded modules in collections, which otherwise triple the cost of parsing nested JSON
    if settings.web_concurrency > 1:  # some hosts always set it, so only warn
        logger.warning("WEB_CONCURRENCY has no effect. Only SERVER=gunicorn has several processes.")
    server = create_server(app, settings, listener)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.stop)
    server.run()
    for number in (signal.SIGTERM, signal.SIGINT):  # a second signal would kill the process while it exits
        signal.signal(number, signal.SIG_IGN)
