"""`flask seed`."""

from collections.abc import Iterator
from pathlib import Path

import click
from flask import Flask, current_app
from flask.cli import with_appcontext
from sqlalchemy import func, select

from app.config import current
from app.database import db
from app.model.models import User
from kit.commands import reports_failures
from kit.data.base import Base
from kit.security.deployment_check import remote_hosts
from tools import COMMANDS
from tools.scaffold.tree import Tree
from tools.seed.rows import PASSWORD, add_accounts, add_rows, in_order

API = Path(__file__).parents[2]


def init_app(app: Flask) -> None:
    app.cli.add_command(seed)


@click.command("seed", help=COMMANDS["seed"][1])
@click.argument("count", type=click.IntRange(1, 100_000), default=20)
@click.option("--more", is_flag=True, help="Add to a database that already has accounts or rows.")
@with_appcontext
@reports_failures
def seed(count: int, more: bool) -> None:
    if reason := _refusal():
        raise click.ClickException(f"flask seed only fills development databases: {reason}")
    resources = in_order(Tree(API))
    if not more and (full := next(_full([User, *(each.model for each in resources)]), None)):
        raise click.ClickException(
            f"The table {full} isn't empty. To add to it, run: scripts/seed {count} --more"
        )
    accounts, new = add_accounts(current_app._get_current_object())  # type: ignore[attr-defined]
    created = {"user": [each.id for each in accounts]}
    for resource in resources:
        created[resource.name] = add_rows(resource, accounts, created, count)
        left_out = count - len(created[resource.name])
        note = f" ({left_out} left out, because their unique values are taken)" if left_out else ""
        click.echo(f"{resource.path}: {len(created[resource.name])} rows{note}")
    if not resources:
        click.echo("There is no generated resource: scripts/flask scaffold creates one.")
    click.echo(f"Log in with the password {PASSWORD!r}:" if new else "No account was added.")
    for name, role in new:
        click.echo(f"  {name} ({role})")


def _refusal() -> str:
    """Return why this isn't a development database, or an empty string."""
    settings = current()
    if settings.flask_env == "production":
        return "FLASK_ENV is production."
    url = settings.database_url
    if remote := remote_hosts(url):
        return f"DATABASE_URL names the server {remote[0]}. Use a database on this machine or in Compose."
    return ""


def _full(models: list[type[Base]]) -> Iterator[str]:
    """Yield the tables that have rows."""
    for model in models:
        if db.session.scalar(select(func.count()).select_from(select(model.id).limit(1).subquery())):
            yield model.__tablename__
