"""Ends the API keys of an account. This works without the views and commands in app/keys, too."""

from uuid import UUID

from app.database import db
from app.events import Event
from app.model.api_keys import ApiKeyRepository
from kit.security.events import record


def end_keys(user_id: UUID) -> None:
    """Delete the API keys of a locked account, because an attacker may know them."""
    for key in ApiKeyRepository(db.session).remove_all(user_id):
        record(Event.KEY_DELETED, user_id, key_id=str(key.id), scopes=key.scopes)
