"""The audit trail with two database roles: the API's role can't change or delete rows."""

from collections.abc import Callable
from uuid import uuid4

import flask_migrate
import pytest
from flask import Flask
from sqlalchemy import URL, text

from app.database import db
from app.jobs import delete_old_rows
from tests.support.credentials import PASSWORD, bearer
from tests.support.databases import new_role
from tests.support.two_roles import answer, upgrade

pytestmark = pytest.mark.long
USER_ID = uuid4()


@pytest.fixture
def app(app_with: Callable[..., Flask], api_url: URL) -> Flask:
    """The app with the API's role, and rows that are 29 and 31 days old."""
    app = app_with(api_url)
    upgrade(app)
    for days in (29, 31):
        add = f"""
            INSERT INTO kit_audit (id, at, event, via, user_id, ip, user_agent) VALUES
            ('{uuid4()}', now() - interval '{days} days', 'old', 'session', '{USER_ID}', '192.0.2.1', 'curl')
        """
        assert answer(app, add) == "done"
    return app


def ages(app: Flask) -> list[int]:
    """Return how many days old the rows are, as the API reads them."""
    query = "SELECT CAST(date_part('day', now() - at) AS integer) FROM kit_audit ORDER BY at DESC"
    with app.app_context(), db.engine.connect() as connection:
        return list(connection.scalars(text(query)))


def addresses(app: Flask) -> set[str | None]:
    with app.app_context(), db.engine.connect() as connection:
        return set(connection.scalars(text("SELECT ip FROM kit_audit")))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE kit_audit SET event = 'other'",
        "UPDATE kit_audit SET ip = NULL",
        "DELETE FROM kit_audit",
        "TRUNCATE kit_audit",
        "DROP TABLE kit_audit",
        "ALTER TABLE kit_audit DISABLE TRIGGER ALL",
        "SELECT * FROM kit_audit FOR UPDATE",
        "INSERT INTO kit_audit SELECT * FROM kit_audit ON CONFLICT (id) DO UPDATE SET event = 'other'",
        "CREATE OR REPLACE FUNCTION kit_audit_prune(days integer, max_rows integer) RETURNS integer"
        " LANGUAGE sql AS 'SELECT 1'",
        "ALTER FUNCTION kit_audit_prune(integer, integer) RESET search_path",
        "ALTER FUNCTION kit_audit_prune(integer, integer) SECURITY INVOKER",
        "DROP FUNCTION kit_audit_forget(uuid, integer)",
        "ALTER TABLE kit_audit OWNER TO CURRENT_USER",
    ],
)
def test_the_api_cannot_change_what_is_recorded(app: Flask, statement: str) -> None:
    refusal = answer(app, statement)

    assert refusal.startswith(("permission denied", "must be owner")), refusal
    assert ages(app) == [29, 31]


@pytest.mark.parametrize("days", ["0", "-100000", "NULL", "30"])
def test_the_api_cannot_delete_young_rows(app: Flask, days: str) -> None:
    assert answer(app, f"SELECT kit_audit_prune({days}, 100)") == "done"

    assert ages(app) == [29]


def test_the_function_deletes_no_more_rows_than_it_is_asked_to(app: Flask) -> None:
    assert answer(app, "SELECT kit_audit_prune(365, 100)") == "done"
    assert answer(app, "SELECT kit_audit_prune(30, 0)") == "done"

    assert ages(app) == [29, 31]


def test_the_search_path_of_the_caller_does_not_matter(app: Flask) -> None:
    shadows = """
        CREATE TEMPORARY TABLE kit_audit (LIKE public.kit_audit);
        CREATE TEMPORARY TABLE users (LIKE public.users);
        CREATE FUNCTION pg_temp.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT timestamptz 'infinity' $$;
        CREATE FUNCTION pg_temp.older(timestamptz, timestamptz) RETURNS boolean
            LANGUAGE sql AS $$ SELECT true $$;
        CREATE OPERATOR pg_temp.< (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = pg_temp.older);
        SET search_path = pg_temp, public, pg_catalog;
        SELECT public.kit_audit_prune(0, 100)
    """
    with app.app_context(), db.engine.connect() as connection:
        connection.exec_driver_sql(shadows)
        connection.commit()
        connection.invalidate()  # with its temporary tables

    assert ages(app) == [29]


def test_the_addresses_of_an_account_that_exists_are_not_blanked(app: Flask) -> None:
    user = f"""
        INSERT INTO users (id, username, username_key, password_hash, password_changed_at, role, created_at,
        updated_at) VALUES ('{USER_ID}', 'ann', 'ann', '', now(), 'user', now(), now())
    """
    shadow = f"""
        CREATE TEMPORARY TABLE users (LIKE public.users); SET search_path = pg_temp, public;
        SELECT public.kit_audit_forget('{USER_ID}', 100)
    """
    assert answer(app, user) == "done"
    with app.app_context(), db.engine.connect() as connection:
        connection.exec_driver_sql(shadow)
        connection.commit()
        connection.invalidate()
    before = addresses(app)

    assert answer(app, f"DELETE FROM users; SELECT kit_audit_forget('{USER_ID}', 100)") == "done"

    assert before == {"192.0.2.1"}
    assert addresses(app) == {None}
    assert ages(app) == [29, 31]


def test_no_other_role_can_call_the_functions(
    app: Flask, app_with: Callable[..., Flask], empty_url: URL
) -> None:
    with new_role(empty_url, "other") as url:
        other = app_with(url, migration_database_url=None)
        answers = [
            answer(other, "SELECT kit_audit_prune(30, 100)"),
            answer(other, f"SELECT kit_audit_forget('{USER_ID}', 100)"),
        ]
        with other.app_context():
            db.engine.dispose()

    assert [each.startswith("permission denied for function") for each in answers] == [True, True]
    assert ages(app) == [29, 31]


def test_an_upgrade_restores_the_privileges_of_the_functions(
    app: Flask, app_with: Callable[..., Flask], empty_url: URL, api_url: URL
) -> None:
    owner = app_with(empty_url)
    role = f'"{api_url.username}"'
    function = "kit_audit_prune(integer, integer)"
    answer(
        owner,
        f"GRANT EXECUTE ON FUNCTION {function} TO PUBLIC; REVOKE ALL ON FUNCTION {function} FROM {role}",
    )

    upgrade(app)

    acl = f"""
        SELECT count(*) FROM pg_proc, aclexplode(proacl)
        WHERE oid = '{function}'::regprocedure AND grantee = 0
    """
    with owner.app_context(), db.engine.connect() as connection:
        assert connection.scalar(text(acl)) == 0
    assert answer(app, "SELECT kit_audit_prune(30, 100)") == "done"


def test_the_api_records_prunes_and_blanks_with_its_own_role(app: Flask) -> None:
    client, credentials = app.test_client(), {"username": "ann", "password": PASSWORD}
    client.post("/auth/register", json=credentials)
    pair = client.post("/auth/login", json=credentials).get_json()

    deleted = client.delete("/account", headers=bearer(pair["access_token"]))
    settings = app.extensions["settings"].model_copy(update={"audit_days": 30})
    with app.app_context(), pytest.MonkeyPatch.context() as patched:
        patched.setitem(app.extensions, "settings", settings)
        delete_old_rows.function()

    assert deleted.status_code == 204
    assert ages(app) == [0, 0, 0, 29]
    assert addresses(app) == {None, "192.0.2.1"}


def test_a_downgrade_drops_the_functions(
    app_with: Callable[..., Flask], api_url: URL, empty_url: URL
) -> None:
    app, owner = app_with(api_url), app_with(empty_url)
    upgrade(app)

    with app.app_context():
        flask_migrate.downgrade(revision="0007")

    count = "SELECT count(*) FROM pg_proc WHERE proname LIKE 'kit_audit%'"
    with owner.app_context(), db.engine.connect() as connection:
        assert connection.scalar(text(count)) == 0
    upgrade(app)
