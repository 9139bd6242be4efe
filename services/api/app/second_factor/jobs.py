"""The job that tidies up after second factors."""

from datetime import timedelta

from app.config import current
from app.database import db
from app.model.second_factors import ChallengeRepository
from app.second_factor.required_factor import factors
from kit.jobs.jobs import job
from kit.jobs.schedules import every


@job(schedule=every(timedelta(hours=1)), seconds=600, attempts=1, priority=1)
def tidy_second_factors() -> None:
    """Delete expired challenges. After a change of the signing key, encrypt the secrets under the new one."""
    while ChallengeRepository(db.session).prune():
        db.session.commit()
    if current().secret_key_fallbacks:
        encrypt_again()


def encrypt_again() -> int:
    """Encrypt all secrets under the current signing key, in committed steps. Return how many changed."""
    total = 0
    for changed in factors().encrypt_again():
        db.session.commit()
        total += changed
    return total


JOBS = (tidy_second_factors,)
