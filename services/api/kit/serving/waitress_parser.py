"""waitress' parser, made strict about where a request ends. Uses internals of waitress 3.0.x."""

import re
from collections import deque
from collections.abc import Callable
from threading import Condition
from typing import Any

from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import ChunkedReceiver
from waitress.rfc7230 import CHUNK_EXT, TOKEN
from waitress.utilities import BadRequest, RequestEntityTooLarge

TRANSFER_ENCODING = re.compile(rb"\r\ntransfer-encoding:([^\r]*)")
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})%b\r\n" % CHUNK_EXT.encode())
TRAILER = re.compile(rb"(%b:[\t -~\x80-\xff]*)?\r\n" % TOKEN.encode())
MAX_UNREAD_BYTES = 262_144  # of an upload; more isn't read from the connection
MAX_LINE_BYTES = 8192  # of a chunk's size or a trailer


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """One request. It is refused if a proxy could read it as two (RFC 9112, section 11.2)."""

    adj: Any
    path = ""  # waitress logs it even if parsing has failed
    body_rcv: Any = None
    started: float = 0
    arriving: "ArrivingBody | None" = None  # the body of an upload, which the app reads while it arrives

    def received(self, data: bytes) -> int:
        consumed = int(super().received(data))
        if self.arriving and self.completed:
            self.arriving.end(is_complete=self.error is None)
        return consumed

    def parse_header(self, header_plus: bytes) -> None:
        _refuse_ambiguous_framing(header_plus)
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # a URI with a broken IPv6 address
            raise ParsingError("Bad URI") from error
        if self.version not in ("1.0", "1.1"):  # waitress takes it for 1.0, which needs no Host
            raise ParsingError("Bad version")
        if self.chunked:
            self.body_rcv = ChunkedBody(self.body_rcv.buf)
        if self.body_rcv is not None and self.adj.takes_upload(self.command.upper(), self.path):
            self._let_the_app_read()
        elif self.content_length > self.adj.max_content_length:  # refuse it before the client sends it
            self.error = RequestEntityTooLarge("The announced body is too long.")
            self.completed = True

    def _let_the_app_read(self) -> None:
        """Leave the limits of the body to the app, which checks the caller first."""
        self.arriving = self.body_rcv.buf = ArrivingBody()
        self.adj = self.adj.of_uploads
        if self.chunked:  # waitress removed it, because it decodes the chunks before it calls the app
            self.headers["TRANSFER_ENCODING"] = "chunked"


def _refuse_ambiguous_framing(head: bytes) -> None:
    if b"\r\n " in head or b"\r\n\t" in head:  # RFC 9112, section 5.2
        raise ParsingError("folded line")
    lower = head.lower()
    if b"\r\ntransfer-encoding:" not in lower:
        return
    codings, *more = TRANSFER_ENCODING.findall(lower)
    names = [name.strip(b" \t") for name in codings.split(b",")]
    first_line = lower.partition(b"\r\n")[0]
    if (
        more
        or b"" in names
        or names.count(b"chunked") > 1
        or b"\r\ncontent-length:" in lower
        or not first_line.endswith(b" http/1.1")
    ):
        raise ParsingError("ambiguous Transfer-Encoding")


class ChunkedBody(ChunkedReceiver):  # type: ignore[misc]
    """A chunked body. waitress' own class accepts bare line feeds and empty lines in it."""

    error: BadRequest | None = None
    line = b""  # the beginning of an incomplete line
    missing = 0  # bytes of a chunk and of the line break after it
    has_ended = False  # only trailers are left

    def received(self, data: bytes) -> int:
        """Decode data. Return how many bytes of it belong to this body."""
        rest, at = self.line + data, 0
        while at < len(rest) and not (self.completed or self.error):
            if self.missing > 2:
                part = rest[at : at + self.missing - 2]
                self.buf.append(part)
                self.missing -= len(part)
                at += len(part)
            elif end := rest.find(b"\n", at, at + MAX_LINE_BYTES) + 1:
                self._read_line(rest[at:end])
                at = end
            else:
                if len(rest) - at >= MAX_LINE_BYTES:
                    self.error = BadRequest("The line is too long.")
                break
        self.line = rest[at:]
        return len(data) - len(self.line) if self.completed else len(data)

    def _read_line(self, line: bytes) -> None:
        is_valid = True
        if self.missing:
            is_valid, self.missing = line == b"\r\n", 0
        elif self.has_ended:
            is_valid, self.completed = bool(TRAILER.fullmatch(line)), line == b"\r\n"
        elif size := CHUNK_SIZE.fullmatch(line):
            length = int(size[1], 16)
            self.missing, self.has_ended = length and length + 2, not length
        else:
            is_valid = False
        if not is_valid:
            self.error = BadRequest("The chunks are malformed.")


class ArrivingBody:
    """The body of a request that a thread reads while the I/O thread receives it.

    It is the buffer of waitress' receivers and the `wsgi.input` of the app.
    """

    def __init__(self) -> None:
        self.parts: deque[bytes] = deque()
        self.unread = 0  # bytes
        self.total = 0
        self.has_ended = self.is_complete = False
        self.changed = Condition()
        self.on_first_read: Callable[[], object] | None = None
        self.on_room: Callable[[], object] | None = None  # called when it was full and isn't any more

    def __len__(self) -> int:
        return self.total

    def __bool__(self) -> bool:
        return True  # an empty one, too

    @property
    def is_full(self) -> bool:
        return self.unread >= MAX_UNREAD_BYTES

    def append(self, data: bytes) -> None:
        with self.changed:
            if not self.has_ended:
                self.parts.append(data)
                self.unread += len(data)
                self.total += len(data)
                self.changed.notify()

    def end(self, *, is_complete: bool) -> None:
        """Let the reader see the end, or fail if the body isn't complete."""
        with self.changed:
            if not self.has_ended:
                self.has_ended, self.is_complete = True, is_complete
                self.changed.notify()

    def read(self, size: int = -1) -> bytes:
        """Wait for data. Return at most so many bytes, and none at the end. Raises OSError."""
        if size < 0:
            return b"".join(iter(lambda: self.read(MAX_UNREAD_BYTES), b""))
        if self.on_first_read:
            self.on_first_read()
            self.on_first_read = None
        with self.changed:
            while not (self.parts or self.has_ended):
                self.changed.wait()
            if not self.parts:
                if not self.is_complete:
                    raise ConnectionResetError("The body is incomplete.")
                return b""
            was_full = self.is_full
            data = self._take(size)
            self.unread -= len(data)
            has_room = was_full and not self.is_full
        if has_room and self.on_room:
            self.on_room()
        return data

    def _take(self, size: int) -> bytes:
        """Join parts, because chunks can have a single byte each."""
        taken, missing = [], size
        while missing > 0 and self.parts:
            part = self.parts.popleft()
            if len(part) > missing:
                self.parts.appendleft(part[missing:])
            taken.append(part[:missing])
            missing -= len(part)
        return b"".join(taken)

    def getfile(self) -> "ArrivingBody":
        return self

    def close(self) -> None:
        with self.changed:
            self.parts.clear()
            self.unread = 0
            self.has_ended = True
