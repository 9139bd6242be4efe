"""Streamed responses: a view returns a generator, and its chunks are sent as it yields them."""

import errno
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from flask import Response, request

BODILESS = (204, 304)


class BrokenOff(BrokenPipeError):
    """A streamed body failed, which is already logged. The server only closes the connection."""

    def __init__(self) -> None:
        super().__init__(errno.EPIPE, "the body broke off")


def is_streamed(response: Response) -> bool:
    """Return whether the body is generated while it is sent."""
    if isinstance(response.response, list | tuple) or response.direct_passthrough:
        return False
    return request.method != "HEAD" and response.status_code not in BODILESS


def begin(response: Response) -> None:
    """Generate the first chunk, while a failure can still be answered with a problem."""
    chunks: Iterator[Any] = iter(response.response)
    if close := getattr(chunks, "close", None):
        response.call_on_close(close)
    first = next(filter(None, chunks), None)
    response.response = [] if first is None else chain([first], chunks)


class Watched:
    """A body that calls `end` once: with None if it is complete, or with the exception that interrupted it.

    That is GeneratorExit if the client has disconnected.
    """

    def __init__(self, body: Any, end: Callable[[BaseException | None], None]) -> None:
        self.chunks: Iterator[Any] = iter(body)
        self.end: Callable[[BaseException | None], None] | None = end

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self.chunks)
        except StopIteration:
            self._end(None)
            raise
        except Exception as error:
            self._end(error)
            raise BrokenOff from error

    def close(self) -> None:
        self._end(GeneratorExit())

    def _end(self, error: BaseException | None) -> None:
        end, self.end = self.end, None
        if end:
            end(error)
