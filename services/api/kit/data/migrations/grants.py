"""Gives the API's database role access to the rows, if another role owns the tables and migrates them."""

import logging
from collections.abc import Iterator

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text

from kit.data.database import db

logger = logging.getLogger("app.migrations")
ALL = "DELETE, INSERT, SELECT, UPDATE"
# Supabase's pooler wants the user name role.project.
ROLE = text("""
    SELECT rolname, rolname = current_user AS is_owner FROM pg_roles
    WHERE rolname IN (:name, split_part(:name, '.', 1)) ORDER BY length(rolname) DESC LIMIT 1
""")
# Others may have tables here too, such as extensions.
OWN_RELATIONS = text("""
    SELECT relname, relkind = 'S' AS is_sequence,
        ARRAY(SELECT privilege_type FROM aclexplode(relacl) WHERE grantee = (:role)::regrole) AS granted
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE nspname = current_schema() AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
        AND pg_has_role(relowner, 'USAGE')
""")
# PUBLIC may call a new function, unless that is revoked.
FUNCTION = text("""
    SELECT ARRAY(
        SELECT grantee FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) WHERE grantee != proowner
    ) = ARRAY[CAST(CAST(:role AS regrole) AS oid)]
    FROM pg_proc WHERE oid = to_regprocedure(:function)
""")


def grant(context: MigrationContext, name: str) -> None:
    """Let the role read and change the rows of every table, but only read Alembic's.

    A table with `info={"api_may": "SELECT, INSERT"}` has other privileges. With `api_may_call`, its info also
    names functions that only this role may call. Nothing is written if the role has exactly these already.
    """
    connection = context.connection
    assert connection is not None  # noqa: S101 # nosec B101
    found = connection.execute(ROLE, {"name": name}).one_or_none()
    if found is None:
        logger.warning("the role %s in DATABASE_URL does not exist: it gets no access", name)
        return
    if found.is_owner:
        return
    quote = connection.dialect.identifier_preparer.quote_identifier
    role = quote(found.rolname)
    schema = quote(str(connection.scalar(text("SELECT current_schema()"))))
    statements = list(_function_grants(connection, schema, role))
    for relation, is_sequence, granted in connection.execute(OWN_RELATIONS, {"role": role}):
        kind, wanted = ("SEQUENCE", "USAGE") if is_sequence else ("TABLE", _privileges(context, relation))
        if set(granted) != set(wanted.split(", ")):
            target = f"{kind} {quote(relation)}"
            statements += [f"REVOKE ALL ON {target} FROM {role}", f"GRANT {wanted} ON {target} TO {role}"]
    if statements:
        # For tables that are created by hand, or by the output of `flask db upgrade --sql`.
        default = f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT"
        statements += [
            f"GRANT USAGE ON SCHEMA {schema} TO {role}",
            f"{default} {ALL} ON TABLES TO {role}",
            f"{default} USAGE ON SEQUENCES TO {role}",
        ]
    for statement in statements:
        connection.exec_driver_sql(statement)


def _function_grants(connection: Connection, schema: str, role: str) -> Iterator[str]:
    for table in db.metadata.tables.values():
        for function in table.info.get("api_may_call", ()):
            name = f"{schema}.{function}"
            is_granted = connection.scalar(FUNCTION, {"function": name, "role": role})
            if is_granted is False:  # None: it doesn't exist at this revision
                yield f"REVOKE ALL ON FUNCTION {name} FROM PUBLIC, {role}"
                yield f"GRANT EXECUTE ON FUNCTION {name} TO {role}"


def _privileges(context: MigrationContext, relation: str) -> str:
    if relation == context.version_table:
        return "SELECT"
    table = db.metadata.tables.get(relation)
    return ALL if table is None else str(table.info.get("api_may", ALL))
