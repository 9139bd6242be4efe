"""Print the JWTs of random sessions that fill.sh created, one JSON line per session: [access, refresh].

It runs from standard input in a container of the API, which has the signing key: python - USERS COUNT
"""

import json
import sys
from hashlib import md5
from random import sample
from uuid import UUID

from sqlalchemy import select

from app import create_app
from app.authentication import encode
from app.database import db
from app.model.models import Token

users, count = map(int, sys.argv[1:])
chosen = sample(range(1, users + 1), min(users, count))
sessions = [UUID(md5(f"session {n}".encode(), usedforsecurity=False).hexdigest()) for n in chosen]
with create_app().app_context():
    live = select(Token).where(Token.session_id.in_(sessions), Token.revoked_at.is_(None))
    pairs: dict[UUID, dict[str, str]] = {}
    for token in db.session.scalars(live):
        pairs.setdefault(token.session_id, {})[token.type] = encode(token)
for pair in pairs.values():
    print(json.dumps([pair["access"], pair["refresh"]]))
