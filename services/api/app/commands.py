"""The commands of this API: accounts and tokens. kit/commands.py has those of every app."""

import sys
from datetime import UTC, datetime

import click
from flask import Flask
from flask.cli import AppGroup

from app.account_keys import end_keys
from app.account_mail import Notice, account_mail
from app.authentication import lifetimes, passwords
from app.config import current
from app.database import db, release
from app.events import Event
from app.exceptions import AccountDisabled, UserNotFound
from app.jobs import forget_addresses
from app.model import retention
from app.model.models import Reason, Role, User
from app.model.session_repository import SessionRepository
from app.model.user_repository import UserRepository
from kit import commands
from kit.commands import reports_failures
from kit.data.audit import AuditRepository
from kit.data.export import export
from kit.security.events import changed, record

ROLES = click.Choice([role.value for role in Role])
user = AppGroup("user", help="Accounts: create, list, change, disable, export, delete.")
token = AppGroup("token", help="Tokens: delete expired ones, revoke all.")
audit = AppGroup("audit", help="The audit trail: export it.")


def init_app(app: Flask) -> None:
    commands.init_app(app)
    for command in (user, token, audit):
        app.cli.add_command(command)


def _password(from_stdin: bool) -> str:
    """Prompt for a password twice, or read a line. Arguments would be visible to other users."""
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = str(click.prompt("Password", hide_input=True, confirmation_prompt=True))
    password.encode()  # raises UnicodeError on bytes that aren't text
    return password


password_option = click.option(
    "--password-stdin", is_flag=True, help="Read the password from standard input instead of asking."
)


@user.command("create")
@click.argument("name")
@click.option("--role", type=ROLES, default=Role.USER.value)
@click.option("--email", help="The e-mail address. It counts as verified.")
@password_option
@reports_failures
def create_user(name: str, role: str, email: str | None, password_stdin: bool) -> None:
    """Create the account NAME."""
    password = _password(password_stdin)
    passwords().check(password, name)
    users = UserRepository(db.session)
    account = users.register(name, passwords().hash(password), Role(role))
    if email is not None:
        users.verify_email(account, email)
    record(Event.REGISTERED, account.id, role=role)
    db.session.commit()
    click.echo(f"Created the account {name} with the role {role}.")


@user.command("list")
@reports_failures
def list_users() -> None:
    """List the accounts: username, role, time of creation."""
    for account in UserRepository(db.session).all():
        click.echo(f"{account.username}\t{account.role}\t{account.created_at:%Y-%m-%dT%H:%M:%SZ}")


@user.command("set-password")
@click.argument("name")
@password_option
@reports_failures
def set_password(name: str, password_stdin: bool) -> None:
    """Set a new password for the account NAME, end its sessions and delete its API keys."""
    users = UserRepository(db.session)
    found = _account(users, name)
    release()  # typing takes long
    password = _password(password_stdin)
    passwords().check(password, found.username)
    hashed = passwords().hash(password)
    account = users.lock(found.id)
    if account is None:
        raise UserNotFound
    users.set_password(account, hashed)
    SessionRepository(db.session).end_all(account.id, Reason.PASSWORD_CHANGED)
    end_keys(account.id)
    account_mail().notify(account, Notice.PASSWORD_CHANGED)
    record(Event.PASSWORD_CHANGED, account.id)
    db.session.commit()
    click.echo(f"The account {account.username} has a new password. Its sessions and API keys have ended.")


@user.command("export")
@click.argument("name")
@reports_failures
def export_user(name: str) -> None:
    """Print everything that is stored about the account NAME, without secrets, as JSON."""
    account = _account(UserRepository(db.session), name)
    release()
    for part in export(User, account.id):
        click.echo(part, nl=False)


@user.command("set-email")
@click.argument("name")
@click.argument("address")
@reports_failures
def set_email(name: str, address: str) -> None:
    """Set the e-mail address of the account NAME. It counts as verified."""
    users = UserRepository(db.session)
    account = locked_account(users, name)
    account_mail().notify(account, Notice.EMAIL_CHANGED)
    users.verify_email(account, address)
    record(Event.EMAIL_VERIFIED, account.id)
    db.session.commit()
    click.echo(f"The account {account.username} has the e-mail address {address}.")


@user.command("reset-password")
@click.argument("name")
@click.option("--print", "prints", is_flag=True, help="Print the link instead of sending it.")
@reports_failures
def reset_password(name: str, prints: bool) -> None:
    """Send the owner of the account NAME a link to choose a new password.

    Prints the link if the account has no verified e-mail address.
    """
    account = locked_account(UserRepository(db.session), name)
    if account.disabled:
        raise AccountDisabled
    if prints or not account.verified_email:
        message = account_mail().password_reset_link(account)
    else:
        account_mail().send_password_reset(account)
        message = f"A link is on its way to the address of {account.username}. If none arrives, use --print."
    record(Event.PASSWORD_RESET_LINK_ISSUED, account.id)
    db.session.commit()
    click.echo(message)


@user.command("role")
@click.argument("name")
@click.argument("role", type=ROLES)
@reports_failures
def set_role(name: str, role: str) -> None:
    """Give the account NAME another role. It applies from its next request on."""
    account = _change(name, role=Role(role))
    click.echo(f"The account {account.username} has the role {account.role}.")


@user.command("disable")
@click.argument("name")
@reports_failures
def disable_user(name: str) -> None:
    """Disable the account NAME: end its sessions and prevent new logins."""
    account = _change(name, disabled=True)
    click.echo(f"The account {account.username} is disabled, and its sessions have ended.")


@user.command("enable")
@click.argument("name")
@reports_failures
def enable_user(name: str) -> None:
    """Enable the account NAME after it was disabled."""
    account = _change(name, disabled=False)
    click.echo(f"The account {account.username} is enabled. It can log in.")


@user.command("delete")
@click.argument("name")
@reports_failures
def delete_user(name: str) -> None:
    """Delete the account NAME with its sessions and tokens."""
    users = UserRepository(db.session)
    account = _account(users, name)
    for _ in retention.shorten_history(db.session, account.id):
        db.session.commit()
    if not users.remove(account.id):
        raise UserNotFound
    record(Event.ACCOUNT_DELETED, account.id)
    forget_addresses(account.id)
    db.session.commit()
    click.echo(f"Deleted the account {name}.")


@token.command("prune")
@reports_failures
def prune() -> None:
    """Delete rows that are older than they are kept. A job does this every hour."""
    total = 0
    for deleted in retention.prune_all(db.session, lifetimes().retention, current().audit_days):
        db.session.commit()
        total += deleted
    click.echo(f"Deleted {total} expired rows.")


@token.command("revoke-all")
@reports_failures
def revoke_all() -> None:
    """End every session and delete every API key. Use it after a leak or a restored backup.

    Everyone must log in again, and create new keys.
    """
    users, sessions = UserRepository(db.session), SessionRepository(db.session)
    for account in users.all():
        if users.lock(account.id):
            sessions.end_all(account.id, Reason.REVOKED)
            end_keys(account.id)
            record(Event.SESSIONS_REVOKED, account.id)
        db.session.commit()
    click.echo("Every session has ended, and every API key is deleted.")


def _change(name: str, *, role: Role | None = None, disabled: bool | None = None) -> User:
    """Change an account as PATCH /users/<id> does. Raises UserNotFound and LastAdmin."""
    users = UserRepository(db.session)
    account = users.lock_with_admins(_account(users, name).id)
    before = account.rights
    users.set_role_and_status(account, role=role, disabled=disabled)
    if account.disabled:
        SessionRepository(db.session).end_all(account.id, Reason.REVOKED)
    if account.disabled and not before["disabled"]:
        account_mail().notify(account, Notice.ACCOUNT_DISABLED)
    record(Event.ACCOUNT_CHANGED_BY_OPERATOR, account.id, **changed(before, account.rights))
    db.session.commit()
    return account


def _time(_context: click.Context, _option: click.Parameter, text: str | None) -> datetime | None:
    """Read a time. Without an offset, it is in UTC."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter("Give a time such as 2026-11-22 or 2026-11-22T08:45:00Z.") from None


@audit.command("export")
@click.option(
    "--since",
    metavar="TIME",
    callback=_time,
    help="At this time or later, such as 2026-11-22. UTC unless it has an offset.",
)
@click.option("--until", metavar="TIME", callback=_time, help="Before this time.")
@reports_failures
def export_audit(since: datetime | None, until: datetime | None) -> None:
    """Print the audit trail as JSON Lines, oldest first."""
    if since and until and since >= until:
        raise click.UsageError("--since must be before --until.")
    for line in AuditRepository(db.session).export(since, until):
        click.echo(line)


def locked_account(users: UserRepository, name: str) -> User:
    account = users.lock(_account(users, name).id)
    if account is None:
        raise UserNotFound
    return account


def _account(users: UserRepository, name: str) -> User:
    account = users.find_by_username(name)
    if account is None:
        raise UserNotFound
    return account
