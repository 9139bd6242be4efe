"""Checks that a SQLite database can be used. SQLite would fail at the first request, without a reason."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def fault(file: Path) -> str | None:
    """Return why the database can't be used, or None. A missing file is fine."""
    try:
        return _fault_of_folder(file.parent) or (_fault_of_file(file) if file.exists() else None)
    except OSError as error:
        return f"{file} can't be used ({error.strerror})"


def _fault_of_folder(folder: Path) -> str | None:
    if not folder.is_dir():
        return f"the folder {folder} doesn't exist: create it, or mount a volume there"
    if not os.access(folder, os.W_OK | os.X_OK):  # SQLite writes its log and locks there
        return (
            f"uid {os.getuid()} can't write to the folder {folder}: make it writable, or mount a volume there"
        )
    return None


def _fault_of_file(file: Path) -> str | None:
    if not os.access(file, os.R_OK | os.W_OK):
        return f"uid {os.getuid()} can't read and write {file}"
    try:
        with closing(sqlite3.connect(f"file:{quote(str(file))}?mode=rw", uri=True, timeout=0)) as connection:
            connection.execute("PRAGMA schema_version")
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", None) not in BUSY:  # another process uses it
            return f"{file} can't be opened ({error})"
    return None
