"""PostgreSQL's COPY, for commands."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import current_thread, main_thread

import psycopg2
from flask import has_request_context
from psycopg2 import extensions

from kit.data.database import db
from kit.data.limited_connection import wait
from kit.data.postgresql import command_prefix


@contextmanager
def bulk_copy() -> Iterator[extensions.cursor]:
    """Open a cursor for COPY (`copy_expert`), in a transaction that is committed at the end.

    psycopg2 refuses COPY while calls have a time limit (a wait callback), which applies to the whole process.
    So there is none during the block, and no other thread may be running.
    """
    if has_request_context() or current_thread() is not main_thread():
        raise RuntimeError("bulk_copy() is for commands: a request can't use COPY. Stream rows instead.")
    # part: sqlite
    if db.engine.dialect.name != "postgresql":
        raise RuntimeError("bulk_copy() needs PostgreSQL: SQLite has no COPY.")
    # end of part
    _, arguments = db.engine.dialect.create_connect_args(db.engine.url)
    extensions.set_wait_callback(None)
    try:
        with closing(psycopg2.connect(**arguments)) as connection, connection, connection.cursor() as cursor:
            cursor.execute(command_prefix())
            yield cursor
    finally:
        extensions.set_wait_callback(wait)
