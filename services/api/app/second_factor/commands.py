"""`flask second-factor`: for operators."""

import click
from flask.cli import AppGroup

from app.account_mail import Notice, account_mail
from app.commands import locked_account
from app.database import db
from app.events import Event
from app.model.user_repository import UserRepository
from app.second_factor.jobs import encrypt_again
from app.second_factor.required_factor import factors
from kit.commands import reports_failures
from kit.security.events import record

second_factor = AppGroup("second-factor", help="Second factors: remove one, encrypt all under a new key.")


@second_factor.command("remove")
@click.argument("name")
@reports_failures
def remove(name: str) -> None:
    """Remove the second factor of the account NAME, whose owner has lost it."""
    account = locked_account(UserRepository(db.session), name)
    factors().remove(account)
    account_mail().notify(account, Notice.SECOND_FACTOR_REMOVED)
    record(Event.SECOND_FACTOR_REMOVED, account.id)
    db.session.commit()
    click.echo(f"The account {account.username} no longer has a second factor.")


@second_factor.command("re-encrypt")
@reports_failures
def re_encrypt() -> None:
    """Encrypt all secrets under the current signing key, so that you can remove the older keys."""
    click.echo(f"Re-encrypted {encrypt_again()} secrets.")
