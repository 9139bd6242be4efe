"""Known networks, apart from sessions.

Revision ID: 0004
Revises: 0003
Create Date: 2026-11-26 22:40:12.316204
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

THIRTY_DAYS_AGO = {
    "postgresql": "now() - interval '30 days'",
    "sqlite": "datetime('now', '-30 days')",
}


def upgrade() -> None:
    dialect = op.get_context().dialect.name
    to_users = sa.ForeignKeyConstraint(
        ["user_id"], ["users.id"], name=op.f("fk_known_networks_user_id_users"), ondelete="CASCADE"
    )
    op.create_table(
        "known_networks",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("network", sa.String(length=45), nullable=False),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        *([to_users] if dialect == "sqlite" else []),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_known_networks")),
        sa.UniqueConstraint("user_id", "network", name=op.f("uq_known_networks_user_id_network")),
    )
    with op.batch_alter_table("known_networks", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_known_networks_last_seen_at"), ["last_seen_at"], unique=False)

    # A user's 50 newest networks. The id is that of the newest session from the network.
    op.execute(f"""
        INSERT INTO known_networks (id, user_id, network, first_seen_at, last_seen_at)
        SELECT id, user_id, network, first_seen_at, last_seen_at FROM (
            SELECT *, row_number() OVER (PARTITION BY user_id ORDER BY last_seen_at DESC, id) AS place FROM (
                SELECT id, user_id, network, created_at AS last_seen_at,
                    min(created_at) OVER (PARTITION BY user_id, network) AS first_seen_at,
                    row_number() OVER (PARTITION BY user_id, network ORDER BY created_at DESC, id) AS newness
                FROM sessions
                WHERE network IS NOT NULL AND created_at > {THIRTY_DAYS_AGO[dialect]}
            ) AS logins WHERE newness = 1
        ) AS networks WHERE place <= 50
    """)  # noqa: S608 # nosec B608
    if dialect == "postgresql":
        # Adding the foreign key locks users against changes, so copy before. A user may have been deleted
        # meanwhile.
        op.execute("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE")
        op.execute("DELETE FROM known_networks WHERE NOT EXISTS (SELECT FROM users WHERE users.id = user_id)")
        op.create_foreign_key(
            op.f("fk_known_networks_user_id_users"),
            "known_networks",
            "users",
            ["user_id"],
            ["id"],
            ondelete="CASCADE",
        )


def downgrade() -> None:
    with op.batch_alter_table("known_networks", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_known_networks_last_seen_at"))

    op.drop_table("known_networks")
