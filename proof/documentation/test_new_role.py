"""A role that is added as docs/2-build/common-changes.md says works on both databases."""

import shutil
import sys
from pathlib import Path

import pytest

from proof.documentation.blocks import blocks
from proof.documentation.conftest import REPOSITORY, Project

PAGE = "docs/2-build/common-changes.md"
VIEW = '''"""Reports, for moderators."""

from flask import Blueprint

from app.authentication import MODERATOR
from kit.web.endpoint import endpoint

blueprint = Blueprint("reports", __name__, url_prefix="/reports")


@blueprint.post("")
@endpoint(auth=MODERATOR, keys=False, status=204, uses_database=True)
def close() -> None:
    """Close all reports."""
'''
TESTS = '''"""The role moderator."""

import pytest
from flask.testing import FlaskCliRunner

from app.model.models import Role
from tests.support.documented import documented
from tests.support.people import People
from tests.support.problems import problem
from tests.support.world import World

pytestmark = pytest.mark.any_database


def test_moderators_and_admins_pass(people: People) -> None:
    for name, role in (("mia", Role.MODERATOR), ("root", Role.ADMIN)):
        assert people(name, role).post("/reports").status_code == 204
    assert problem(people("ann").post("/reports")) == (403, "forbidden")
    assert problem(people.log_in("mia").get("/users")) == (403, "forbidden")


def test_the_document_names_the_roles(people: People) -> None:
    operation = documented()["paths"]["/reports"]["post"]

    assert operation["security"][0] == {"access_token": ["moderator", "admin"]}
    assert operation["description"] == "Close all reports.\\n\\nRequires the role `moderator` or `admin`."
    assert World(people).caller("POST /reports").get("/account").json["role"] == "moderator"


def test_the_last_admin_does_not_become_a_moderator(people: People, runner: FlaskCliRunner) -> None:
    root, mia = people("root", Role.ADMIN), people("mia", Role.MODERATOR)

    assert problem(root.patch(f"/users/{root.id}", {"role": "moderator"})) == (409, "last_admin")
    assert runner.invoke(args=["user", "role", "root", "moderator"]).exit_code == 1

    assert root.patch(f"/users/{mia.id}", {"role": "admin"}).status_code == 200
    assert runner.invoke(args=["user", "role", "root", "moderator"]).exit_code == 0
    assert root.post("/reports").status_code == 204
'''
MIGRATION = '''"""The migration of the role moderator, up and down."""

import pytest
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.database import db
from app.model.models import Role, User
from tests.support.people import People


def test_the_migration_goes_up_and_down(committed_app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    People(committed_app, "x").register("mia", Role.MODERATOR)  # type: ignore[arg-type]
    runner = committed_app.test_cli_runner()

    caplog.clear()
    refused = runner.invoke(args=["db", "downgrade"])
    assert (refused.exit_code, "ck_users_role" in caplog.text) == (1, True)
    with committed_app.app_context():
        assert db.session.execute(text("SELECT role FROM users")).scalar() == "moderator"
        db.session.execute(text("UPDATE users SET role = 'user'"))
        db.session.commit()
    assert runner.invoke(args=["db", "downgrade"]).exit_code == 0
    with committed_app.app_context(), pytest.raises(IntegrityError):
        db.session.execute(text("UPDATE users SET role = 'moderator'"))
    assert runner.invoke(args=["db", "upgrade"]).exit_code == 0
    with committed_app.app_context():
        db.session.execute(text("UPDATE users SET role = 'moderator'"))
        db.session.commit()
        assert db.session.scalar(db.select(User.role)) == Role.MODERATOR
'''


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a copy of the project with the role, before its column is in the table of permissions."""
    folder = tmp_path_factory.mktemp("role") / "flask-api"
    shutil.copytree(REPOSITORY, folder, symlinks=True, ignore=shutil.ignore_patterns(".git", ".venv"))
    (folder / ".venv").symlink_to(REPOSITORY / ".venv")
    project = Project(folder)
    for block in blocks(PAGE, REPOSITORY):
        if block.heading == "Add a role" and block.language == "diff":
            block.apply(folder)
    return project


def run_tests(project: Project, *tests: str, options: str = "") -> str:
    """Run the copy's tests on SQLite and PostgreSQL."""
    names = " ".join(f"tests/integration/test_{name}.py" for name in tests)
    plugin = "-p tests.support.local_postgres"
    return project.type(f"cd services/api && {sys.executable} -m pytest -q -n 2 {plugin} {names} {options}")


def test_a_role_without_a_column_is_reported(changed: Project) -> None:
    with pytest.raises(
        AssertionError, match=r"Add a column to tests/authorization\.md for each: \['moderator'\]"
    ):
        run_tests(changed, "authorization", options="-k has_its_column")


def test_the_role_works_in_views_documents_and_tables(changed: Project) -> None:
    api = changed.folder / "services/api"
    for block in blocks(PAGE, REPOSITORY):
        if block.heading == "Add a role" and block.language == "sh":
            changed.type(block.text)
    _add_view(api)
    changed.type("scripts/flask scaffold trial_note 'title:str(20)' --admin")
    (api / "tests/integration/test_moderators.py").write_text(TESTS)

    run_tests(changed, "authorization", "moderators", "openapi", "users", "statements", "trial_note")

    assert (
        "| GET /trial-notes | 401 | 403 | 403 | 403 | 200 |" in (api / "tests/authorization.md").read_text()
    )


def test_the_migration_runs_on_both_databases(changed: Project) -> None:
    changed.type("scripts/flask unscaffold trial_note")
    (changed.folder / "services/api/tests/integration/test_role_migration.py").write_text(MIGRATION)

    run_tests(changed, "role_migration")


def _add_view(api: Path) -> None:
    (api / "app/blueprint/reports.py").write_text(VIEW)
    blueprints = api / "app/blueprint/__init__.py"
    text = blueprints.read_text().replace("    users,\n", "    reports,\n    users,\n")
    blueprints.write_text(
        text.replace("    problem_pages.bl", "    reports.blueprint,\n    problem_pages.bl")
    )
    with (api / "tests/authorization.md").open("a") as table:
        table.write("| POST /reports | 401 | 403 | 403 | 204 | 204 | 401 | 401 | 401 | 401 | 403 | 403 |\n")
