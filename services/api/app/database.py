"""The database session, `db.session`. Importing it from here makes sure that all models are loaded."""

from app import model
from kit.data.database import db, read_connection, release, writing

__all__ = ["db", "model", "read_connection", "release", "writing"]
