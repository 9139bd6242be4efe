"""Two database roles: the owner migrates, and the API only reads and changes rows."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import URL, Column, Integer, MetaData, Table

from app.database import db
from kit.data.base import Base
from tests.support.credentials import PASSWORD, bearer
from tests.support.paths import MIGRATIONS
from tests.support.two_roles import answer, upgrade

pytestmark = pytest.mark.long
REVISION = """
from alembic import op
revision, down_revision = "diary", {head!r}
def upgrade():
    op.execute('CREATE TABLE diary (id serial PRIMARY KEY)')
    op.execute('CREATE TABLE "Of users" (id integer GENERATED ALWAYS AS IDENTITY)')
"""
BROKEN = """
from alembic import op
revision, down_revision = "broken", "diary"
def upgrade():
    op.execute("SELECT 1 FROM nowhere")
"""


def test_the_api_does_all_its_work_with_a_role_that_only_changes_rows(
    app_with: Callable[..., Flask], api_url: URL
) -> None:
    app = app_with(api_url)
    upgrade(app)
    client = app.test_client()
    credentials = {"username": "ann", "password": PASSWORD}

    assert client.get("/health/ready").status_code == 200
    assert client.post("/auth/register", json=credentials).status_code == 201
    tokens = client.post("/auth/login", json=credentials).json
    tokens = client.post("/auth/refresh", headers=bearer(tokens["refresh_token"])).json
    access = bearer(tokens["access_token"])
    change = {"username": "bob", "current_password": PASSWORD}
    assert client.patch("/account", json=change, headers=access).status_code == 200
    assert client.get("/auth/token", headers=access).status_code == 200
    assert client.post("/auth/logout", headers=access).status_code == 204
    fresh = client.post("/auth/login", json=credentials | {"username": "bob"}).json
    assert client.delete("/account", headers=bearer(fresh["access_token"])).status_code == 204
    assert app.test_cli_runner().invoke(args=["user", "list"]).exit_code == 0
    assert app.test_cli_runner().invoke(args=["token", "prune"]).exit_code == 0


def test_the_api_cannot_change_the_schema_or_leave_the_database(
    app_with: Callable[..., Flask], api_url: URL
) -> None:
    app = app_with(api_url)
    upgrade(app)

    answers = [
        answer(app, statement)
        for statement in (
            "CREATE TABLE mine (id integer)",
            "ALTER TABLE users ADD COLUMN mine text",
            "DROP TABLE users",
            "TRUNCATE users",
            "UPDATE alembic_version SET version_num = 'mine'",
            "DELETE FROM alembic_version",
            "COPY users TO PROGRAM 'cat'",
            "COPY users FROM '/etc/passwd'",
            "SELECT pg_read_file('/etc/passwd')",
            "CREATE ROLE mine",
            "ALTER ROLE CURRENT_USER SUPERUSER",
        )
    ]

    assert [each for each in answers if not each.startswith(("permission denied", "must be "))] == []
    assert answer(app, "SELECT version_num FROM alembic_version") == "done"


def with_a_diary(tmp_path: Path) -> dict[str, str]:
    folder = shutil.copytree(MIGRATIONS, tmp_path / "migrations")
    head = ScriptDirectory(str(folder)).get_current_head()
    (folder / "versions" / "diary.py").write_text(REVISION.format(head=head))
    return {"directory": str(folder)}


def test_the_previous_release_can_use_a_new_table_at_once(
    app_with: Callable[..., Flask], api_url: URL, tmp_path: Path
) -> None:
    app = app_with(api_url)
    upgrade(app)

    upgrade(app, **with_a_diary(tmp_path))

    assert answer(app, "INSERT INTO diary DEFAULT VALUES") == "done"
    assert answer(app, 'INSERT INTO "Of users" DEFAULT VALUES') == "done"


def test_a_table_declares_what_the_api_may_do(
    app_with: Callable[..., Flask], api_url: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = MetaData()
    for table in Base.metadata.sorted_tables:
        table.to_metadata(copy)
    Table("diary", copy, Column("id", Integer), info={"api_may": "SELECT, INSERT"})
    monkeypatch.setitem(db.metadatas, None, copy)
    app = app_with(api_url)
    folder = with_a_diary(tmp_path)
    (tmp_path / "migrations/versions/broken.py").write_text(BROKEN)

    with pytest.raises(SystemExit):
        upgrade(app, **folder)

    # Privileges are part of the revision, so they are complete although a later one has failed.
    assert answer(app, "INSERT INTO diary DEFAULT VALUES") == "done"
    assert answer(app, "SELECT * FROM diary") == "done"
    assert answer(app, "DELETE FROM diary") == "permission denied for table diary"


def test_tables_that_are_created_by_hand_are_granted_too(
    app_with: Callable[..., Flask], api_url: URL, empty_url: URL
) -> None:
    app = app_with(api_url)
    upgrade(app)

    assert answer(app_with(empty_url), "CREATE TABLE by_hand (id serial)") == "done"

    assert answer(app, "INSERT INTO by_hand DEFAULT VALUES") == "done"


def test_each_upgrade_repeats_the_grants(
    app_with: Callable[..., Flask], api_url: URL, empty_url: URL
) -> None:
    upgrade(app_with(empty_url, migration_database_url=None))  # a release with one role
    app = app_with(api_url)
    before = answer(app, "DELETE FROM users")

    upgrade(app)

    assert before == "permission denied for table users"
    assert answer(app, "DELETE FROM users") == "done"
    answer(app_with(empty_url), f'GRANT ALL ON users TO "{api_url.username}"')
    upgrade(app)
    assert answer(app, "TRUNCATE users CASCADE") == "permission denied for table users"


def test_an_upgrade_with_nothing_to_do_changes_no_privileges(
    app_with: Callable[..., Flask], api_url: URL, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_with(api_url)
    upgrade(app)
    caplog.set_level("INFO", logger="sqlalchemy.engine")

    upgrade(app)

    statements = " ".join(caplog.messages)
    assert "pg_class" in statements
    assert "GRANT" not in statements


def test_a_poolers_user_name_may_end_with_the_project(app_with: Callable[..., Flask], api_url: URL) -> None:
    upgrade(app_with(api_url.set(username=f"{api_url.username}.project")))

    assert answer(app_with(api_url), "DELETE FROM users") == "done"


def test_a_role_that_does_not_exist_is_reported(
    app_with: Callable[..., Flask], empty_url: URL, caplog: pytest.LogCaptureFixture
) -> None:
    if empty_url.drivername == "sqlite":  # part: sqlite
        pytest.skip("SQLite has no roles")  # part: sqlite

    upgrade(app_with(empty_url.set(username="nobody_here")))

    assert "the role nobody_here in DATABASE_URL does not exist: it gets no access" in caplog.messages


def test_a_migration_with_the_apis_role_explains_what_it_needs(
    app_with: Callable[..., Flask], api_url: URL, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SystemExit):
        upgrade(app_with(api_url, migration_database_url=None))

    assert "permission denied for schema public. Set MIGRATION_DATABASE_URL" in caplog.messages[-1]
