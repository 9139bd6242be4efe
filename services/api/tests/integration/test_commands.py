"""The command line."""

import json
import subprocess
import sys
from datetime import timedelta
from io import StringIO
from pathlib import Path
from unittest.mock import patch
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from sqlalchemy import URL, select, update

from app.account_mail import AccountMail
from app.database import db
from app.model.models import Role, Session, Token, User
from kit.clock import now
from tests.support.credentials import PASSWORD, bearer
from tests.support.mail import Mailbox
from tests.support.paths import API
from tests.support.people import People
from tests.support.problems import problem
from tests.support.settings import NEVER_OPENED, SECRET_KEY


def create(runner: FlaskCliRunner, name: str, *options: str, password: str = PASSWORD):  # type: ignore[no-untyped-def]
    return runner.invoke(args=["user", "create", name, "--password-stdin", *options], input=f"{password}\n")


def test_user_create_creates_an_account_that_can_log_in(runner: FlaskCliRunner, client: FlaskClient) -> None:
    result = create(runner, "ann", "--role", "admin")

    assert result.exit_code == 0
    response = client.post("/auth/login", json={"username": "ann", "password": PASSWORD})
    assert response.status_code == 200
    assert "ann\tadmin\t" in runner.invoke(args=["user", "list"]).output


def test_user_create_prompts_twice_without_echo(runner: FlaskCliRunner) -> None:
    result = runner.invoke(args=["user", "create", "ann"], input=f"{PASSWORD}\n{PASSWORD}\n")

    assert result.exit_code == 0
    assert "Password:" in result.output
    assert "Repeat for confirmation:" in result.output
    assert PASSWORD not in result.output


@pytest.mark.parametrize(
    ("name", "password", "reason"),
    [
        ("ann", PASSWORD, "already exists"),
        ("a b", PASSWORD, "A username has"),
        ("bob", "short", "at least 15"),
        ("bob", "", "at least 15"),
        ("bob", "x" * 129, "at most 128"),
    ],
)
def test_user_create_reports_errors_in_one_line(
    runner: FlaskCliRunner, people: People, name: str, password: str, reason: str
) -> None:
    people.register("ann")

    result = create(runner, name, password=password)

    assert result.exit_code == 1
    assert reason in result.stderr
    assert result.stderr.count("\n") == 1


def test_user_create_takes_no_password_as_an_argument(runner: FlaskCliRunner) -> None:
    result = runner.invoke(args=["user", "create", "ann", PASSWORD])

    assert result.exit_code == 2


def test_set_password_ends_the_sessions(runner: FlaskCliRunner, client: FlaskClient, people: People) -> None:
    ann = people("ann")

    result = runner.invoke(
        args=["user", "set-password", "ANN", "--password-stdin"], input="a whole new passphrase\n"
    )

    assert result.exit_code == 0
    assert problem(ann.get("/account")) == (401, "token_revoked")
    body = {"username": "ann", "password": "a whole new passphrase"}
    assert client.post("/auth/login", json=body).status_code == 200


def test_set_password_refuses_a_weak_password(runner: FlaskCliRunner, people: People) -> None:
    people.register("ann")

    result = runner.invoke(args=["user", "set-password", "ann", "--password-stdin"], input="too short\n")

    assert result.exit_code == 1
    assert "A password needs at least 15 characters." in result.output


def test_no_rows_are_locked_during_a_prompt(runner: FlaskCliRunner, people: People) -> None:
    people.register("ann")

    def typed(*_: object) -> str:
        assert not db.session().in_transaction()
        return "a whole new passphrase"

    with patch("app.commands._password", typed):
        assert runner.invoke(args=["user", "set-password", "ann"]).exit_code == 0


@pytest.mark.parametrize("command", ["set-password", "delete", "disable", "enable"])
def test_an_unknown_username_is_reported(runner: FlaskCliRunner, command: str) -> None:
    result = runner.invoke(args=["user", command, "ann"], input=f"{PASSWORD}\n{PASSWORD}\n")

    assert (result.exit_code, result.stderr) == (1, "Error: No account has this username.\n")


def test_user_delete_deletes_the_account(runner: FlaskCliRunner, people: People) -> None:
    ann = people("ann")

    assert runner.invoke(args=["user", "delete", "ann"]).exit_code == 0

    assert problem(ann.get("/account")) == (401, "token_revoked")


def test_the_last_admin_cannot_be_deleted(runner: FlaskCliRunner, people: People) -> None:
    people.register("root", Role.ADMIN)

    result = runner.invoke(args=["user", "delete", "root"])

    assert result.exit_code == 1
    assert "last account with the role admin" in result.stderr
    people.register("heir", Role.ADMIN)
    assert runner.invoke(args=["user", "delete", "root"]).exit_code == 0


@pytest.mark.any_database
def test_user_role_gives_an_account_a_role_at_once(
    runner: FlaskCliRunner, people: People, output: StringIO
) -> None:
    ann = people("ann")

    result = runner.invoke(args=["user", "role", "ann", "admin"])

    assert result.output == "The account ann has the role admin.\n"
    assert ann.get("/users").status_code == 200
    [line] = [json.loads(line) for line in output.getvalue().splitlines() if "by_operator" in line]
    assert (line["user_id"], line["role"], line["via"]) == (ann.id, ["user", "admin"], "command")


def test_user_role_lists_the_roles_if_one_is_unknown(runner: FlaskCliRunner, people: People) -> None:
    people.register("ann")

    result = runner.invoke(args=["user", "role", "ann", "king"])

    assert result.exit_code == 2
    assert all(f"'{role}'" in result.stderr for role in Role)


@pytest.mark.any_database
def test_user_disable_ends_the_sessions_and_user_enable_allows_logins(
    app: Flask, runner: FlaskCliRunner, client: FlaskClient
) -> None:
    create(runner, "ann", "--email", "ann@example.com")
    credentials = {"username": "ann", "password": PASSWORD}
    pair = client.post("/auth/login", json=credentials).json

    disabled = runner.invoke(args=["user", "disable", "ann"])

    assert disabled.output == "The account ann is disabled, and its sessions have ended.\n"
    assert [message.template for message in Mailbox(app).receive()][-1:] == ["account-disabled"]
    assert client.post("/auth/login", json=credentials).status_code == 401
    assert (
        runner.invoke(args=["user", "enable", "ann"]).output == "The account ann is enabled. It can log in.\n"
    )
    assert client.post("/auth/login", json=credentials).status_code == 200
    assert problem(client.get("/account", headers=bearer(pair["access_token"]))) == (401, "token_revoked")


@pytest.mark.any_database
@pytest.mark.parametrize(
    "command", [["role", "root", "user"], ["disable", "root"], ["delete", "root"]], ids=" ".join
)
def test_no_command_removes_the_last_admin(
    runner: FlaskCliRunner, people: People, command: list[str]
) -> None:
    root = people("root", Role.ADMIN)

    result = runner.invoke(args=["user", *command])

    assert result.exit_code == 1
    assert "last account with the role admin" in result.stderr
    assert root.get("/users").status_code == 200


def test_token_prune_deletes_expired_tokens(app: Flask, runner: FlaskCliRunner, people: People) -> None:
    expired, alive = people("ann"), people("bob")
    with app.app_context():
        for row in [*db.session.scalars(select(Session)), *db.session.scalars(select(Token))]:
            if str(row.user_id) == expired.id:
                row.expires_at = now() - timedelta(days=91)
        db.session.commit()

    result = runner.invoke(args=["token", "prune"])

    assert result.exit_code == 0
    assert alive.get("/account").status_code == 200
    with app.app_context():
        assert {str(token.user_id) for token in db.session.scalars(select(Token))} == {alive.id}
        assert len(db.session.scalars(select(User)).all()) == 2


def test_token_revoke_all_ends_every_session_and_keeps_accounts(
    runner: FlaskCliRunner, people: People
) -> None:
    ann, bob = people("ann"), people("bob")

    result = runner.invoke(args=["token", "revoke-all"])

    assert result.exit_code == 0
    for person in (ann, bob):
        assert problem(person.get("/account")) == (401, "token_revoked")
        assert people.log_in(person.name).get("/account").status_code == 200


def flask(*arguments: str, app: str = "app", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in another process, with only these environment variables."""
    return subprocess.run(
        [sys.executable, "-m", "flask", "--app", app, *arguments],
        cwd=API, env=environment, capture_output=True, text=True, timeout=60, check=False, input="",
    )  # fmt: skip


@pytest.mark.parametrize(
    "arguments", [["create", "bob", "--password-stdin"], ["delete", "ab\udcff"], ["set-password", "\udcff"]]
)
def test_invalid_utf8_is_reported_in_one_line(runner: FlaskCliRunner, arguments: list[str]) -> None:
    stdin = b"caf\xe9 au lait et miel\n"

    result = runner.invoke(args=["user", *arguments], input=stdin)

    assert result.exit_code == 1
    assert "UTF-8" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.any_database
def test_invalid_settings_stop_every_command_with_one_line() -> None:
    result = flask("user", "list", PORT="high", SECRET_KEY="a-secret-value")

    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    for name in ("DATABASE_URL", "PORT", "SECRET_KEY"):
        assert name in result.stderr
    assert "a-secret-value" not in result.stderr


LOGGING_APP = """
from app import create_app as create

def create_app():
    app = create()
    app.logger.warning("a line of the log")
    return app
"""


@pytest.mark.any_database
@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("openapi", '{\n  "openapi"'),
        ("routes", "Endpoint"),
        ("config check", "note: "),
        ("shell", ">>> "),
        ("db heads", "00"),
        ("db upgrade --sql", "BEGIN;"),
        ("db downgrade --sql head:base", "BEGIN;"),
    ],
)
def test_a_command_writes_its_log_to_standard_error(command: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "logging_app.py").write_text(LOGGING_APP)

    result = flask(
        *command.split(),
        app=str(tmp_path / "logging_app.py"),
        DATABASE_URL=NEVER_OPENED,
        SECRET_KEY=SECRET_KEY,
        PYTHONPATH=str(API),
    )

    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(expected)
    assert '"level"' not in result.stdout
    assert '"message": "a line of the log"' in result.stderr


@pytest.mark.any_database
@pytest.mark.parametrize(
    "command",
    ["user list", "job list", f"job show {UUID(int=1)}", "job retry --all-failed", "job delete --all-failed"],
)
def test_an_unmigrated_database_is_reported_in_one_line(command: str, own_database: URL) -> None:
    url = own_database.render_as_string(hide_password=False)

    result = flask(*command.split(), DATABASE_URL=url, SECRET_KEY=SECRET_KEY)

    assert result.returncode == 1
    assert "flask db upgrade" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.any_database
def test_a_migration_without_its_database_fails_with_one_line() -> None:
    result = flask("db", "upgrade", DATABASE_URL=NEVER_OPENED, SECRET_KEY=SECRET_KEY)

    assert result.returncode == 1
    assert "Traceback" not in result.stdout + result.stderr
    assert "cannot be migrated" in result.stderr


# part: sqlite
@pytest.mark.any_database
@pytest.mark.parametrize(
    "command", ["user list", "db upgrade", "db heads", "config check", "openapi", "serve"]
)
def test_a_sqlite_file_in_a_missing_folder_stops_every_command_with_one_line(
    command: str, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/no/app_test.db"

    result = flask(*command.split(), DATABASE_URL=url, SECRET_KEY=SECRET_KEY)

    assert result.returncode == 1
    assert f"DATABASE_URL: the folder {tmp_path}/no doesn't exist" in result.stderr
    assert result.stderr.count("\n") == 1


# end of part


def test_an_operator_can_give_an_account_a_verified_address(
    runner: FlaskCliRunner, client: FlaskClient
) -> None:
    create(runner, "ann", "--email", "ann@example.com")
    create(runner, "bob")

    result = runner.invoke(args=["user", "set-email", "bob", "bob@example.com"])

    assert result.exit_code == 0
    for address in ("ann@example.com", "bob@example.com"):
        assert client.post("/auth/login", json={"username": address, "password": PASSWORD}).status_code == 200


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("ANN@example.com", "Another account has verified"),
        ("bob", "isn't an e-mail address"),
        ("", "isn't an e-mail"),
    ],
)
def test_an_address_is_refused_in_one_line(runner: FlaskCliRunner, address: str, reason: str) -> None:
    create(runner, "ann", "--email", "ann@example.com")
    create(runner, "bob")

    for result in (
        create(runner, "carol", "--email", address),
        runner.invoke(args=["user", "set-email", "bob", address]),
    ):
        assert result.exit_code == 1
        assert reason in result.output
        assert len(result.output.splitlines()) == 1
    assert "carol" not in runner.invoke(args=["user", "list"]).output


def test_reset_password_sends_a_link_to_the_verified_address(
    app: Flask, runner: FlaskCliRunner, client: FlaskClient
) -> None:
    create(runner, "ann", "--email", "ann@example.com")

    result = runner.invoke(args=["user", "reset-password", "ann"])

    [sent] = Mailbox(app).receive()
    assert "on its way" in result.output
    assert sent.token not in result.output
    assert (sent.to, sent.template) == ("ann@example.com", "reset-password")


def test_reset_password_prints_a_link_if_there_is_no_address(
    app: Flask, runner: FlaskCliRunner, client: FlaskClient
) -> None:
    create(runner, "ann")

    printed = runner.invoke(args=["user", "reset-password", "ann"]).output.strip()

    assert printed.startswith("https://app.example.com/reset-password#token=")
    assert Mailbox(app).receive() == []
    body = {"token": printed.partition("=")[2], "password": "another horse, another staple"}
    assert client.post("/auth/password-reset/confirm", json=body).status_code == 204
    assert problem(client.post("/auth/password-reset/confirm", json=body)) == (400, "link_invalid")


@pytest.mark.parametrize("options", [[], ["--print"]])
def test_reset_password_refuses_a_disabled_account(
    app: Flask, runner: FlaskCliRunner, options: list[str]
) -> None:
    create(runner, "ann", "--email", "ann@example.com")
    with app.app_context():
        db.session.execute(update(User).values(disabled=True))
        db.session.commit()

    result = runner.invoke(args=["user", "reset-password", "ann", *options])

    assert result.exit_code == 1
    assert result.output == "Error: This account is disabled, so its password can't be reset.\n"


def test_reset_password_says_what_is_missing_without_mail(app: Flask, runner: FlaskCliRunner) -> None:
    create(runner, "ann")

    with patch.dict(app.extensions, account_mail=AccountMail()):
        result = runner.invoke(args=["user", "reset-password", "ann"])

    assert result.exit_code == 1
    assert "Set SMTP_URL, MAIL_FROM and APP_URL" in result.output
