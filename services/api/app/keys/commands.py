"""Commands for operators: list the API keys of an account, and delete a leaked one."""

from uuid import UUID

import click
from flask.cli import AppGroup

from app.database import db
from app.events import Event
from app.exceptions import UserNotFound
from app.model.api_keys import ApiKeyRepository
from app.model.models import User
from app.model.user_repository import UserRepository
from kit.commands import reports_failures
from kit.security.events import record

key = AppGroup("key", help="API keys: list and delete those of an account.")


@key.command("list")
@click.argument("name")
@reports_failures
def list_keys(name: str) -> None:
    """List the API keys of the account NAME: id, name, scopes, expiry, last use and its address."""
    for each in ApiKeyRepository(db.session).all(_account(name).id):
        times = (
            f"{time:%Y-%m-%dT%H:%M:%SZ}" if time else "never" for time in (each.expires_at, each.last_used_at)
        )
        click.echo("\t".join((str(each.id), each.name, each.scopes, *times, each.last_used_ip or "-")))


@key.command("delete")
@click.argument("name")
@click.argument("key_id", type=click.UUID)
@reports_failures
def delete_key(name: str, key_id: UUID) -> None:
    """Delete the API key KEY_ID of the account NAME. It stops working at once."""
    account = _account(name)
    removed = ApiKeyRepository(db.session).remove(account.id, key_id)
    record(Event.KEY_DELETED, account.id, key_id=str(key_id), scopes=removed.scopes)
    db.session.commit()
    click.echo(f"Deleted the API key {removed.name}.")


def _account(name: str) -> User:
    account = UserRepository(db.session).find_by_username(name)
    if account is None:
        raise UserNotFound
    return account
