"""Time limits of database calls: requests have them, commands don't."""

import click
import pytest
from flask import Flask
from flask.cli import with_appcontext
from sqlalchemy import text

from app.database import db
from kit.data.deadline import database_deadline
from kit.web.endpoint import endpoint

LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")


def limits() -> list[str]:
    if db.engine.dialect.name == "sqlite":  # part: sqlite
        pytest.skip("SQLite has no time limits for statements")  # part: sqlite
    return [str(db.session.scalar(text(f"SHOW {name}"))) for name in LIMITS]


def test_a_command_has_no_time_limits(committed_app: Flask) -> None:
    @click.command()
    @with_appcontext
    def show() -> None:
        click.echo(limits())
        db.session.commit()
        click.echo(limits())

    result = committed_app.test_cli_runner().invoke(show)

    assert result.output.splitlines() == ["['0', '0', '0']"] * 2


def test_each_transaction_of_a_job_has_the_time_until_its_deadline(committed_app: Flask) -> None:
    with committed_app.app_context(), database_deadline(3600):
        statements, locks, idle = limits()
        db.session.commit()
        assert (statements == idle, locks) == (True, "0")
        assert statements.startswith(("1h", "3599", "3600"))
    with committed_app.app_context():
        assert limits() == ["0", "0", "0"]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_has_time_limits(committed_app: Flask, method: str) -> None:
    @endpoint()
    def show() -> None:
        assert limits() == ["1min", "45s", "5min"]

    with committed_app.test_request_context(method=method):
        show()
