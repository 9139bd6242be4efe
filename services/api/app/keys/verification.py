"""Finds the caller of an API key, counts the request, and notes when the key was used."""

import logging

from flask import request
from sqlalchemy.exc import SQLAlchemyError

from app.authentication import KeyCaller, current_caller, lifetimes
from app.config import KEY_PREFIX, current
from app.database import db, read_connection, release, writing
from app.model.api_keys import ApiKeyRepository, FoundKey, find_user_by_key
from kit.clock import now
from kit.data.attempts import CONFIRMED
from kit.data.database import reason_of
from kit.errors import InvalidToken
from kit.security.api_keys import is_key, key_hash
from kit.web.rate_limits import limit_keys, reserve

logger = logging.getLogger("app.keys")


def verify(key: str) -> KeyCaller:
    """Return the caller of a key. Raises InvalidToken, TokenExpired, TokenRevoked and TooManyAttempts."""
    if not is_key(KEY_PREFIX, key):
        raise InvalidToken
    with read_connection() as connection:
        found = find_user_by_key(connection, key_hash(key), lifetimes().leeway)
    if current_caller() is None:  # otherwise the same request is verified again, with its complete body
        _count(found)
    _note_use(found)
    return KeyCaller(found.user, found.key_id, found.scopes)


def _count(found: FoundKey) -> None:
    if limit := current().key_limit:
        with writing():
            reserve({limit_keys("api key", str(found.key_id)): limit}, CONFIRMED)


def _note_use(found: FoundKey) -> None:
    """Record the key's last use. If the write fails, continue the request."""
    time = now()
    if not found.is_use_due(time):
        return
    with writing():
        try:
            ApiKeyRepository(db.session).note_use(found.key_id, time, request.remote_addr)
            db.session.commit()
        except SQLAlchemyError as error:
            db.session.rollback()
            logger.warning("could not record the last use of an API key: %s", reason_of(error))
        finally:
            release()
