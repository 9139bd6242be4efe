"""The command line: accounts, tokens, and serving."""

import errno
import sys
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ParamSpec, TypeVar

import click
from flask import Flask, current_app
from flask.cli import AppGroup, ScriptInfo, with_appcontext
from sqlalchemy.exc import SQLAlchemyError

from app import config, deployment_check, logs, server
from app.authentication import passwords
from app.blueprint import openapi
from app.database import db, reason_of, release
from app.exceptions import DomainError, UserNotFound
from app.model.answer_repository import AnswerRepository
from app.model.attempt_repository import AttemptRepository
from app.model.models import Reason, Role, User
from app.model.session_repository import SessionRepository
from app.model.token_repository import TokenRepository
from app.model.user_repository import UserRepository

P = ParamSpec("P")
R = TypeVar("R")

user = AppGroup("user", help="Accounts: create, list, set a password, delete.")
configuration = AppGroup("config", help="Settings: check whether they are fit for the public.")
token = AppGroup("token", help="Tokens: sweep away the expired ones, revoke all.")


def init_app(app: Flask) -> None:
    app.cli.add_command(LazyCommand("db", "app.migrations", "Perform database migrations."))
    for command in (user, token, configuration, serve, print_openapi):
        app.cli.add_command(command)
    if find_spec("tools"):  # for development only: the image doesn't have them
        for name, (module, help_text) in import_module("tools").COMMANDS.items():
            app.cli.add_command(LazyCommand(name, module, help_text))


class LazyCommand(click.Command):
    """A command whose module is imported only when it is invoked, to keep start-up fast."""

    def __init__(self, name: str, module: str, help_text: str) -> None:
        super().__init__(name, help=help_text)
        self.module = module

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> click.Context:
        app = parent.ensure_object(ScriptInfo).load_app()
        import_module(self.module).init_app(app)  # registers the real command under the same name
        command: click.Command = app.cli.commands[self.name]
        return command.make_context(info_name, args, parent, **extra)


def _tells_failures(command: Callable[P, R]) -> Callable[P, R]:
    """End a command that fails with one line that says why, and a non-zero exit."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except DomainError as error:
            raise click.ClickException(str(error)) from error
        except UnicodeError as error:
            raise click.ClickException("What you gave is not UTF-8 text. Write it in UTF-8.") from error
        except SQLAlchemyError as error:
            raise click.ClickException(
                f"The database refused: {reason_of(error)}. Is it up, and migrated (`flask db upgrade`)?"
            ) from error

    return run


def _password(from_stdin: bool) -> str:
    """Ask twice without echo, or read one line: a password is never an argument, which others could see."""
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    password.encode()  # raises UnicodeError on bytes that are no text, which the terminal lets through
    return password


password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input instead of asking."
)


@user.command("create")
@click.argument("name")
@click.option("--role", type=click.Choice([role.value for role in Role]), default=Role.USER.value)
@password_option
@_tells_failures
def create_user(name: str, role: str, password_stdin: bool) -> None:
    """Create the account NAME."""
    password = _password(password_stdin)
    passwords().check(password, name)
    UserRepository(db.session).register(name, passwords().hash(password), Role(role))
    db.session.commit()
    click.echo(f"Created the account {name} with the role {role}.")


@user.command("list")
@_tells_failures
def list_users() -> None:
    """List the accounts: name, role, when created."""
    for account in UserRepository(db.session).all():
        click.echo(f"{account.username}\t{account.role}\t{account.created_at:%Y-%m-%dT%H:%M:%SZ}")


@user.command("set-password")
@click.argument("name")
@password_option
@_tells_failures
def set_password(name: str, password_stdin: bool) -> None:
    """Give the account NAME a new password and end its sessions."""
    users = UserRepository(db.session)
    found = _account(users, name)
    release()  # a person types now
    password = _password(password_stdin)
    passwords().check(password, found.username)
    hashed = passwords().hash(password)
    account = users.lock(found.id)
    if account is None:
        raise UserNotFound
    users.set_password(account, hashed)
    SessionRepository(db.session).end_all(account.id, Reason.PASSWORD_CHANGED)
    db.session.commit()
    click.echo(f"The account {account.username} has a new password, and its sessions have ended.")


@user.command("delete")
@click.argument("name")
@_tells_failures
def delete_user(name: str) -> None:
    """Delete the account NAME with its sessions and tokens."""
    users = UserRepository(db.session)
    if not users.remove(_account(users, name).id):
        raise UserNotFound
    db.session.commit()
    click.echo(f"Deleted the account {name}.")


@token.command("prune")
@_tells_failures
def prune() -> None:
    """Delete what has expired: sessions, tokens, counts, kept answers. Each use does so as well, a little."""
    kinds = (SessionRepository, TokenRepository, AttemptRepository, AnswerRepository)
    repositories = [kind(db.session) for kind in kinds]
    total = 0
    while pruned := sum(repository.prune() for repository in repositories):
        db.session.commit()
        total += pruned
    click.echo(f"Deleted {total} expired sessions, tokens, counts and answers.")


@token.command("revoke-all")
@_tells_failures
def revoke_all() -> None:
    """End every session: everybody logs in again. For after a leak; a restored backup needs it too."""
    users, sessions = UserRepository(db.session), SessionRepository(db.session)
    for account in users.all():
        if users.lock(account.id):
            sessions.end_all(account.id, Reason.REVOKED)
        db.session.commit()
    click.echo("Every session has ended.")


@configuration.command("check")
def check_configuration() -> None:
    """Tell which settings are weak. Exits with 1 if any is; a note is for you to decide."""
    findings = list(deployment_check.check(config.current()))
    weak = [finding for finding in findings if finding.is_weak]
    for finding in findings:
        click.echo(f"{'weak' if finding.is_weak else 'note'}: {finding.setting} {finding.advice}")
    if weak:
        raise click.ClickException(
            f"{len(weak)} of the settings should be stronger before strangers can reach the API."
        )
    click.echo("No setting is weak.")


@click.command("serve")
@with_appcontext
def serve() -> None:
    """Serve the API until SIGTERM or Ctrl-C; what was accepted by then is answered."""
    settings = config.current()
    try:
        listener = server.listen(settings.host, settings.port)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "this is no host name"
        cure = (
            "Stop what uses the port, or choose another one with PORT."
            if getattr(error, "errno", None) == errno.EADDRINUSE
            else "HOST must be an address of this machine, or * for all, and PORT one that you may use."
        )
        raise click.ClickException(
            f"Cannot listen on {settings.host}:{settings.port}: {reason}. {cure}"
        ) from error
    logs.use_standard_output()
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    server.logger.info("Serving on http://%s:%d by %s", host, settings.port, settings.server)
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    server.SERVERS[settings.server](app, settings, listener)


@click.command("openapi")
@with_appcontext
def print_openapi() -> None:
    """Print the OpenAPI document."""
    click.echo(openapi.text(current_app), nl=False)


def _account(users: UserRepository, name: str) -> User:
    account = users.named(name)
    if account is None:
        raise UserNotFound
    return account
