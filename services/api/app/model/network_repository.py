"""The networks from which a user has logged in. A client in one of them is known to the account."""

from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Exists, exists, func, select

from app.model.models import KnownNetwork
from app.model.repository import Repository
from app.model.retention import KNOWN, KNOWN_PRECISION
from kit.clock import now

MAX_NETWORKS = 50


class NetworkRepository(Repository[KnownNetwork]):
    model = KnownNetwork

    def remember(self, user_id: UUID, network: str) -> None:
        """Make clients of this network known. Beyond 50, the network that was unused longest is forgotten.

        The caller must have locked the user, so that networks aren't counted concurrently.
        """
        time = now()
        row = {"id": uuid4(), "user_id": user_id, "network": network}
        insertion = self.insertion().values(**row, first_seen_at=time, last_seen_at=time)
        count = select(func.count()).select_from(KnownNetwork).where(KnownNetwork.user_id == user_id)
        upsert = insertion.on_conflict_do_update(
            index_elements=["user_id", "network"], set_={"last_seen_at": time}
        ).returning(count.correlate(None).scalar_subquery())
        if self.session.scalar(upsert) >= MAX_NETWORKS:
            newest = KnownNetwork.last_seen_at.desc()
            own = select(KnownNetwork.id).where(KnownNetwork.user_id == user_id)
            beyond = own.order_by(newest, KnownNetwork.id).offset(MAX_NETWORKS)
            self.delete_unlocked(select(KnownNetwork.id).where(KnownNetwork.id.in_(beyond)))


def known_client_exists(
    user_id: UUID | ColumnElement[UUID], network: str, within: timedelta = KNOWN + KNOWN_PRECISION
) -> Exists:
    """Return the SQL condition that a client of this network has recently logged in to the account."""
    return exists().where(
        KnownNetwork.user_id == user_id,
        KnownNetwork.network == network,
        KnownNetwork.last_seen_at > now() - within,
    )
