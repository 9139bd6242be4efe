"""The files that rows refer to.

Revision ID: 0010
Revises: 0009
Create Date: 2026-11-27 09:45:12.418200
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "kit_files",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_kit_files")),
    )


def downgrade() -> None:
    op.drop_table("kit_files")
