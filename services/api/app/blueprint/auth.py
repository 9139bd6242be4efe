"""Registration, sessions and tokens."""

from typing import Any

from flask import Blueprint

from app import limits
from app.account_factor import account_factor
from app.account_mail import Notice, account_mail
from app.authentication import (
    ACCESS_TOKEN,
    ENROLLING_TOKEN,
    REFRESH_TOKEN,
    SESSION,
    SessionCaller,
    client_info,
    encode,
    lifetimes,
    passwords,
    require_access_token,
)
from app.blueprint.schemas import (
    AccessToken,
    Account,
    ListedToken,
    Login,
    Logout,
    NewAccount,
    StepUp,
    TokenChange,
    TokenList,
    TokenPair,
    TokenQuery,
)
from app.confirmation import CONFIRMATION_ERRORS, confirmed
from app.database import db
from app.events import Event
from app.exceptions import (
    EmailUnverified,
    InvalidCredentials,
    RevocationIsFinal,
    TokenNotFound,
    TokenReused,
    UsernameTaken,
)
from app.model.models import Reason, Token, User
from app.model.network_repository import NetworkRepository
from app.model.session_repository import NewTokens, PresentedToken, SessionRepository
from app.model.token_repository import NEWEST_FIRST, TokenRepository
from app.model.user_repository import UserRepository
from app.token_delivery import token_delivery
from kit.errors import DomainError, Overloaded, TooManyAttempts
from kit.security.events import record
from kit.uuids import parse_uuid
from kit.web.endpoint import endpoint
from kit.web.features import in_this_app
from kit.web.pagination import decode_cursor, page_response
from kit.web.rate_limits import client_network

blueprint = Blueprint("auth", __name__, url_prefix="/auth")


@blueprint.post("/register")
@endpoint(
    body=NewAccount,
    returns=Account,
    status=201,
    headers=["Location"],
    raises=[UsernameTaken, TooManyAttempts, Overloaded],
)
def register(body: NewAccount) -> tuple[User, dict[str, str]]:
    """Register an account. The username keeps its case, and is unique regardless of case."""
    with limits.registration():
        user = UserRepository(db.session).register(
            body.username,
            passwords().hash(body.password),
            pending_email=getattr(body, "email", None),  # app/mail/schemas.py adds the field
        )
        NetworkRepository(db.session).remember(user.id, client_network())
        account_mail().send_verification(user)
        record(Event.REGISTERED, user.id)
        db.session.commit()
    return user, {"Location": "/account"}


@blueprint.post("/login")
@endpoint(body=Login, returns=TokenPair, raises=[InvalidCredentials, TooManyAttempts, Overloaded])
def login(body: Login) -> TokenPair:
    """Log in. Beyond 50 sessions, the one that has been inactive longest is ended."""
    in_cookie = token_delivery().is_chosen(body)
    users = UserRepository(db.session)
    found, is_known_client = users.find_for_login(body.username, client_network())
    with limits.login(body.username, found.id if found else None, is_known_client=is_known_client) as attempt:
        is_right, new_hash = passwords().verify_and_update(
            body.password, found.password_hash if found else None
        )
        user = users.lock_unchanged(found) if found and is_right else None
        if not user:
            raise InvalidCredentials
        user.password_hash = new_hash or user.password_hash
        outcome = _next_step(user) or open_session(user, is_known_client=is_known_client)
        attempt.succeed(forget_failures=isinstance(outcome, NewTokens))
        db.session.commit()
    if isinstance(outcome, DomainError):
        raise outcome
    return deliver(outcome, in_cookie=in_cookie)


def _next_step(user: User) -> DomainError | None:
    """Return what a login with the right password still needs, if anything."""
    if account_mail().must_verify(user):
        account_mail().send_verification(user)
        return EmailUnverified()
    return account_factor().challenge(user)


def open_session(user: User, *, is_known_client: bool, **details: str) -> NewTokens:
    """Complete the login of a locked account: open a session, and notify the owner of a new network."""
    tokens = SessionRepository(db.session).open(user.id, client_info(), lifetimes())
    if not is_known_client:
        account_mail().notify(user, Notice.NEW_NETWORK)
    record(Event.LOGGED_IN, user.id, session_id=tokens.access.session_id, **details)
    return tokens


@blueprint.post("/step-up")
@endpoint(auth=ENROLLING_TOKEN, keys=False, body=StepUp, returns=AccessToken, raises=CONFIRMATION_ERRORS)
def step_up(caller: SessionCaller, body: StepUp) -> AccessToken:
    """Get a fresh access token. It belongs to the same session and counts as a recent login."""
    sessions = SessionRepository(db.session)
    presented = PresentedToken(caller.user.id, caller.session_id, caller.token_id)
    code = getattr(body, "code", None)  # app/second_factor/schemas.py adds the field
    with (
        account_factor().checked_code(caller.user, code) as check_code,
        confirmed(caller, body.current_password) as (user, _, attempt),
    ):
        used = check_code(user)
        token = sessions.step_up(presented, client_info(), lifetimes())
        attempt.succeed()
        record(Event.STEPPED_UP, user.id, **used)
        db.session.commit()
    return AccessToken(
        access_token=encode(token),
        expires_in=token.lifetime_seconds,
        session_id=caller.session_id,
    )


@blueprint.post("/refresh")
@endpoint(auth=REFRESH_TOKEN, returns=TokenPair)
def refresh(caller: PresentedToken) -> TokenPair:
    """Rotate the refresh token. You get a new pair; the old access token stays valid until it expires.

    A refresh token works once. If the response was lost, send it again within seconds: while the new token is
    unused, you get the same new pair. Later reuse ends the whole session.
    """
    tokens = SessionRepository(db.session).refresh(caller, client_info(), lifetimes())
    if tokens is None:
        record(Event.TOKEN_REUSED, caller.user_id, session_id=caller.session_id)
    db.session.commit()
    if tokens is None:
        raise TokenReused
    return deliver(tokens, in_cookie=token_delivery().is_used())


@blueprint.post("/logout")
@endpoint(auth=SESSION, keys=False, body=Logout, body_is_optional=True, status=204)
def logout(caller: SessionCaller, body: Logout) -> None:
    """Log out. Ends this session, your other sessions, or all; their tokens stop working immediately."""
    sessions = SessionRepository(db.session)
    if body.scope == "session":
        sessions.end(caller.session_id, Reason.LOGOUT)
    else:
        require_access_token()
        UserRepository(db.session).lock(caller.user.id)
        keep = caller.session_id if body.scope == "others" else None
        sessions.end_all(caller.user.id, Reason.LOGOUT, keep=keep)
    record(Event.LOGGED_OUT, caller.user.id, scope=body.scope)
    db.session.commit()
    if body.scope != "others":
        token_delivery().forget(caller.session_id)


@blueprint.get("/token")
@endpoint(auth=ACCESS_TOKEN, keys=False, query=TokenQuery, returns=TokenList)
def list_tokens(caller: SessionCaller, query: TokenQuery) -> tuple[TokenList, dict[str, str]]:
    """List your tokens. The newest come first; `active=false` includes revoked and expired ones."""
    after = decode_cursor(query.cursor, NEWEST_FIRST)
    page = TokenRepository(db.session).page(
        caller.user.id, active=query.active, limit=query.limit, after=after
    )
    return page_response(TokenList, page, lambda token: _listed_token(token, caller))


@blueprint.put("/token/<token_id>")
@endpoint(
    auth=ACCESS_TOKEN,
    keys=False,
    body=TokenChange,
    returns=ListedToken,
    raises=[TokenNotFound, RevocationIsFinal],
)
def change_token(caller: SessionCaller, body: TokenChange, token_id: str) -> ListedToken:
    """Revoke a token. Revoking a refresh token ends its session. Repeating it changes nothing."""
    id = parse_uuid(token_id)
    if id is None:
        raise TokenNotFound
    tokens = TokenRepository(db.session)
    token = tokens.get_locked(caller.user.id, id)
    if body.revoke:
        was_revoked = token.revoked_since is not None
        tokens.revoke(token)
        if not was_revoked:
            record(Event.TOKEN_REVOKED, caller.user.id, revoked_token_id=str(token.id))
    elif token.revoked_since:
        raise RevocationIsFinal
    db.session.commit()
    return _listed_token(token, caller)


def _listed_token(token: Token, caller: SessionCaller) -> ListedToken:
    return ListedToken.of(
        token,
        token_type=token.type,
        revoked_at=token.revoked_since,
        revoked_reason=token.revocation_reason,
        current=token.id == caller.token_id,
    )


def deliver(tokens: NewTokens, *, in_cookie: bool) -> TokenPair:
    """Return the body for new tokens. With `in_cookie`, the refresh token is in a cookie instead.

    Call it after the commit, so that no cookie is set for tokens that weren't stored.
    """
    lifetime = tokens.refresh_expires_in
    refresh_token: Any = token_delivery().deliver(encode(tokens.refresh), lifetime, in_cookie=in_cookie)
    return in_this_app(TokenPair).model_construct(
        access_token=encode(tokens.access),
        refresh_token=refresh_token,
        expires_in=tokens.expires_in,
        refresh_expires_in=lifetime,
        session_id=tokens.refresh.session_id,
    )
