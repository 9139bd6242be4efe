"""Accounts are registered here, sessions opened, carried on and ended, tokens listed and revoked."""

from contextlib import suppress
from uuid import UUID

from flask import Blueprint

from app import limits
from app.authentication import (
    ACCESS_TOKEN,
    REFRESH_TOKEN,
    Caller,
    lifetimes,
    origin,
    passwords,
)
from app.blueprint.endpoint import endpoint
from app.blueprint.paging import listed, place
from app.blueprint.schemas import (
    Account,
    ListedToken,
    Login,
    Logout,
    NewAccount,
    TokenChange,
    TokenList,
    TokenPair,
    TokenQuery,
)
from app.database import db
from app.exceptions import (
    InvalidCredentials,
    Overloaded,
    PasswordRefused,
    RevocationIsFinal,
    TokenNotFound,
    TokenReused,
    TooManyAttempts,
    UsernameTaken,
)
from app.jwt_profile import encode
from app.model.models import Reason, User
from app.model.passwords import PasswordHash
from app.model.session_repository import Pair, Presented, SessionRepository
from app.model.token_repository import NEWEST_FIRST, TokenRepository
from app.model.user_repository import UserRepository
from app.security_events import Event, tell

blueprint = Blueprint("auth", __name__, url_prefix="/auth")


@blueprint.post("/register")
@endpoint(
    body=NewAccount,
    returns=Account,
    status=201,
    headers=["Location"],
    raises=[UsernameTaken, PasswordRefused, TooManyAttempts, Overloaded],
)
def register(body: NewAccount) -> tuple[Account, dict[str, str]]:
    """Register an account. The name is kept as written and unique whatever its case."""
    passwords().check(body.password, body.username)
    with limits.registration():
        user = UserRepository(db.session).register(body.username, passwords().hash(body.password))
        db.session.commit()
    tell(Event.REGISTERED, user.id)
    return Account.of(user), {"Location": "/account"}


@blueprint.post("/login")
@endpoint(body=Login, returns=TokenPair, raises=[InvalidCredentials, TooManyAttempts, Overloaded])
def login(body: Login) -> TokenPair:
    """Open a session. Beyond 50 of one account, the least recently refreshed one ends."""
    users, sessions = UserRepository(db.session), SessionRepository(db.session)
    found, is_known = users.seen_at(body.username, limits.client())
    with limits.login(body.username, found.id if found else None, is_known=is_known):
        verified = passwords().verify(body.password, found.password_hash if found else None)
        if not found or not verified:
            raise InvalidCredentials
        upgraded = _upgrade(found, body.password)
        user = users.lock_unchanged(found)
        if not user:
            raise InvalidCredentials
        user.password_hash = upgraded or user.password_hash
        pair = sessions.open(user.id, origin(), lifetimes())
    tell(Event.LOGGED_IN, user.id)
    return _write(pair)


@blueprint.post("/refresh")
@endpoint(needs=REFRESH_TOKEN, returns=TokenPair)
def refresh(caller: Presented) -> TokenPair:
    """Spend a refresh token for a new pair. The access token of before lives on until it expires.

    A refresh token works once. Presented again within seconds, while the new one is unused, it is answered
    with the same new pair: the first answer may have been lost. Later, its whole session ends.
    """
    pair = SessionRepository(db.session).refresh(caller, origin(), lifetimes())
    TokenRepository(db.session).prune(caller.user_id)
    db.session.commit()
    if pair is None:
        tell(Event.TOKEN_REUSED, caller.user_id)
        raise TokenReused
    return _write(pair)


@blueprint.post("/logout")
@endpoint(needs=ACCESS_TOKEN, body=Logout, body_is_optional=True, status=204)
def logout(caller: Caller, body: Logout) -> None:
    """End this session, the other ones, or all. Their tokens are dead when the answer arrives."""
    sessions = SessionRepository(db.session)
    if body.scope == "session":
        sessions.end(caller.session_id, Reason.LOGOUT)
    else:
        UserRepository(db.session).lock(caller.user.id)
        sessions.end_all(
            caller.user.id, Reason.LOGOUT, keep=caller.session_id if body.scope == "others" else None
        )
    db.session.commit()
    tell(Event.LOGGED_OUT, caller.user.id, scope=body.scope)


@blueprint.get("/token")
@endpoint(needs=ACCESS_TOKEN, query=TokenQuery, returns=TokenList)
def list_tokens(caller: Caller, query: TokenQuery) -> tuple[TokenList, dict[str, str]]:
    """List your tokens, newest first: the live ones, or with `active=false` all."""
    page = TokenRepository(db.session).page(
        caller.user.id, active=query.active, limit=query.limit, after=place(query.cursor, NEWEST_FIRST)
    )
    return listed(TokenList, page, lambda token: ListedToken.of(token, caller.token_id))


@blueprint.put("/token/<token_id>")
@endpoint(
    needs=ACCESS_TOKEN, body=TokenChange, returns=ListedToken, raises=[TokenNotFound, RevocationIsFinal]
)
def change_token(caller: Caller, body: TokenChange, token_id: str) -> ListedToken:
    """Revoke one of your tokens; with a refresh token its session ends. Again changes nothing."""
    tokens = TokenRepository(db.session)
    token = tokens.get_locked(caller.user.id, _uuid(token_id))
    if body.revoke:
        tokens.revoke(token)
    elif token.dead_since:
        raise RevocationIsFinal
    db.session.commit()
    if body.revoke:
        tell(Event.TOKEN_REVOKED, caller.user.id, token_id=str(token.id))
    return ListedToken.of(token, caller.token_id)


def _upgrade(user: User, password: str) -> PasswordHash | None:
    """Hash the password anew if its hash is of older settings; a busy moment leaves that for later."""
    if not passwords().is_current(user.password_hash):
        with suppress(Overloaded):
            return passwords().hash(password)
    return None


def _uuid(text: str) -> UUID:
    """Read a UUID in its one canonical spelling. Raises TokenNotFound: no token has another one."""
    try:
        uuid = UUID(text)
    except ValueError as error:
        raise TokenNotFound from error
    if str(uuid) != text:
        raise TokenNotFound
    return uuid


def _write(pair: Pair) -> TokenPair:
    return TokenPair(
        access_token=encode(pair.access),
        refresh_token=encode(pair.refresh),
        expires_in=pair.seconds_left(pair.access),
        refresh_expires_in=pair.seconds_left(pair.refresh),
        session_id=pair.refresh.session_id,
    )
