"""waitress' parser, made strict about where a request ends. Uses internals of waitress 3.0.x."""

import re
from typing import Any

from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import ChunkedReceiver
from waitress.rfc7230 import CHUNK_EXT, TOKEN
from waitress.utilities import BadRequest, RequestEntityTooLarge

TRANSFER_ENCODING = re.compile(rb"\r\ntransfer-encoding:([^\r]*)")
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})%b\r\n" % CHUNK_EXT.encode())
TRAILER = re.compile(rb"(%b:[\t -~\x80-\xff]*)?\r\n" % TOKEN.encode())
MAX_LINE_BYTES = 8192  # of a chunk's size or a trailer


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """One request. It is refused if a proxy could read it as two (RFC 9112, section 11.2)."""

    path = ""  # waitress logs it even if parsing has failed
    body_rcv: Any = None
    started: float = 0

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
        if self.content_length > self.adj.max_content_length:  # refuse it before the client sends it
            self.error = RequestEntityTooLarge("The announced body is too long.")
            self.completed = True


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
