"""Your API keys, for programs that use the API in your name."""

from uuid import UUID

from flask import Blueprint

from app.authentication import ACCESS_TOKEN, FRESH_TOKEN, SessionCaller, check_again
from app.blueprint.schemas import PageQuery
from app.config import KEY_PREFIX
from app.database import db
from app.events import Event
from app.exceptions import KeyNotFound, TooManyKeys
from app.keys import schemas
from app.keys.schemas import ApiKeyList, CreatedApiKey, KeyChange, NewKey
from app.model.api_keys import NEWEST_FIRST, ApiKey, ApiKeyRepository
from app.model.user_repository import UserRepository
from kit.security.api_keys import key_hash, new_key
from kit.security.events import record
from kit.web.endpoint import endpoint
from kit.web.pagination import decode_cursor, page_response

blueprint = Blueprint("keys", __name__, url_prefix="/account/keys")


@blueprint.get("")
@endpoint(auth=ACCESS_TOKEN, keys=False, query=PageQuery, returns=ApiKeyList)
def list_keys(caller: SessionCaller, query: PageQuery) -> tuple[ApiKeyList, dict[str, str]]:
    """List your API keys. The newest come first; expired ones are listed, too."""
    after = decode_cursor(query.cursor, NEWEST_FIRST)
    page = ApiKeyRepository(db.session).page(caller.user.id, query.limit, after)
    return page_response(ApiKeyList, page, _body)


@blueprint.post("")
@endpoint(
    auth=FRESH_TOKEN,
    keys=False,
    body=NewKey,
    returns=CreatedApiKey,
    status=201,
    headers=["Location"],
    raises=[TooManyKeys],
)
def create(caller: SessionCaller, body: NewKey) -> tuple[CreatedApiKey, dict[str, str]]:
    """Create an API key. The response is the only one that shows it. Requires a recent login."""
    _lock_and_check(caller)
    secret = new_key(KEY_PREFIX)
    key = ApiKeyRepository(db.session).create(
        caller.user.id, body.name, " ".join(body.scopes), body.expires_at, key_hash(secret)
    )
    record(Event.KEY_CREATED, caller.user.id, key_id=str(key.id), scopes=key.scopes)
    db.session.commit()
    created = CreatedApiKey.of(key, scopes=body.scopes, key=secret)
    return created, {"Location": f"/account/keys/{key.id}"}


@blueprint.get("/<uuid:key_id>")
@endpoint(auth=ACCESS_TOKEN, keys=False, returns=schemas.ApiKey, raises=[KeyNotFound])
def read(caller: SessionCaller, key_id: UUID) -> schemas.ApiKey:
    """Get an API key."""
    return _body(ApiKeyRepository(db.session).find(caller.user.id, key_id))


@blueprint.patch("/<uuid:key_id>")
@endpoint(auth=FRESH_TOKEN, keys=False, body=KeyChange, returns=schemas.ApiKey, raises=[KeyNotFound])
def change(caller: SessionCaller, body: KeyChange, key_id: UUID) -> schemas.ApiKey:
    """Change an API key. Fields that you leave out keep their values. Requires a recent login."""
    _lock_and_check(caller)
    keys = ApiKeyRepository(db.session)
    key = keys.find_locked(caller.user.id, key_id)
    fields = body.model_dump(exclude_unset=True)
    if "scopes" in fields:
        fields["scopes"] = " ".join(fields["scopes"])
    if keys.update(key, fields):
        record(Event.KEY_CHANGED, caller.user.id, key_id=str(key.id), scopes=key.scopes)
    db.session.commit()
    return _body(key)


@blueprint.delete("/<uuid:key_id>")
@endpoint(auth=ACCESS_TOKEN, keys=False, status=204, raises=[KeyNotFound])
def delete(caller: SessionCaller, key_id: UUID) -> None:
    """Delete an API key. It stops working immediately."""
    removed = ApiKeyRepository(db.session).remove(caller.user.id, key_id)
    record(Event.KEY_DELETED, caller.user.id, key_id=str(key_id), scopes=removed.scopes)
    db.session.commit()


def _lock_and_check(caller: SessionCaller) -> None:
    """Lock the caller's account, and check the token again.

    Otherwise a request that was on its way during a logout or a password reset could leave a key behind.
    """
    UserRepository(db.session).lock(caller.user.id)
    check_again(caller)


def _body(key: ApiKey) -> schemas.ApiKey:
    return schemas.ApiKey.of(key, scopes=key.scopes.split(" "))
