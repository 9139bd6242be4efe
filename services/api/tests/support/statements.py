"""Limit the number of SQL statements, which finds N+1 queries."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, event

NOT_COUNTED = (
    "BEGIN",
    "SAVEPOINT",
    "RELEASE",
    "ROLLBACK",
)  # the tests send these too: each test is one transaction


@contextmanager
def statements() -> Iterator[list[str]]:
    """Return the statements that the block sends."""
    sent: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        if not statement.startswith(NOT_COUNTED):
            sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@contextmanager
def assert_statements(most: int) -> Iterator[None]:
    """Fail if the block sends more statements. BEGIN and COMMIT aren't counted."""
    with statements() as sent:
        yield
    advice = (
        f"{len(sent)} statements, but at most {most} are allowed. If your route needs them, add it "
        "to BUDGET in tests/integration/test_statements.py. These were sent:"
    )
    assert len(sent) <= most, "\n\n".join([advice, *sent])
