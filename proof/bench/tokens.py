"""Prints the JWTs of so many random live sessions that fill.sh made, a JSON line each: [access, refresh].

Runs in a container of the API, which alone has the key, from standard input: python - USERS COUNT
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
