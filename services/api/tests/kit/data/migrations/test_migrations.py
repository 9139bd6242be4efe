"""The migrations: up, down and up again with rows, without drift, and many at once."""

import re
import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import flask_migrate
import pytest
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import URL, create_engine, func, insert, inspect, select, text

from app import create_app
from app.database import db
from app.model.models import KnownNetwork, Session
from kit.clock import now
from kit.data import readiness
from kit.data.migrations import commands as migrations
from tests.support.paths import API, MIGRATIONS
from tests.support.people import People
from tests.support.settings import SECRET_KEY, settings_for

pytestmark = pytest.mark.long
# Eight `flask` processes, forked after the imports, so that they start at the same time.
EIGHT = """
import os, sys
import alembic.command, flask.cli, flask_migrate, app
for _ in range(8):
    if not os.fork():
        try:
            flask.cli.main()
        except SystemExit as end:
            os._exit(end.code)  # a regular exit would copy and clean up the shared memory
sys.exit(sum(os.waitstatus_to_exitcode(os.wait()[1]) != 0 for _ in range(8)))
"""


@pytest.fixture
def app(empty_url: URL) -> Iterator[Flask]:
    app = create_app(settings_for(empty_url))
    migrations.init_app(app)
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


def refuse_drift() -> None:
    try:
        flask_migrate.check()
    except SystemExit:
        pytest.fail(
            'Models and migrations differ, as logged below. Run: make migration m="describe the change"'
        )


def test_migrations_go_up_down_and_up_again_with_rows(app: Flask, password_hash: object) -> None:
    people = People(app, password_hash)  # type: ignore[arg-type]
    for _ in range(2):
        flask_migrate.upgrade()
        refuse_drift()
        assert people("ann").get("/account").status_code == 200
        db.session.remove()
        flask_migrate.downgrade(revision="base")
        assert inspect(db.engine).get_table_names() == ["alembic_version"]


def test_networks_of_the_last_thirty_days_stay_known(app: Flask, password_hash: object) -> None:
    flask_migrate.upgrade()
    people = People(app, password_hash)  # type: ignore[arg-type]
    ann, _ = people("ann"), people("bob")
    flask_migrate.downgrade(revision="0003")
    user_id, time = UUID(ann.id), now()
    ages = [timedelta(days=days) for days in (31, 29, 3, 1)]
    _add_sessions(user_id, [(f"198.51.100.{index % 2}", time - age) for index, age in enumerate(ages)])
    _add_sessions(user_id, [(f"203.0.113.{n}", time - timedelta(days=10, minutes=n)) for n in range(60)])

    flask_migrate.upgrade()

    with db.engine.connect() as connection:
        own = select(KnownNetwork.__table__).where(KnownNetwork.user_id == user_id)
        found = {row.network: (row.first_seen_at, row.last_seen_at) for row in connection.execute(own)}
        everyone = connection.scalar(select(func.count()).select_from(KnownNetwork))
    assert (len(found), everyone) == (50, 51)
    assert found["198.51.100.0"] == (time - ages[2], time - ages[2])
    assert found["198.51.100.1"] == (time - ages[1], time - ages[3])
    assert {"192.0.2.1", "203.0.113.46"} < set(found)
    assert "203.0.113.47" not in found
    refuse_drift()


def _add_sessions(user_id: UUID, logins: list[tuple[str, datetime]]) -> None:
    """Add sessions as the previous release did."""
    rows = [
        {
            "id": uuid4(), "user_id": user_id, "refresh_id": uuid4(), "network": network,
            "created_at": time, "refreshed_at": time, "expires_at": time, "ends_at": time,
        }
        for network, time in logins
    ]  # fmt: skip
    with db.engine.begin() as connection:
        connection.execute(insert(Session), rows)


def test_an_older_release_does_not_downgrade_the_database(app: Flask) -> None:
    flask_migrate.upgrade()
    with db.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'of a newer release'"))

    flask_migrate.upgrade()

    with db.engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "of a newer release"
    with pytest.raises(SystemExit):
        flask_migrate.downgrade(revision="base")


def test_there_is_one_head() -> None:
    assert len(ScriptDirectory(str(MIGRATIONS)).get_heads()) == 1


def written(app: Flask, folder: Path, *command: str) -> str:
    """Run a `flask db` command on the folder's migrations and return the name of the new file."""
    before = set((folder / "versions").iterdir())
    result = app.test_cli_runner().invoke(args=["db", "--directory", str(folder), *command])
    assert result.exit_code == 0, result.output
    [new] = set((folder / "versions").iterdir()) - before
    return new.name


def test_new_revisions_continue_the_numbers(app: Flask, tmp_path: Path) -> None:
    folder = shutil.copytree(MIGRATIONS, tmp_path / "migrations")
    head = str(ScriptDirectory(str(folder)).get_current_head())
    flask_migrate.upgrade()
    with db.engine.begin() as connection:
        connection.execute(text("CREATE TABLE no_model (id integer)"))  # so that the migration isn't empty

    names = [written(app, folder, "migrate", "--message", "drop it")]
    names.append(written(app, folder, "revision", "--message", "fill it"))
    names.append(written(app, folder, "revision", "--message", "aside", "--head", head, "--splice"))
    names.append(written(app, folder, "merge", "heads", "--message", "join"))

    slugs = ["drop_it", "fill_it", "aside", "join"]
    expected = [f"{slug}_{int(head) + step:04}.py" for step, slug in enumerate(slugs, start=1)]
    assert [name[len("2026_11_22_") :] for name in names] == expected
    assert ScriptDirectory(str(folder)).get_current_head() == f"{int(head) + 4:04}"


def test_a_generated_migration_that_drops_something_says_when_to_apply_it(app: Flask, tmp_path: Path) -> None:
    folder = shutil.copytree(MIGRATIONS, tmp_path / "migrations")
    flask_migrate.upgrade()

    empty = written(app, folder, "revision", "--message", "nothing")
    flask_migrate.upgrade(directory=str(folder))
    with db.engine.begin() as connection:
        connection.execute(text("ALTER TABLE users ADD COLUMN no_model text"))
    dropping = written(app, folder, "migrate", "--message", "drop it")

    assert "one release after" not in (folder / "versions" / empty).read_text()
    assert "one release after" in (folder / "versions" / dropping).read_text()
    flask_migrate.upgrade(directory=str(folder))


def test_a_given_revision_id_is_used(app: Flask, tmp_path: Path) -> None:
    folder = shutil.copytree(MIGRATIONS, tmp_path / "migrations")

    name = written(app, folder, "revision", "--message", "add a nickname", "--rev-id", "c0ffee")

    assert name.endswith("_add_a_nickname_c0ffee.py")
    following = int(str(ScriptDirectory(str(folder)).get_revision("c0ffee").down_revision)) + 1
    assert written(app, folder, "revision", "--message", "x").endswith(f"_x_{following:04}.py")


def test_a_duplicate_revision_stops_every_command(
    app: Flask, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = shutil.copytree(MIGRATIONS, tmp_path / "migrations")
    head = ScriptDirectory(str(folder)).get_current_head()
    for branch in ("ann", "bob"):
        (folder / "versions" / f"{branch}.py").write_text(f"revision, down_revision = '9000', {head!r}\n")

    for command in (flask_migrate.upgrade, flask_migrate.heads, flask_migrate.revision):
        with pytest.raises(SystemExit):
            command(directory=str(folder))

        assert "Revision 9000 is present more than once." in caplog.messages[-1]
        assert "next number" in caplog.messages[-1]
    assert inspect(db.engine).get_table_names() == []


def test_a_revision_can_be_written_in_any_valid_way(tmp_path: Path) -> None:
    folder = shutil.copytree(MIGRATIONS, tmp_path / "migrations")
    head = ScriptDirectory(str(folder)).get_current_head()
    (folder / "versions" / "mine.py").write_text(f"revision, down_revision = 'mine', {head!r}\n")

    heads, known = readiness.revisions(folder)

    assert heads == {"mine"}
    assert head in known


def test_the_sql_of_the_migrations_can_be_run(app: Flask) -> None:
    if db.engine.dialect.name == "sqlite":  # part: sqlite
        pytest.skip("Alembic makes no SQL for SQLite, whose tables it copies to change them")  # part: sqlite
    before = inspect(db.engine).get_table_names()

    def run(*command: str) -> None:
        result = app.test_cli_runner().invoke(args=["db", *command, "--sql"])
        assert result.exit_code == 0, result.output
        with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(result.stdout)  # the script has its own BEGIN and COMMIT

    run("upgrade")
    flask_migrate.check()
    run("downgrade", "head:base")
    assert before == []
    assert inspect(db.engine).get_table_names() == ["alembic_version"]


def test_every_constraint_has_a_name(app: Flask) -> None:
    flask_migrate.upgrade()
    inspector = inspect(db.engine)

    for table in set(inspector.get_table_names()) - {"alembic_version"}:
        constraints = [
            inspector.get_pk_constraint(table),
            *inspector.get_foreign_keys(table),
            *inspector.get_unique_constraints(table),
            *inspector.get_check_constraints(table),
        ]
        assert all(each["name"] for each in constraints), f"{table}: name every constraint in its migration"


@contextmanager
def migration_lock(url: URL) -> Iterator[None]:
    """Hold the lock of a migrator."""
    # part: sqlite
    if url.drivername == "sqlite":
        file = sqlite3.connect(f"{url.database}.lock", isolation_level=None)
        file.execute("BEGIN EXCLUSIVE")
        yield
        file.close()
        return
    # end of part
    engine = create_engine(url)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(7041776411)"))
        yield
    engine.dispose()


def test_a_migration_refused_by_the_database_is_reported_in_one_line(
    app: Flask, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = shutil.copytree(MIGRATIONS, tmp_path / "migrations")
    head = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    (folder / "versions" / "broken.py").write_text(
        "from alembic import op\n"
        f"revision, down_revision = 'broken', {head!r}\n"
        "def upgrade():\n"
        "    op.execute('CREATE TABLE half_done (id integer)')\n"
        "    op.execute('SELECT 1 FROM nowhere')\n"
    )
    flask_migrate.upgrade()

    with pytest.raises(SystemExit) as ended:
        flask_migrate.upgrade(directory=str(folder))

    assert ended.value.code == 1
    assert re.search("The database cannot be migrated: .*nowhere", caplog.messages[-1])
    assert "half_done" not in inspect(db.engine).get_table_names()


INDEX_MIGRATION = """
from alembic import op
revision, down_revision = "index", {head!r}
def upgrade():
    with op.get_context().autocommit_block():
        op.drop_index("ix_users_role", "users", if_exists=True, postgresql_concurrently=True)
        op.create_index("ix_users_role", "users", ["role"], postgresql_concurrently=True)
"""


def test_an_index_is_created_outside_of_a_transaction(app: Flask, tmp_path: Path) -> None:
    folder = shutil.copytree(MIGRATIONS, tmp_path / "migrations")
    head = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    (folder / "versions" / "index.py").write_text(INDEX_MIGRATION.format(head=head))

    flask_migrate.upgrade(directory=str(folder))

    assert "ix_users_role" in {index["name"] for index in inspect(db.engine).get_indexes("users")}
    with db.engine.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "index"


SLOW_MIGRATION = """
from alembic import op
revision, down_revision = "slow", {head!r}
def upgrade():
    op.execute("SELECT pg_sleep(0.5)")
    op.execute('''
        CREATE TABLE seen AS SELECT
        current_setting('lock_timeout') AS patience, current_setting('work_mem') AS memory,
        (SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
         WHERE locktype = 'advisory' AND datname = current_database()) AS locks
    ''')
"""


def test_a_migration_ignores_the_time_limits_of_its_role(app: Flask, empty_url: URL, tmp_path: Path) -> None:
    if empty_url.drivername == "sqlite":  # part: sqlite
        pytest.skip("SQLite has no roles")  # part: sqlite
    with db.engine.begin() as connection:
        for limit in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
            role = f'ALTER ROLE CURRENT_USER IN DATABASE "{empty_url.database}"'
            connection.execute(text(f"{role} SET {limit} = '100ms'"))
    folder = shutil.copytree(MIGRATIONS, tmp_path / "migrations")
    head = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    (folder / "versions" / "slow.py").write_text(SLOW_MIGRATION.format(head=head))
    with_options = create_app(settings_for(empty_url.update_query_dict({"options": "-c work_mem=5MB"})))
    migrations.init_app(with_options)

    with with_options.app_context():
        flask_migrate.upgrade(directory=str(folder))

    with db.engine.connect() as connection:
        seen = connection.execute(text("SELECT patience, memory, locks FROM seen")).one()
    assert tuple(seen) == ("2s", "5MB", 1)  # the lock was held to the end


def test_a_migrator_waits_for_the_previous_one(app: Flask, empty_url: URL) -> None:
    def migrate() -> None:
        with app.app_context():
            flask_migrate.upgrade()

    migrator = threading.Thread(target=migrate)
    with migration_lock(empty_url):
        migrator.start()
        migrator.join(timeout=1.5)
        waited = migrator.is_alive()
        assert inspect(db.engine).get_table_names() == []
    migrator.join(timeout=60)

    assert waited
    assert "users" in inspect(db.engine).get_table_names()


def test_eight_migrators_at_once_all_succeed(empty_url: URL) -> None:
    environment = {
        "DATABASE_URL": empty_url.render_as_string(hide_password=False),
        "SECRET_KEY": SECRET_KEY,
    }
    command = [sys.executable, "-c", EIGHT, "--app", "app", "db", "upgrade"]
    pipe, stdout = subprocess.PIPE, subprocess.STDOUT

    done = subprocess.run(
        command, cwd=API, env=environment, stdout=pipe, stderr=stdout, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stdout
    revisions = list(ScriptDirectory(str(MIGRATIONS)).walk_revisions())
    assert done.stdout.count("Running upgrade") == len(revisions)
