"""The audit trail, which the API can only read and extend.

Revision ID: 0008
Revises: 0006
Create Date: 2026-11-27 06:20:41.530217
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# They run with the rights of the owner, so nothing may come from the caller's search path: the settings of the
# function replace it, and the tables have their schema. The API's role can't delete rows that are younger than
# 30 days, and can't blank the addresses of an account that exists.
FUNCTIONS = """
CREATE FUNCTION SCHEMA.kit_audit_prune(days integer, max_rows integer) RETURNS integer
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH deleted AS (
        DELETE FROM SCHEMA.kit_audit WHERE id IN (
            SELECT id FROM SCHEMA.kit_audit
            WHERE at < now() - make_interval(hours => 24 * greatest(days, 30))
            ORDER BY at LIMIT max_rows FOR UPDATE SKIP LOCKED
        ) RETURNING id
    )
    SELECT CAST(count(*) AS integer) FROM deleted
$body$;
CREATE FUNCTION SCHEMA.kit_audit_forget(account uuid, max_rows integer) RETURNS integer
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    WITH blanked AS (
        UPDATE SCHEMA.kit_audit SET ip = NULL, user_agent = NULL WHERE id IN (
            SELECT id FROM SCHEMA.kit_audit
            WHERE (actor_id = account OR (user_id = account AND actor_id IS NULL))
                AND (ip IS NOT NULL OR user_agent IS NOT NULL)
            LIMIT max_rows
        ) AND NOT EXISTS (SELECT FROM SCHEMA.users WHERE users.id = account)
        RETURNING id
    )
    SELECT CAST(count(*) AS integer) FROM blanked
$body$;
REVOKE ALL ON FUNCTION SCHEMA.kit_audit_prune(integer, integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION SCHEMA.kit_audit_forget(uuid, integer) FROM PUBLIC;
"""
CREATE_FUNCTIONS = f"""
DO $do$ BEGIN
    EXECUTE replace($functions${FUNCTIONS}$functions$, 'SCHEMA', quote_ident(current_schema()));
END $do$
"""


def upgrade() -> None:
    op.create_table(
        "kit_audit",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("via", sa.String(length=16), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("token_id", sa.Uuid(), nullable=True),
        sa.Column("key_id", sa.Uuid(), nullable=True),
        sa.Column("ip", sa.String(length=45), nullable=True),
        sa.Column("user_agent", sa.String(length=255), nullable=True),
        sa.Column("request_id", sa.String(length=128), nullable=True),
        sa.Column("details", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_kit_audit")),
    )
    with op.batch_alter_table("kit_audit", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_kit_audit_actor_id_at_id"), ["actor_id", "at", "id"])
        batch_op.create_index(batch_op.f("ix_kit_audit_at_id"), ["at", "id"])
        batch_op.create_index(batch_op.f("ix_kit_audit_event_at_id"), ["event", "at", "id"])
        batch_op.create_index(batch_op.f("ix_kit_audit_user_id_at_id"), ["user_id", "at", "id"])

    if op.get_context().dialect.name == "postgresql":
        op.execute(CREATE_FUNCTIONS)


def downgrade() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP FUNCTION kit_audit_forget(uuid, integer)")
        op.execute("DROP FUNCTION kit_audit_prune(integer, integer)")

    with op.batch_alter_table("kit_audit", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_kit_audit_user_id_at_id"))
        batch_op.drop_index(batch_op.f("ix_kit_audit_event_at_id"))
        batch_op.drop_index(batch_op.f("ix_kit_audit_at_id"))
        batch_op.drop_index(batch_op.f("ix_kit_audit_actor_id_at_id"))

    op.drop_table("kit_audit")
