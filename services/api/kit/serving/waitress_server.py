"""waitress with limits, problem responses and a graceful shutdown. Uses internals of waitress 3.0.x."""

import gc
import logging
import select
import signal
import socket
import sys
import time
from collections import deque
from contextlib import suppress
from copy import copy
from threading import Event
from typing import Any

from flask import Flask
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.buffers import ReadOnlyFileBasedBuffer
from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, WSGITask

from kit.serving import lifecycle
from kit.serving.connection_limit import connection_limit
from kit.serving.lingering import STOPPING_IDLE_SECONDS, end_of_lingering
from kit.serving.refusals import refuse, reset_when_closed
from kit.serving.waitress_parser import Parser
from kit.settings import Settings
from kit.web.headers import cors_headers
from kit.web.streaming import BrokenOff
from kit.web.uploads import takes_uploads

logger = logging.getLogger("app.server")
DRAIN_SECONDS = 8
IDLE_SECONDS = 0.5  # after which a shutdown closes a connection; a request may be on its way until then
MAX_CONNECTIONS = 2000  # with incomplete bodies of up to 128 KiB each they need 250 MB
KEEP_ALIVE_SECONDS = 100  # longer than load balancers keep an idle connection (90 s on Heroku)
STALLED_SECONDS = 60  # after which a client that doesn't read its response is disconnected
REQUEST_SECONDS = 60  # within which a request must be complete, with one second more for each
BYTES_PER_SECOND = 1000  # received: a client that sends byte by byte gains nothing
STREAM_BUFFER_BYTES = 1_048_576  # unsent output of a stream, above which its thread waits for the client
KERNEL_BUFFER_BYTES = 65_536  # unsent output of a connection that the kernel takes; by default up to 4 MB
JOINED_BYTES = 65_536  # shorter parts of the output are joined and sent together


class Task(WSGITask):  # type: ignore[misc]
    """A request to the app. The connection is closed if the app asks for it, or during a shutdown."""

    wrote_header: bool
    is_bodiless = False

    def service(self) -> None:
        try:
            super().service()
        except BrokenOff:  # the connection is closed
            connection = self.channel.socket  # None if the client has closed it
            if connection and not self.chunked_response:  # only a reset shows that the body is incomplete
                reset_when_closed(connection)

    def build_response_header(self) -> bytes:
        if self.request.arriving and not self.request.arriving.is_complete:
            self.channel.refused_at = time.time()
            self.set_close_on_finish()
        options = self.request.headers.get("CONNECTION", "").lower().split(",")
        is_asked = "close" in map(str.strip, options) or (self.environ or {}).get("app.close")
        if self.channel.server.stopping_since or is_asked:
            self.set_close_on_finish()
        self.is_bodiless = self.version == "1.1" and not self.has_body
        return bytes(super().build_response_header())

    def set_close_on_finish(self) -> None:
        """Close the connection after the response. waitress also wants that for any without a Content-Length.

        A 204 or 304 ends with its headers, so the connection can stay open.
        """
        if not self.is_bodiless:
            super().set_close_on_finish()

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
        self.channel.send_later(head, data)


class ProblemTask(ErrorTask):  # type: ignore[misc]
    """Answers waitress' own errors (malformed, too large, not implemented) with problems."""

    def execute(self) -> None:
        given_id = self.request.headers.get("X_REQUEST_ID", "")
        self.status, headers, body = refuse(self.request.error.code, given_id, self.channel.addr[0])
        headers |= cors_headers(self.channel.server.application, self.request.headers.get("ORIGIN", ""))
        self.response_headers.extend(headers.items())
        self.set_close_on_finish()
        self.content_length = len(body)
        self.channel.refused_at = time.time()  # before the I/O thread can send the response
        self.write(b"" if getattr(self.request, "command", "") == "HEAD" else body)


class Output:
    """Unsent output. waitress' own buffer copies it, and writes long output to temporary files."""

    def __init__(self) -> None:
        self.parts: deque[bytes] = deque()
        self.sent = 0  # bytes of the first part
        self.unsent = 0  # bytes of all parts
        self.held = 0  # bytes in memory: a part is freed when all of it has been sent

    def __len__(self) -> int:
        return self.unsent

    def append(self, data: bytes) -> None:
        if self.parts and len(self.parts[-1]) + len(data) <= JOINED_BYTES:
            self.parts[-1] += data
        else:
            self.parts.append(data)
        self.unsent += len(data)
        self.held += len(data)

    def get(self, size: int) -> memoryview:
        return memoryview(self.parts[0])[self.sent : self.sent + size]

    def skip(self, size: int, _: object) -> None:
        self.sent += size
        self.unsent -= size
        if self.sent == len(self.parts[0]):
            self.held -= len(self.parts.popleft())
            self.sent = 0

    def close(self) -> None:
        self.parts.clear()
        self.sent = self.unsent = self.held = 0


class Channel(HTTPChannel):  # type: ignore[misc]
    """A connection. Its thread never waits for a client that doesn't read, unless it streams a response.

    It reads the next request when the response to the previous one has been sent, so that a client that sends
    many requests at once needs one thread and little memory. After a refusal it lingers (lingering.py).
    """

    parser_class = Parser
    task_class = Task
    error_task_class = ProblemTask
    close_when_flushed: bool
    request: Parser | None = None  # one that has begun to arrive
    refused_at: float = 0  # never
    lingers = False
    unread = b""  # received after the current request
    arriving: Parser | None = None  # a request that the app handles while its body arrives
    waits = False  # a thread waits until the client has read
    waits_since = 0.0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.outbufs = [Output()]

    def send_later(self, head: bytes, body: bytes) -> None:
        """Let the I/O thread send a complete response when the request is done."""
        with self.outbuf_lock:
            self._append(head)
            self._append(body)
        self.server.ready_to_send.append(self)

    def write_soon(self, data: Any) -> int:
        """Send a part of a response. Wait first if the client is slow to read the previous ones."""
        with self.outbuf_lock:
            self.waits_since = time.time()
            while self.connected and self.total_outbufs_len > STREAM_BUFFER_BYTES:
                self.waits = True
                self.server.send_soon(self)
                self.outbuf_lock.wait()
            self.waits = False
            self._append(data)
            self._flush_exception(self._flush_some, do_close=False)
        if self.total_outbufs_len:
            self.server.send_soon(self)
        return len(data)

    def _append(self, data: Any) -> None:
        if not self.connected:
            raise ClientDisconnected
        if not self.total_outbufs_len:
            self.last_activity = time.time()
        if isinstance(data, ReadOnlyFileBasedBuffer):
            self.outbufs += [data, Output()]
        else:
            self.outbufs[-1].append(data)
        self.total_outbufs_len += len(data)

    def handle_write(self) -> None:
        if self.refused_at:
            self._write_refusal()
            return
        super().handle_write()
        if self.unread and self.connected and not self.total_outbufs_len:
            self.received(b"")

    def _write_refusal(self) -> None:
        """Send the response, then linger.

        waitress' method closes the connection if the request's thread sets `close_when_flushed` meanwhile.
        """
        self._flush_exception(self._flush_some_if_lockable)
        if self.will_close:
            self.handle_close()
        elif self.connected and self.close_when_flushed and not self.total_outbufs_len:
            self.close_when_flushed, self.lingers, self.unread = False, True, b""
            with suppress(OSError):  # the client has closed the connection
                self.socket.shutdown(socket.SHUT_WR)

    def readable(self) -> bool:
        if self.arriving and not self.will_close and not self.total_outbufs_len:
            body = self.arriving.arriving
            return not (self.close_when_flushed or (body and body.is_full))
        return not (
            self.requests
            or self.unread
            or self.total_outbufs_len
            or self.will_close
            or self.close_when_flushed
        )

    def received(self, data: bytes) -> bool:
        """Read at most one request. The app handles an upload as soon as its head is complete."""
        if self.lingers:
            self.will_close = self.is_overdue(time.time())
            return False
        self.unread += data
        with self.requests_lock:
            if self.arriving and self.unread:
                self._receive_rest(self.arriving)
            while self.unread and not (self.requests or self.will_close or self.close_when_flushed):
                request = self.request = self.request or self._begin_request()
                self.unread = self.unread[request.received(self.unread) :]
                if request.arriving:
                    self._begin_upload(request)
                elif request.completed:
                    self.request, self.sent_continue = None, False
                    if not request.empty:
                        self.requests.append(request)
                        self.server.add_task(self)
                elif request.expect_continue and request.headers_finished:
                    self.send_continue()
        return True

    def _begin_upload(self, request: Parser) -> None:
        """Let the app handle a request whose body arrives meanwhile."""
        assert request.arriving  # noqa: S101 # nosec B101
        if request.expect_continue:
            request.arriving.on_first_read = lambda: self.write_soon(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.arriving.on_room = self.server.pull_trigger
        self.request, self.arriving = None, request
        self.requests.append(request)
        self.server.add_task(self)
        if self.unread:
            self._receive_rest(request)

    def _receive_rest(self, request: Parser) -> None:
        self.unread = self.unread[request.received(self.unread) :]
        if request.completed:
            self.arriving = None

    def handle_close(self) -> None:
        if self.arriving and self.arriving.arriving:
            self.arriving.arriving.end(is_complete=False)
        super().handle_close()

    def _begin_request(self) -> Parser:
        request = Parser(self.adj)
        request.started = self.last_activity
        return request

    def service(self) -> None:
        super().service()
        if self.unread:
            self.server.send_soon(self)

    def held(self) -> int:
        """Return how much memory the unsent output needs."""
        return sum(buffer.held for buffer in self.outbufs if isinstance(buffer, Output))

    def reset(self) -> None:
        """Close the connection without sending the rest of the output, which the kernel would keep."""
        reset_when_closed(self.socket)
        self.handle_close()

    def is_overdue(self, now: float) -> bool:
        """Return whether the client has been idle, or slow to send or to read, for too long."""
        if self.total_outbufs_len:
            # A client that reads byte by byte may not hold a thread, and the connection to the database.
            since = self.waits_since if self.waits else self.last_activity
            return now > since + STALLED_SECONDS
        if self.lingers:
            return now > end_of_lingering(self.refused_at, self.last_activity)
        if incomplete := self.request or self.arriving:
            size = incomplete.header_bytes_received + incomplete.body_bytes_received
            return bool(now > incomplete.started + REQUEST_SECONDS + size / BYTES_PER_SECOND)
        if self.requests:
            return False
        return now > self.last_activity + KEEP_ALIVE_SECONDS

    def is_idle(self) -> bool:
        """Return whether no request or response is in progress, or was a moment ago."""
        if self.requests or self.request or self.unread or self.total_outbufs_len:
            return False
        if self.lingers:
            return time.time() > end_of_lingering(self.refused_at, self.last_activity, STOPPING_IDLE_SECONDS)
        since = max(self.last_activity, self.server.stopping_since)
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return time.time() - since > IDLE_SECONDS and not poll.poll(0)


class Server(TcpWSGIServer):  # type: ignore[misc]
    """waitress' server with a graceful shutdown and a limit for unsent output."""

    channel_class = Channel
    ready_to_send: deque[Channel]  # those with output that this thread has to send
    slow: set[Channel]  # those with output that their clients haven't read yet
    max_unsent_bytes: int
    max_waiting: int  # threads that wait for a client to read
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

    def set_socket_options(self, conn: socket.socket) -> None:
        super().set_socket_options(conn)
        with suppress(AttributeError, OSError):  # not every kernel has it
            conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, KERNEL_BUFFER_BYTES)

    def send_soon(self, channel: Channel) -> None:
        """Let the I/O thread send a channel's output now."""
        self.ready_to_send.append(channel)
        self.pull_trigger()

    def maintenance(self, now: float) -> None:
        """Close the connections of idle and slow clients."""
        for channel in list(self.active_channels.values()):
            if channel.is_overdue(now):
                channel.reset() if channel.total_outbufs_len else channel.handle_close()

    def _run_once(self) -> None:
        wasyncore.loop(timeout=0.1, map=self._map, use_poll=True, count=1)
        while self.ready_to_send:  # saves a loop that only finds out that they are writable
            channel = self.ready_to_send.popleft()
            if channel.connected:
                wasyncore.write(channel)  # an error only closes this connection
                if channel.total_outbufs_len:
                    self.slow.add(channel)
        if self.slow:
            self._reset_stalled()

    def _reset_stalled(self) -> None:
        """Reset connections while they hold too much output or too many threads.

        The one without progress for longest goes first, so a client that reads keeps its connection.
        """
        self.slow = {channel for channel in self.slow if channel.total_outbufs_len}
        bytes_over = sum(channel.held() for channel in self.slow) - self.max_unsent_bytes
        threads_over = sum(channel.waits for channel in self.slow) - self.max_waiting
        if bytes_over <= 0 and threads_over <= 0:
            return
        for channel in sorted(self.slow, key=lambda channel: channel.last_activity):
            if bytes_over > 0 or (threads_over > 0 and channel.waits):
                bytes_over -= channel.held()
                threads_over -= channel.waits
                channel.reset()
                client = {"client": channel.addr[0]}
                logger.warning(
                    "reset a connection, because its client doesn't read the response",
                    extra={"fields": client},
                )

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
        "connection_limit": connection_limit(settings, MAX_CONNECTIONS),
        "cleanup_interval": 5,
        "max_request_header_size": 16_384,
        # The app refuses bodies longer than MAX_BODY_BYTES. waitress' limit is larger, because it counts the
        # framing of chunks too.
        "max_request_body_size": 2 * settings.max_body_bytes,
        "inbuf_overflow": 4 * settings.max_body_bytes,  # never reached, so no temporary files
        "outbuf_high_watermark": STREAM_BUFFER_BYTES,
        "ident": None,
        "clear_untrusted_proxy_headers": False,  # the app ignores them unless the proxy is trusted
    }
    sockinfo = (listener.family, listener.type, listener.proto, listener.getsockname())
    adjustments = Adjustments(**limits)
    adjustments.max_content_length = settings.max_body_bytes
    adjustments.takes_upload = takes_uploads(app)
    adjustments.of_uploads = copy(adjustments)
    adjustments.of_uploads.max_request_body_size = sys.maxsize  # the app has its own limits
    server = Server(app, {}, _sock=listener, adj=adjustments, sockinfo=sockinfo, bind_socket=False)
    server.ready_to_send, server.slow = deque(), set()
    server.max_unsent_bytes = settings.max_unsent_bytes
    server.max_waiting = max(1, settings.threads * 3 // 4)
    server.stopping = lifecycle.stopping(app)
    lifecycle.measure_queue(app, lambda: len(server.task_dispatcher.queue))
    return server


def serve(app: Flask, settings: Settings, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT."""
    gc.freeze()  # skip loaded modules in collections, which otherwise triple the cost of parsing nested JSON
    if settings.web_concurrency > 1:  # some hosts always set it, so only warn
        logger.warning("WEB_CONCURRENCY has no effect. Only SERVER=gunicorn has several processes.")
    server = create_server(app, settings, listener)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.stop)
    with lifecycle.serving(app):
        server.run()
    for number in (signal.SIGTERM, signal.SIGINT):  # a second signal would kill the process while it exits
        signal.signal(number, signal.SIG_IGN)
