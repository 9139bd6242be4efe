"""Requests that may be repeated (draft-ietf-httpapi-idempotency-key-header): a function that a view calls."""

import json
import re
from collections.abc import Callable
from hashlib import sha256

from flask import Response, request
from pydantic import BaseModel

from app.authentication import Caller
from app.blueprint.schemas import FieldError
from app.blueprint.validation import ValidationFailed
from app.database import db
from app.exceptions import KeyInUse, KeyReused
from app.model.answer_repository import AnswerRepository

HEADER = "Idempotency-Key"
FORM = re.compile(r"[!-~]{1,255}")
Resource = tuple[BaseModel, dict[str, str]]
RAISES = (KeyInUse, KeyReused)


def once(caller: Caller, body: BaseModel, create: Callable[[], Resource]) -> Resource | Response:
    """Create something and commit. With an Idempotency-Key this happens once: whoever repeats the request
    within a day is answered as the first was. Raises KeyInUse, KeyReused and ValidationFailed.

    The answer is stored in the transaction that creates: there is none without the other.
    """
    key = request.headers.get(HEADER)
    if key is None:
        created = create()
        db.session.commit()
        return created
    if not FORM.fullmatch(key):
        sentence = "Give 1 to 255 characters of printable ASCII without spaces."
        raise ValidationFailed([FieldError(parameter=HEADER, code="invalid_format", detail=sentence)])
    answers = AnswerRepository(db.session)
    answer = answers.reserve(caller.user.id, key, _fingerprint(body))
    if answer.body is not None:
        return Response(answer.body, 201, json.loads(answer.headers or "{}"), content_type="application/json")
    resource, headers = create()
    answer.body, answer.headers = resource.model_dump_json(), json.dumps(headers)
    answers.prune(caller.user.id)
    db.session.commit()
    return resource, headers


def _fingerprint(body: BaseModel) -> str:
    """Return what two requests have in common that ask for the same."""
    request_of = (request.method, request.path, body.model_dump_json(exclude_unset=True))
    return sha256("\n".join(request_of).encode()).hexdigest()
