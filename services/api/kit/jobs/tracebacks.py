"""Tracebacks that can be stored: without the values that error messages contain."""

from collections.abc import Iterator
from traceback import format_tb

from pydantic import ValidationError

from kit.data.database import reason_of
from kit.jobs.jobs import reasons

MAX_MESSAGE = 500


def traceback_of(error: BaseException) -> str:
    """Return a traceback with the causes of the error, oldest first.

    It has only the first line of each message: the others of a database error contain the row.
    """
    text = "\n".join(
        f"Traceback (most recent call last):\n{''.join(format_tb(each.__traceback__))}"
        f"{type(each).__qualname__}: {_message(each)}\n"
        for each in reversed(list(_causes(error)))
    )
    # PostgreSQL stores neither NUL nor lone surrogates.
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _message(error: BaseException) -> str:
    message = reasons(error) if isinstance(error, ValidationError) else reason_of(error)
    return message[:MAX_MESSAGE]
