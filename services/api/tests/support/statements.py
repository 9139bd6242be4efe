"""Holds work to its number of SQL statements: a list that asks for each of its rows is found so."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, event

NOT_COUNTED = ("BEGIN", "SAVEPOINT", "RELEASE", "ROLLBACK")  # the tests' own: each test is one transaction


@contextmanager
def assert_statements(most: int) -> Iterator[None]:
    """Fail if what is done inside sends more statements than that. BEGIN and COMMIT are not counted."""
    sent: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        if not statement.startswith(NOT_COUNTED):
            sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    advice = (
        f"{len(sent)} statements, where at most {most} are allowed. If a route of yours needs them, add it "
        "to BUDGET in tests/integration/test_statements.py. These were sent:"
    )
    assert len(sent) <= most, "\n\n".join([advice, *sent])
