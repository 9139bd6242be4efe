"""The answers that were given to requests with an Idempotency-Key, for a day."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError, OperationalError

from app.clock import now
from app.exceptions import KeyInUse, KeyReused, TokenRevoked
from app.model.models import Answer
from app.model.repository import ExpiringRepository

KEPT = timedelta(hours=24)
LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL's code


class AnswerRepository(ExpiringRepository[Answer]):
    model = Answer

    def reserve(self, user_id: UUID, key: str, fingerprint: str) -> Answer:
        """Take the key, or return the answer that it was taken for: then the row has a body.

        Somebody who has taken it in a transaction that has not ended is waited for. Raises KeyInUse after
        the time limit of locks, KeyReused when the key stands for another request, and TokenRevoked when
        the account has gone in the meantime, and its answers with it.
        """
        own = (Answer.user_id == user_id, Answer.key == key)
        row = {"user_id": user_id, "key": key, "fingerprint": fingerprint, "expires_at": now() + KEPT}
        insert = self.insertion().values(row)
        try:
            self.change(delete(Answer).where(*own, Answer.expires_at <= now()))
            self.session.execute(insert.on_conflict_do_nothing(index_elements=["user_id", "key"]))
        except OperationalError as error:
            if getattr(error.orig, "pgcode", None) == LOCK_NOT_AVAILABLE:
                raise KeyInUse from error
            raise
        except IntegrityError as error:
            raise TokenRevoked from error
        answer = self.session.scalar(select(Answer).where(*own))
        if answer is None:
            raise TokenRevoked
        if answer.fingerprint != fingerprint:
            raise KeyReused
        return answer
