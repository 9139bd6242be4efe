"""Requests that can be repeated safely (draft-ietf-httpapi-idempotency-key-header)."""

import json
import re
from collections.abc import Callable
from hashlib import sha256
from uuid import UUID

from flask import Response, request

from kit.data.database import db
from kit.data.stored_responses import StoredResponseRepository
from kit.errors import FieldError, IdempotencyKeyInUse, IdempotencyKeyReused
from kit.security.keyed_hash import keyed_hashes
from kit.settings import Settings, current
from kit.web.errors import ValidationFailed
from kit.web.paths import with_prefix
from kit.web.schemas import RequestBody, ResponseBody

HEADER = "Idempotency-Key"
FORMAT = re.compile(r"[!-~]{1,255}")
Created = tuple[ResponseBody, dict[str, str]]
IDEMPOTENCY_ERRORS = (IdempotencyKeyInUse, IdempotencyKeyReused)


def run_idempotently(user_id: UUID, body: RequestBody, create: Callable[[], Created]) -> Created | Response:
    """Create something and commit; a request with the same Idempotency-Key gets the same response for a day.

    The response is stored in the same transaction. Raises IDEMPOTENCY_ERRORS and ValidationFailed.
    """
    key = request.headers.get(HEADER)
    if key is None:
        created = create()
        db.session.commit()
        return created
    if not FORMAT.fullmatch(key):
        detail = "Give 1 to 255 printable ASCII characters without spaces."
        raise ValidationFailed([FieldError(detail, "invalid_format", parameter=HEADER)])
    responses = StoredResponseRepository(db.session)
    stored = responses.reserve(user_id, key, _fingerprints(body))
    if stored.body is not None:
        stored_headers = with_prefix(json.loads(stored.headers or "{}"))
        return Response(stored.body, 201, stored_headers, content_type="application/json")
    resource, headers = create()
    stored.body, stored.headers = resource.model_dump_json(), json.dumps(headers)
    responses.prune(user_id)
    db.session.commit()
    return resource, headers


def _fingerprints(body: RequestBody) -> list[str]:
    """Return digests that equal requests have in common, one for each signing key. Store the first.

    They are keyed, because a body may contain little but a name or an address.
    """
    parts = (request.method, request.path, body.model_dump_json(exclude_unset=True))
    hashes = keyed_hashes(current(Settings).signing_keys, "idempotency", *parts)
    of_0_1_0 = sha256("\n".join(parts).encode())  # not keyed; these rows expire a day after the update
    return [each.hex() for each in (*hashes, of_0_1_0.digest())]
