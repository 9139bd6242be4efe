"""An app with streamed responses: `tests.support.streaming_app:create_app()`."""

from collections.abc import Iterator

from flask import Flask, Response, jsonify, stream_with_context
from sqlalchemy import text

from app import create_app as create
from app.database import db
from kit.errors import NotFound
from kit.web.endpoint import endpoint

ROWS = """
WITH RECURSIVE numbers (number) AS (
    SELECT 1 UNION ALL SELECT number + 1 FROM numbers WHERE number < :last
) SELECT number, 'a text of thirty-two characters.' FROM numbers
"""
IN_TRANSACTION = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND state LIKE 'idle in transaction%'
"""


def create_app() -> Flask:
    app = create()
    numbers = endpoint()(stream_numbers)
    app.add_url_rule("/numbers/<int:last>", view_func=numbers)
    app.add_url_rule("/numbers/<int:last>/<int:broken>", view_func=numbers)
    app.add_url_rule("/without-database/<int:last>", view_func=stream_without_database)
    app.add_url_rule("/connections", view_func=count_connections)
    return app


def stream_numbers(last: int, broken: int = 0) -> Response:
    """Stream the numbers, and fail when `broken` has been reached."""
    return Response(stream_with_context(_numbers(last, broken)), content_type="text/plain")


def stream_without_database(last: int) -> Iterator[str]:
    return (f"{number}\n" for number in range(1, last + 1))


def count_connections() -> Response:
    """Count the connections in use, and those left in a transaction."""
    open_transactions = db.session.scalar(text(IN_TRANSACTION)) if len(db.engines) > 1 else 0
    db.session.remove()
    in_use = sum(engine.pool.checkedout() for engine in db.engines.values())  # type: ignore[attr-defined]
    return jsonify(in_use=in_use, open_transactions=open_transactions)


def _numbers(last: int, broken: int) -> Iterator[str]:
    if last == 0:
        raise NotFound
    rows = db.session.execute(text(ROWS), {"last": last}, execution_options={"yield_per": 1000})
    for part in rows.partitions(1000):
        if broken and part[-1][0] >= broken:
            raise RuntimeError("a bug in the middle")
        yield "".join(f"{number} {words}\n" for number, words in part)
