"""Lints the SQL of new migrations for PostgreSQL: `python -m tools.lint_migrations [FOLDER]`.

Alembic renders each upgrade as SQL, without a database, and squawk looks for statements that stop the
traffic or break the previous version. `[tool.migrations]` in pyproject.toml says which revisions and rules
don't count. A comment in a revision allows a rule: `# squawk: allow ban-drop-column: no version reads it`.
"""

import json
import logging
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple

from alembic import command
from alembic.script import Script, ScriptDirectory
from flask import Flask

from app import create_app
from app.config import Settings
from kit.data.migrations import commands as migrations

API = Path(__file__).parents[1]
MARK = re.compile(r"^[ \t]*# squawk: *(.*)$", re.MULTILINE)
ALLOW = re.compile(r"allow (?P<rule>[a-z-]+): *\S.*")
SKIP = re.compile(r"skip: *\S.*")
FORMS = "Write `# squawk: allow RULE: REASON`, or `# squawk: skip: REASON` for the whole revision."
PAGE = 'docs/2-build.md, "Migrate without stopping traffic"'
REMEDIES = {
    "require-concurrent-index-creation": "Create the index concurrently, in a separate revision.",
    "require-concurrent-index-deletion": "Drop the index concurrently, in a separate revision.",
    "adding-required-field": "Give the column a server default, or make it nullable.",
    "adding-not-nullable-field": "Give the column a server default, or make it nullable.",
    "ban-drop-column": "Drop the column one release after the code that no longer uses it.",
    "ban-drop-table": "Drop the table one release after the code that no longer uses it.",
    "renaming-column": "Add a new column, and drop the old one in a later release.",
    "renaming-table": "Add a new table, and drop the old one in a later release.",
    "changing-column-type": "Add a column of the new type, and drop the old one in a later release.",
    "constraint-missing-not-valid": "Add it with NOT VALID, and validate it in the next revision.",
    "adding-foreign-key-constraint": "Add it with NOT VALID, and validate it in the next revision.",
    "disallowed-unique-constraint": "Create a unique index concurrently, in a separate revision.",
}


class Rules(NamedTuple):
    released: str
    postgresql: str
    ignored: dict[str, str]

    @classmethod
    def read(cls, api: Path) -> "Rules":
        table = tomllib.loads((api / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["migrations"]
        return cls(table["released"], table["postgresql"], table["ignored"])


def problems(app: Flask, folder: Path, rules: Rules) -> Iterator[str]:
    """Yield a message for each unsafe statement that no comment allows, and for each wrong comment."""
    scripts = ScriptDirectory(str(folder))
    known = {script.revision for script in scripts.walk_revisions()}
    if rules.released not in known:
        yield f"pyproject.toml: no migration has the revision {rules.released!r}, which released names."
        return
    released = {script.revision for script in scripts.iterate_revisions(rules.released, "base")}
    for script in reversed(list(scripts.walk_revisions())):
        if script.revision not in released:
            yield from _check(app, folder, script, rules)


def _check(app: Flask, folder: Path, script: Script, rules: Rules) -> Iterator[str]:
    file = f"migrations/versions/{Path(script.path).name}"
    marks = MARK.findall(Path(script.path).read_text(encoding="utf-8"))
    for mark in marks:
        if not ALLOW.fullmatch(mark) and not SKIP.fullmatch(mark):
            yield f"{file}: the comment `# squawk: {mark}` has no effect. {FORMS}"
    if any(SKIP.fullmatch(mark) for mark in marks):
        return
    try:
        sql = _sql(app, folder, script)
    except (Exception, SystemExit) as error:  # a revision can raise anything
        yield (
            f"{file}: the upgrade can't be written as SQL ({type(error).__name__}: {error}). If it runs "
            "queries, put them below `if not context.is_offline_mode():` (from alembic import context). "
            f"{FORMS}"
        )
        return
    if "squawk-ignore" in sql:
        yield f"{file}: the SQL has a comment that stops the linter without a reason. {FORMS}"
    findings = _squawk(sql, rules)
    allowed = {match["rule"] for mark in marks if (match := ALLOW.fullmatch(mark))}
    for finding in findings:
        if finding["rule_name"] not in allowed:
            yield _message(file, finding, sql)
    for rule in sorted(allowed - {finding["rule_name"] for finding in findings}):
        yield f"{file}: no statement breaks the rule {rule}. Remove the comment that allows it."


def _sql(app: Flask, folder: Path, script: Script) -> str:
    """Return the upgrade of one revision as SQL for PostgreSQL."""
    output = StringIO()
    down = script.down_revision
    first = down[0] if isinstance(down, tuple) else down or "base"
    with app.app_context():
        config = app.extensions["migrate"].migrate.get_config(str(folder))
        config.output_buffer = output
        command.upgrade(config, f"{first}:{script.revision}", sql=True)
    return output.getvalue()


def _squawk(sql: str, rules: Rules) -> list[dict[str, Any]]:
    options = ["--reporter", "json", "--pg-version", rules.postgresql, "--exclude", ",".join(rules.ignored)]
    squawk = [str(Path(sys.executable).with_name("squawk")), *options]
    done = subprocess.run(squawk, input=sql, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode not in (0, 1) or not done.stdout:
        sys.exit(f"squawk failed: {done.stderr}")
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def _message(file: str, finding: dict[str, Any], sql: str) -> str:
    lines = sql.splitlines()[finding["line"] : finding["line_end"] + 1]
    rule, statement = finding["rule_name"], " ".join(" ".join(lines).split())
    remedy = REMEDIES.get(rule) or finding["help"] or "Find another way."
    return (
        f"{file}: {finding['message']} ({rule})\n  {statement}\n  {remedy} See {PAGE}.\n"
        f"  If it is safe here, say why in the revision: # squawk: allow {rule}: REASON"
    )


def app_without_database() -> Flask:
    """Return an app for PostgreSQL that doesn't connect."""
    url = "postgresql://user@localhost/never_opened"
    given = {"FLASK_ENV": "testing", "DATABASE_URL": url, "SECRET_KEY": token_hex(32)}
    app = create_app(Settings.model_validate(given))
    migrations.init_app(app)
    return app


def main(folder: Path) -> None:
    logging.disable(logging.INFO)  # Alembic logs each revision
    found = list(problems(app_without_database(), folder, Rules.read(API)))
    for problem in found:
        print(problem)  # noqa: T201
    if found:
        sys.exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else API / "migrations")
