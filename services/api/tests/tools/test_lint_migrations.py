"""The linter of migrations: an unsafe statement fails with a remedy, unless a comment allows it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from flask import Flask

from tests.support.paths import API, MIGRATIONS
from tools.lint_migrations import Rules, app_without_database, problems

Lint = Callable[..., list[str]]
HEAD = ScriptDirectory(str(MIGRATIONS)).get_current_head()
RULES = Rules.read(API)._replace(released=str(HEAD))
ADD_REQUIRED = 'op.add_column("users", sa.Column("nickname", sa.String(20), nullable=False))'
ADD_OPTIONAL = 'op.add_column("users", sa.Column("nickname", sa.String(20)))'
INDEX = 'op.create_index("ix_users_role", "users", ["role"])'
DROP = 'op.drop_column("users", "disabled")'
ADD_CHECK = 'op.create_check_constraint("long", "users", "length(role) > 1")'
INDEX_IN_SQL = 'op.execute("CREATE INDEX ix_users_role ON users (role)")'
CONCURRENT_INDEX = """with op.get_context().autocommit_block():
        op.create_index("ix_users_role", "users", ["role"], postgresql_concurrently=True)"""
NEW_TABLE = """op.create_table("pens", sa.Column("id", sa.Uuid()), sa.PrimaryKeyConstraint("id"))
    op.create_index("ix_pens_id", "pens", ["id"])"""


@pytest.fixture(scope="module")
def offline_app() -> Flask:
    return app_without_database()


@pytest.fixture
def lint(offline_app: Flask, tmp_path: Path) -> Lint:
    """Lint a revision whose upgrade has this body."""

    def check(body: str, *comments: str) -> list[str]:
        folder = shutil.copytree(MIGRATIONS, tmp_path / "migrations", dirs_exist_ok=True)
        header = f'revision, down_revision = "new", "{HEAD}"'
        imports = "import sqlalchemy as sa\nfrom alembic import context, op"
        comment = "\n".join(comments)
        (folder / "versions" / "new.py").write_text(
            f"{imports}\n{header}\n{comment}\ndef upgrade():\n    {body}\n"
        )
        return list(problems(offline_app, folder, RULES))

    return check


def test_the_migrations_of_this_project_pass(offline_app: Flask) -> None:
    assert list(problems(offline_app, MIGRATIONS, Rules.read(API))) == []


@pytest.mark.parametrize(
    "body", [ADD_OPTIONAL, CONCURRENT_INDEX, NEW_TABLE], ids=["column", "index", "table"]
)
def test_a_safe_statement_passes(lint: Lint, body: str) -> None:
    assert lint(body) == []


@pytest.mark.parametrize(
    ("body", "rule", "remedy"),
    [
        (ADD_REQUIRED, "adding-required-field", "server default"),
        (INDEX, "require-concurrent-index-creation", "concurrently"),
        (DROP, "ban-drop-column", "one release after"),
        ('op.alter_column("users", "role", type_=sa.Text())', "changing-column-type", "new type"),
        ('op.alter_column("users", "role", new_column_name="rank")', "renaming-column", "Add a new column"),
        ('op.drop_table("tokens")', "ban-drop-table", "one release after"),
        (ADD_CHECK, "constraint-missing-not-valid", "NOT VALID"),
        (INDEX_IN_SQL, "require-concurrent-index-creation", "concurrently"),
    ],
    ids=["required", "index", "drop", "type", "rename", "table", "check", "sql"],
)  # fmt: skip
def test_an_unsafe_statement_fails_with_its_remedy(lint: Lint, body: str, rule: str, remedy: str) -> None:
    [problem] = lint(body)

    assert problem.startswith("migrations/versions/new.py: ")
    assert f"({rule})" in problem
    assert remedy in problem
    assert f"# squawk: allow {rule}: REASON" in problem


def test_a_comment_allows_a_rule_in_its_revision(lint: Lint) -> None:
    [problem] = lint(f"{DROP}\n    {INDEX}", "# squawk: allow ban-drop-column: no version reads it")

    assert "(require-concurrent-index-creation)" in problem


@pytest.mark.parametrize(
    "comment",
    ["# squawk: allow ban-drop-column", "# squawk: ignore ban-drop-column: because", "# squawk: skip"],
)
def test_a_comment_without_a_reason_has_no_effect(lint: Lint, comment: str) -> None:
    wrong, problem = lint(DROP, comment)

    assert f"`{comment}` has no effect" in wrong
    assert "(ban-drop-column)" in problem


def test_a_comment_in_the_sql_cannot_stop_the_linter(lint: Lint) -> None:
    found, *_ = lint(f'op.execute("-- squawk-ignore-file")\n    {DROP}')

    assert "stops the linter without a reason" in found


def test_an_unneeded_comment_is_reported(lint: Lint) -> None:
    [problem] = lint(ADD_OPTIONAL, "# squawk: allow ban-drop-column: no version reads it")

    assert "no statement breaks the rule ban-drop-column" in problem


QUERY = 'op.get_bind().execute(sa.text("SELECT 1")).all()'


def test_a_revision_that_runs_queries_says_how_to_render_it(lint: Lint) -> None:
    [problem] = lint(QUERY)

    assert "the upgrade can't be written as SQL" in problem
    assert lint(f"if not context.is_offline_mode():\n        {QUERY}") == []
    assert lint(QUERY, "# squawk: skip: it only reads") == []


def test_released_revisions_are_not_checked_but_must_exist(lint: Lint, offline_app: Flask) -> None:
    old, unknown = (RULES._replace(released=revision) for revision in ("0001", "9999"))

    assert any("0002" in problem for problem in problems(offline_app, MIGRATIONS, old))
    [problem] = problems(offline_app, MIGRATIONS, unknown)
    assert problem.startswith("pyproject.toml: no migration has the revision '9999'")
