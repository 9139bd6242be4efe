"""Commands of every app: serve, openapi, config check and db. Also how commands report failures."""

from collections.abc import Callable, Mapping
from functools import wraps
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

import click
from flask import Flask, current_app
from flask.cli import AppGroup, ScriptInfo, with_appcontext
from sqlalchemy.exc import SQLAlchemyError

from kit.data.database import reason_of
from kit.errors import DomainError
from kit.security import deployment_check
from kit.serving import servers
from kit.settings import Settings, current
from kit.web import openapi

P = ParamSpec("P")
R = TypeVar("R")

configuration = AppGroup("config", help="Settings: check whether they are safe in production.")


def init_app(app: Flask) -> None:
    add_lazily(
        app,
        {
            "db": ("kit.data.migrations.commands", "Perform database migrations."),
            "deleted": ("kit.deleted_rows", "Softly deleted rows: restore and purge them."),
            "job": ("kit.jobs.commands", "Jobs: list, show, retry and delete them."),
            "work": ("kit.jobs.commands", "Run jobs until SIGTERM or Ctrl-C."),
        },
    )
    for command in (configuration, serve, print_openapi):
        app.cli.add_command(command)


def add_lazily(app: Flask, lazy_commands: Mapping[str, tuple[str, str]]) -> None:
    """Add commands by name: the module whose `init_app` registers the real one, and a help text."""
    for name, (module, help_text) in lazy_commands.items():
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


def reports_failures(command: Callable[P, R]) -> Callable[P, R]:
    """Decorate a command, so that a failure ends it with one line and a non-zero exit status."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except DomainError as error:
            raise click.ClickException(str(error)) from error
        except UnicodeError as error:
            raise click.ClickException("The input isn't UTF-8 text.") from error
        except SQLAlchemyError as error:
            raise click.ClickException(
                f"The database reports: {reason_of(error)}. Is it running and migrated (`flask db upgrade`)?"
            ) from error

    return run


@configuration.command("check")
def check_configuration() -> None:
    """Check the settings and the database role for production. Exits with 1 if any is weak."""
    findings = [*deployment_check.check(current(Settings)), *deployment_check.check_database_role()]
    weak = [finding for finding in findings if finding.is_weak]
    for finding in findings:
        click.echo(f"{'weak' if finding.is_weak else 'note'}: {finding.setting} {finding.advice}")
    if weak:
        raise click.ClickException(f"Weak settings: {len(weak)}. Fix them before a public deployment.")
    click.echo("No setting is weak.")


@click.command("serve")
@with_appcontext
def serve() -> None:
    """Serve the API until SIGTERM or Ctrl-C. Accepted requests are still answered."""
    servers.serve(current_app._get_current_object(), current(Settings))  # type: ignore[attr-defined]


@click.command("openapi")
@with_appcontext
def print_openapi() -> None:
    """Print the OpenAPI document."""
    click.echo(openapi.text(current_app), nl=False)
