"""An authenticator app, and accounts with a second factor."""

from base64 import b32decode
from uuid import UUID

from flask import Flask

from app.config import current
from app.database import db
from app.model.models import User
from app.model.second_factors import ChallengeRepository, SecondFactorRepository
from kit.clock import now
from kit.security import totp
from tests.support.people import Person


class Authenticator:
    """Computes the codes of a secret."""

    def __init__(self, secret: str) -> None:
        self.secret = b32decode(secret)

    def code(self, steps: int = 0) -> str:
        """Return the code of the current time step, or of one that many steps later."""
        return totp.code_at(self.secret, totp.step_at(now()) + steps)

    def wrong_code(self) -> str:
        near = {self.code(steps) for steps in range(-2, 3)}
        return next(code for digit in "012345" if (code := digit * 6) not in near)


def start_factor(app: Flask, person: Person) -> Authenticator:
    """Give a user a pending factor."""
    with app.app_context():
        user = db.session.get_one(User, UUID(person.id))
        secret = SecondFactorRepository(db.session, current().signing_keys).start(user)
        db.session.commit()
    return Authenticator(totp.base32(secret))


def add_factor(app: Flask, person: Person) -> tuple[Authenticator, list[str]]:
    """Give a user an active factor, and use up the previous time step. Return app and recovery codes."""
    authenticator = start_factor(app, person)
    with app.app_context():
        user = db.session.get_one(User, UUID(person.id))
        factors = SecondFactorRepository(db.session, current().signing_keys)
        codes = factors.confirm(user, authenticator.code(-1))
        db.session.commit()
    return authenticator, codes


def add_challenge(app: Flask, person: Person) -> str:
    """Return the challenge of a login that waits for a code."""
    with app.app_context():
        token = ChallengeRepository(db.session).create(db.session.get_one(User, UUID(person.id)))
        db.session.commit()
    return token
