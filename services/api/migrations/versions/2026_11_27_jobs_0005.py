"""The queue of jobs, and when scheduled jobs are due.

Revision ID: 0005
Revises: 0004
Create Date: 2026-11-27 01:50:12.711476
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "kit_jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("arguments", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("milliseconds", sa.Integer(), nullable=False),
        sa.Column("run_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("lease", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("failed_at", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_kit_jobs")),
    )
    with op.batch_alter_table("kit_jobs", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_kit_jobs_priority_run_at"),
            ["priority", "run_at"],
            unique=False,
            postgresql_where=sa.text("failed_at IS NULL"),
            sqlite_where=sa.text("failed_at IS NULL"),
        )

    op.create_table(
        "kit_scheduled_jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("schedule", sa.String(length=255), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_kit_scheduled_jobs")),
    )
    with op.batch_alter_table("kit_scheduled_jobs", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_kit_scheduled_jobs_name"), ["name"], unique=True)


def downgrade() -> None:
    with op.batch_alter_table("kit_scheduled_jobs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_kit_scheduled_jobs_name"))

    op.drop_table("kit_scheduled_jobs")
    with op.batch_alter_table("kit_jobs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_kit_jobs_priority_run_at"))

    op.drop_table("kit_jobs")
