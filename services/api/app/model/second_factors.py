"""Second factors: the secrets of authenticator apps, recovery codes, and logins that wait for a code."""

import logging
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from secrets import choice, token_urlsafe
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    String,
    UniqueConstraint,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.exceptions import InvalidCode, SecondFactorActive, SecondFactorNotFound
from app.model.models import User
from app.model.repository import Repository
from kit.clock import now
from kit.data.base import Base
from kit.data.repository import AnySession
from kit.security import totp
from kit.security.encryption import Decrypted, DecryptionFailed, decrypt, encrypt

logger = logging.getLogger("app.security")
PURPOSE = "second factor"
RECOVERY_CODES = 10
# Without letters and digits that look alike. 28 characters are 140 random bits.
ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
GROUPS, GROUP_LENGTH = 7, 4
CHALLENGE_LIFETIME = timedelta(minutes=5)
MAX_TRIES = 5
MAX_CHALLENGES = 10  # live ones of an account


class CodeType(StrEnum):
    TOTP = "totp"
    RECOVERY_CODE = "recovery_code"


class SecondFactor(Base):
    """The authenticator app of an account. Until the owner has confirmed it with a code, it is pending."""

    __tablename__ = "second_factors"
    __table_args__ = (UniqueConstraint("user_id"),)

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    secret: Mapped[str] = mapped_column(String(255), info={"secret": True})  # encrypted, in base64
    last_step: Mapped[int] = mapped_column(BigInteger)  # of the newest code that was used
    created_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]


class RecoveryCode(Base):
    """A code for an owner who has lost the app, of which only the hash is stored. It is deleted when used."""

    __tablename__ = "recovery_codes"
    __table_args__ = (UniqueConstraint("user_id", "code_hash"),)

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    code_hash: Mapped[str] = mapped_column(String(64), info={"secret": True})


class LoginChallenge(Base):
    """A login with the right password that waits for a code."""

    __tablename__ = "login_challenges"
    __table_args__ = (UniqueConstraint("token_hash"), Index(None, "user_id"), Index(None, "expires_at"))

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    token_hash: Mapped[str] = mapped_column(String(64), info={"secret": True})
    password_changed_at: Mapped[datetime]  # of the password that was given
    tries: Mapped[int]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class SecondFactorRepository(Repository[SecondFactor]):
    """Second factors. Lock their user before you change or verify one.

    The signing keys encrypt the secrets. Only the first one encrypts, and all of them decrypt.
    """

    model = SecondFactor

    def __init__(self, session: AnySession, keys: Sequence[str]) -> None:
        super().__init__(session)
        self.keys = keys

    def find(self, user_id: UUID) -> SecondFactor | None:
        return self.session.scalar(select(SecondFactor).where(SecondFactor.user_id == user_id))

    def start(self, user: User) -> bytes:
        """Add a pending factor, or replace one. Return its secret. Raises SecondFactorActive."""
        if user.second_factor_at:
            raise SecondFactorActive
        secret = totp.new_secret()
        self.change(delete(SecondFactor).where(SecondFactor.user_id == user.id))
        factor = SecondFactor(user_id=user.id, secret=self._encrypt(user.id, secret), last_step=-1)
        factor.created_at = now()
        self.add(factor)
        return secret

    def confirm(self, user: User, code: str) -> list[str]:
        """Activate a pending factor. Return the recovery codes.

        Raises InvalidCode, SecondFactorActive and SecondFactorNotFound.
        """
        if user.second_factor_at:
            raise SecondFactorActive
        factor = self.find(user.id)
        if factor is None:
            raise SecondFactorNotFound
        if not self._use_totp(factor, code):
            raise InvalidCode
        factor.confirmed_at = user.second_factor_at = now()
        return self.replace_recovery_codes(user.id)

    def use_code(self, user: User, code: str) -> CodeType:
        """Use up a code of the app, or a recovery code. Each works once. Raises InvalidCode."""
        factor = self.find(user.id) if user.second_factor_at else None
        if factor and factor.confirmed_at:
            if self._use_totp(factor, code):
                return CodeType.TOTP
            if self._use_recovery_code(user.id, code):
                return CodeType.RECOVERY_CODE
        raise InvalidCode

    def replace_recovery_codes(self, user_id: UUID) -> list[str]:
        """Void all recovery codes of an account, and return new ones."""
        codes = [_new_recovery_code() for _ in range(RECOVERY_CODES)]
        self.change(delete(RecoveryCode).where(RecoveryCode.user_id == user_id))
        rows = [{"id": uuid4(), "user_id": user_id, "code_hash": _hash(_compact(code))} for code in codes]
        self.session.execute(insert(RecoveryCode), rows)
        return codes

    def count_recovery_codes(self, user_id: UUID) -> int:
        own = RecoveryCode.user_id == user_id
        return self.session.scalar(select(func.count()).select_from(RecoveryCode).where(own)) or 0

    def remove(self, user: User) -> None:
        """Remove an account's factor, even a pending one. Raises SecondFactorNotFound."""
        if self.change(delete(SecondFactor).where(SecondFactor.user_id == user.id)) == 0:
            raise SecondFactorNotFound
        self.change(delete(RecoveryCode).where(RecoveryCode.user_id == user.id))
        user.second_factor_at = None

    def encrypt_again(self, batch: int = 500) -> Iterator[int]:
        """Encrypt all secrets under the current signing key. Each step yields how many changed: commit it."""
        last = UUID(int=0)
        while rows := self._rows_after(last, batch):
            changed = 0
            for factor in rows:
                decrypted = self._decrypt(factor)
                if decrypted and not decrypted.is_current:
                    changed += self._store_secret(factor, decrypted.plaintext)
            last = rows[-1].id
            yield changed

    def _rows_after(self, id: UUID, limit: int) -> Sequence[SecondFactor]:
        query = select(SecondFactor).where(SecondFactor.id > id).order_by(SecondFactor.id).limit(limit)
        return self.session.scalars(query).all()

    def _use_totp(self, factor: SecondFactor, code: str) -> bool:
        decrypted = self._decrypt(factor)
        step = totp.matching_step(decrypted.plaintext, _compact(code), now()) if decrypted else None
        if decrypted is None or step is None:
            return False
        newer = (SecondFactor.id == factor.id, SecondFactor.last_step < step)
        if self.change(update(SecondFactor).where(*newer).values(last_step=step)) == 0:
            return False
        if not decrypted.is_current:
            self._store_secret(factor, decrypted.plaintext)
        return True

    def _use_recovery_code(self, user_id: UUID, code: str) -> bool:
        own = (RecoveryCode.user_id == user_id, RecoveryCode.code_hash == _hash(_compact(code)))
        return self.change(delete(RecoveryCode).where(*own)) == 1

    def _store_secret(self, factor: SecondFactor, secret: bytes) -> int:
        """Encrypt a secret again, unless it was replaced meanwhile."""
        same = (SecondFactor.id == factor.id, SecondFactor.secret == factor.secret)
        encrypted = self._encrypt(factor.user_id, secret)
        return self.change(update(SecondFactor).where(*same).values(secret=encrypted))

    def _encrypt(self, user_id: UUID, secret: bytes) -> str:
        """Bind the secret to its user, so that a copy of the row is useless for another account."""
        return b64encode(encrypt(self.keys, PURPOSE, user_id.bytes + secret)).decode()

    def _decrypt(self, factor: SecondFactor) -> Decrypted | None:
        try:
            decrypted = decrypt(self.keys, PURPOSE, b64decode(factor.secret))
            if decrypted.plaintext[:16] != factor.user_id.bytes:
                raise DecryptionFailed
        except (DecryptionFailed, ValueError):
            logger.error(
                "The second factor of the account %s can't be decrypted. Put the signing key that "
                "encrypted it into SECRET_KEY_FALLBACKS, or remove it: flask second-factor remove NAME",
                factor.user_id,
            )
            return None
        return decrypted._replace(plaintext=decrypted.plaintext[16:])


class ChallengeRepository(Repository[LoginChallenge]):
    """Logins that wait for a code."""

    model = LoginChallenge

    def create(self, user: User) -> str:
        """Add a challenge for a locked account whose password was right. Return its token.

        Beyond ten live ones, the oldest is deleted.
        """
        token, time = token_urlsafe(32), now()
        own = LoginChallenge.user_id == user.id
        newest = select(LoginChallenge.id).where(own, LoginChallenge.expires_at > time)
        newest = newest.order_by(LoginChallenge.created_at.desc(), LoginChallenge.id)
        kept = newest.limit(MAX_CHALLENGES - 1)
        self.change(delete(LoginChallenge).where(own, LoginChallenge.id.not_in(kept)))
        challenge = LoginChallenge(
            user_id=user.id,
            token_hash=_hash(token),
            password_changed_at=user.password_changed_at,
            tries=0,
            created_at=time,
            expires_at=time + CHALLENGE_LIFETIME,
        )
        self.add(challenge)
        return token

    def take_try(self, token: str) -> LoginChallenge:
        """Count a try of a challenge, and return it: commit that before the code is checked.

        Raises InvalidCode if the challenge is unknown, expired, or has had all its tries.
        """
        challenge = self.session.scalar(
            update(LoginChallenge)
            .where(
                LoginChallenge.token_hash == _hash(token),
                LoginChallenge.expires_at > now(),
                LoginChallenge.tries < MAX_TRIES,
            )
            .values(tries=LoginChallenge.tries + 1)
            .returning(LoginChallenge)
            .execution_options(populate_existing=True, synchronize_session=False)
        )
        if challenge is None:
            raise InvalidCode
        return challenge

    def use(self, id: UUID) -> None:
        """Use a challenge up. Raises InvalidCode if it was used since its try was counted."""
        if self.change(delete(LoginChallenge).where(LoginChallenge.id == id)) != 1:
            raise InvalidCode

    def prune(self, limit: int = 1000) -> int:
        """Delete some expired challenges and return how many."""
        return self.delete_unlocked(
            select(LoginChallenge.id).where(LoginChallenge.expires_at < now()).limit(limit)
        )


def _new_recovery_code() -> str:
    groups = ("".join(choice(ALPHABET) for _ in range(GROUP_LENGTH)) for _ in range(GROUPS))
    return "-".join(groups)


def _compact(code: str) -> str:
    """Normalize a code: in lower case, without white space and hyphens."""
    return "".join(code.split()).replace("-", "").lower()


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()
