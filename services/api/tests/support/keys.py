"""API keys for tests."""

from datetime import datetime
from uuid import UUID

from app.config import KEY_PREFIX
from app.database import db
from app.model.api_keys import ApiKeyRepository
from kit.security.api_keys import key_hash, new_key
from tests.support.people import Person


def make_key(person: Person, *scopes: str, name: str = "deploy", expires_at: datetime | None = None) -> str:
    """Create an API key of a user, without a request."""
    key = new_key(KEY_PREFIX)
    with person.client.application.app_context():
        listed = " ".join(sorted(scopes))
        ApiKeyRepository(db.session).create(UUID(person.id), name, listed, expires_at, key_hash(key))
        db.session.commit()
    return key
