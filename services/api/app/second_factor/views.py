"""Second factors: codes of an authenticator app, in addition to the password."""

from uuid import UUID

from flask import Blueprint

from app import limits
from app.account_mail import Notice, account_mail
from app.authentication import (
    ENROLLING_TOKEN,
    FRESH_ADMIN,
    FRESH_ENROLLING_TOKEN,
    FRESH_TOKEN,
    SessionCaller,
    check_again,
)
from app.blueprint.auth import deliver, open_session
from app.blueprint.schemas import TokenPair
from app.blueprint.users import lock_for_change
from app.config import current
from app.confirmation import CONFIRMATION_ERRORS, confirmed
from app.database import db
from app.events import Event
from app.exceptions import Forbidden, InvalidCode, SecondFactorActive, SecondFactorNotFound
from app.model.models import User
from app.model.second_factors import ChallengeRepository
from app.model.session_repository import SessionRepository
from app.model.user_repository import UserRepository
from app.second_factor.required_factor import factors, use_code
from app.second_factor.schemas import (
    CodeBody,
    NewSecondFactor,
    RecoveryCodes,
    SecondFactorLogin,
    SecondFactorStart,
    SecondFactorState,
)
from app.token_delivery import token_delivery
from kit.errors import NotFound, TokenRevoked, TooManyAttempts
from kit.security import totp
from kit.security.events import record
from kit.web.endpoint import endpoint
from kit.web.rate_limits import client_network

blueprint = Blueprint("second_factor", __name__)

CODE_ERRORS = (InvalidCode, TooManyAttempts)
ADMINS_OWN = "An admin can't remove their own second factor here."


@blueprint.get("/account/second-factor")
@endpoint(auth=ENROLLING_TOKEN, keys=False, returns=SecondFactorState)
def read(caller: SessionCaller) -> SecondFactorState:
    """Get your second factor."""
    factor = factors().find(caller.user.id)
    if factor is None:
        return SecondFactorState(status="none", confirmed_at=None, recovery_codes_left=0)
    return SecondFactorState(
        status="active" if factor.confirmed_at else "pending",
        confirmed_at=factor.confirmed_at,
        recovery_codes_left=factors().count_recovery_codes(caller.user.id),
    )


@blueprint.post("/account/second-factor")
@endpoint(
    auth=FRESH_ENROLLING_TOKEN,
    keys=False,
    body=SecondFactorStart,
    returns=NewSecondFactor,
    status=201,
    raises=[*CONFIRMATION_ERRORS, SecondFactorActive],
)
def start(caller: SessionCaller, body: SecondFactorStart) -> NewSecondFactor:
    """Start adding a second factor. It is pending until you confirm it. Requires a recent login."""
    with confirmed(caller, body.current_password) as (user, _, attempt):
        secret = factors().start(user)
        attempt.succeed()
        db.session.commit()
    uri = totp.provisioning_uri(secret, current().app_name, user.username)
    return NewSecondFactor(secret=totp.base32(secret), uri=uri)


@blueprint.post("/account/second-factor/confirmation")
@endpoint(
    auth=ENROLLING_TOKEN,
    keys=False,
    body=CodeBody,
    returns=RecoveryCodes,
    raises=[*CODE_ERRORS, SecondFactorActive, SecondFactorNotFound],
)
def confirm(caller: SessionCaller, body: CodeBody) -> RecoveryCodes:
    """Confirm the second factor. It needs a code of the app, and returns your recovery codes.

    From now on, a login needs a code. Your sessions stay.
    """
    with limits.code(caller.user.id) as attempt:
        user = _locked(caller)
        codes = factors().confirm(user, body.code)
        account_mail().notify(user, Notice.SECOND_FACTOR_ADDED)
        attempt.succeed(forget_failures=False)
        record(Event.SECOND_FACTOR_ADDED, user.id)
        db.session.commit()
    return RecoveryCodes(recovery_codes=codes)


@blueprint.post("/account/second-factor/recovery-codes")
@endpoint(
    auth=FRESH_TOKEN,
    keys=False,
    body=CodeBody,
    returns=RecoveryCodes,
    raises=[*CODE_ERRORS, SecondFactorNotFound],
)
def replace_recovery_codes(caller: SessionCaller, body: CodeBody) -> RecoveryCodes:
    """Replace your recovery codes. The old ones stop working. Requires a recent login."""
    _require_factor(caller)
    with limits.code(caller.user.id) as attempt:
        user = _locked(caller)
        used = use_code(user, body.code)
        codes = factors().replace_recovery_codes(user.id)
        account_mail().notify(user, Notice.RECOVERY_CODES_REPLACED)
        attempt.succeed(forget_failures=False)
        record(Event.RECOVERY_CODES_REPLACED, user.id, second_factor=used)
        db.session.commit()
    return RecoveryCodes(recovery_codes=codes)


@blueprint.delete("/account/second-factor")
@endpoint(
    auth=FRESH_TOKEN, keys=False, body=CodeBody, status=204, raises=[*CODE_ERRORS, SecondFactorNotFound]
)
def remove(caller: SessionCaller, body: CodeBody) -> None:
    """Remove your second factor. Requires a code from the app or a recovery code, and a recent login."""
    _require_factor(caller)
    with limits.code(caller.user.id) as attempt:
        user = _locked(caller)
        used = use_code(user, body.code)
        factors().remove(user)
        account_mail().notify(user, Notice.SECOND_FACTOR_REMOVED)
        attempt.succeed(forget_failures=False)
        record(Event.SECOND_FACTOR_REMOVED, user.id, second_factor=used)
        db.session.commit()


@blueprint.delete("/users/<uuid:user_id>/second-factor")
@endpoint(auth=FRESH_ADMIN, keys=False, status=204, raises=[NotFound, SecondFactorNotFound])
def remove_for_user(caller: SessionCaller, user_id: UUID) -> None:
    """Remove an account's second factor. You can't remove your own here. Requires a recent login."""
    if user_id == caller.user.id:  # that would need no code
        raise Forbidden(ADMINS_OWN)
    user = lock_for_change(UserRepository(db.session), user_id, caller)
    factors().remove(user)
    account_mail().notify(user, Notice.SECOND_FACTOR_REMOVED)
    record(Event.SECOND_FACTOR_REMOVED, user.id)
    db.session.commit()


@blueprint.post("/auth/login/second-factor")
@endpoint(body=SecondFactorLogin, returns=TokenPair, raises=CODE_ERRORS)
def complete_login(body: SecondFactorLogin) -> TokenPair:
    """Complete a login. It needs the challenge of the first step, and a code or a recovery code."""
    in_cookie = token_delivery().is_chosen(body)
    users, challenges = UserRepository(db.session), ChallengeRepository(db.session)
    challenge = challenges.take_try(body.challenge)
    id, user_id, password_changed_at = challenge.id, challenge.user_id, challenge.password_changed_at
    is_known_client = SessionRepository(db.session).is_known_client(user_id, client_network())
    with limits.code(user_id) as attempt:  # also commits the try
        user = users.lock(user_id)
        if user is None or user.disabled or user.password_changed_at != password_changed_at:
            raise InvalidCode
        used = use_code(user, body.code)
        challenges.use(id)
        tokens = open_session(user, is_known_client=is_known_client, second_factor=used)
        attempt.succeed()
        db.session.commit()
    return deliver(tokens, in_cookie=in_cookie)


def _require_factor(caller: SessionCaller) -> None:
    """Raise SecondFactorNotFound before a code is counted as wrong."""
    if caller.user.second_factor_at is None:
        raise SecondFactorNotFound


def _locked(caller: SessionCaller) -> User:
    user = UserRepository(db.session).lock_unchanged(caller.user)
    if user is None:
        raise TokenRevoked
    check_again(caller)
    return user
