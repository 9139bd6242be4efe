"""The responses to requests with an Idempotency-Key, kept for a day."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Index, String, Text, UniqueConstraint, delete, select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Mapped, mapped_column

from kit.clock import now
from kit.data.base import Base
from kit.data.repository import ExpiringRepository
from kit.errors import CallerGone, IdempotencyKeyInUse, IdempotencyKeyReused

KEPT = timedelta(hours=24)
LOCK_NOT_AVAILABLE = "55P03"  # PostgreSQL's code


class StoredResponse(Base):
    """A response that is sent again if its request is repeated."""

    __tablename__ = "answers"
    __table_args__ = (UniqueConstraint("user_id", "key"), Index(None, "expires_at"))

    user_id: Mapped[UUID]
    key: Mapped[str] = mapped_column(String(255))
    fingerprint: Mapped[str] = mapped_column(String(64), info={"secret": True})  # of the request
    expires_at: Mapped[datetime]
    # A response may contain a secret that is shown only once.
    headers: Mapped[str | None] = mapped_column(Text, info={"secret": True})
    body: Mapped[str | None] = mapped_column(Text, info={"secret": True})


class StoredResponseRepository(ExpiringRepository[StoredResponse]):
    model = StoredResponse

    def reserve(self, user_id: UUID, key: str, fingerprints: Sequence[str]) -> StoredResponse:
        """Reserve a key, or return the response that was stored for it: then the row has a body.

        The row of the same request has one of the fingerprints, and a new row gets the first. Waits for
        another transaction that has reserved the key. Raises IdempotencyKeyInUse if that takes longer than
        the lock timeout, IdempotencyKeyReused if the key belongs to another request, and CallerGone if the
        account was deleted meanwhile.
        """
        own = (StoredResponse.user_id == user_id, StoredResponse.key == key)
        row = {"user_id": user_id, "key": key, "fingerprint": fingerprints[0], "expires_at": now() + KEPT}
        try:
            self.change(delete(StoredResponse).where(*own, StoredResponse.expires_at <= now()))
            insert = self.insertion().values(row)
            self.session.execute(insert.on_conflict_do_nothing(index_elements=["user_id", "key"]))
        except OperationalError as error:
            if getattr(error.orig, "pgcode", None) == LOCK_NOT_AVAILABLE:
                raise IdempotencyKeyInUse from error
            raise
        except IntegrityError as error:
            raise CallerGone from error
        stored = self.session.scalar(select(StoredResponse).where(*own))
        if stored is None:
            raise CallerGone
        if stored.fingerprint not in fingerprints:
            raise IdempotencyKeyReused
        return stored
