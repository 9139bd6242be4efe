"""`flask config check`: it names every weak setting and prints no secret."""

from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from sqlalchemy import URL, create_engine, text

from app import create_app
from app.config import Settings
from app.database import db
from kit.security.deployment_check import Finding, check, check_database_role
from tests.support.databases import new_role
from tests.support.settings import settings_for

KEY = token_hex(32)
STRONG: dict[str, Any] = {
    "database_url": "postgresql://app:x9tkQ2emZ7rpL4nw@db.example.com/app?sslmode=verify-full",
    "secret_key": KEY,
    "allowed_hosts": "api.example.com",
    "trusted_proxies": "10.0.0.0/8",
    "rate_limit": "600/1m",
    "smtp_url": "smtp://user:x9tkQ2emZ7rpL4nw@mail.example.com",
    "mail_from": "noreply@example.com",
    "app_url": "https://app.example.com",
}

POOLERS = (
    "ep-quiet-sea-123456-pooler.eu-central-1.aws.neon.tech",
    "aws-0-eu-central-1.pooler.supabase.com:5432",
    "db.abcdefgh.supabase.co:6543",
    "app-do-user-1-0.db.ondigitalocean.com:25061",
    "app.proxy-abcdefgh.eu-central-1.rds.amazonaws.com",
    "app.postgres.database.azure.com:6432",
    "pgbouncer",
)


def settings(**changes: object) -> Settings:
    return Settings(**{name.upper(): value for name, value in (STRONG | changes).items()})


def test_strong_settings_have_no_finding() -> None:
    assert list(check(settings())) == []


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"flask_env": "development"}, "FLASK_ENV"),
        ({"log_level": "DEBUG"}, "LOG_LEVEL"),
        ({"password_min_length": "14"}, "PASSWORD_MIN_LENGTH"),
        ({"secret_key": "this is a sentence and no random key"}, "SECRET_KEY"),
        ({"secret_key": "0123456789a" * 3}, "SECRET_KEY"),
        ({"secret_key_fallbacks": "0123456789a" * 3}, "SECRET_KEY_FALLBACKS"),
        ({"secret_key_fallbacks": KEY}, "SECRET_KEY_FALLBACKS"),
        ({"database_url": "sqlite:///app.db"}, "DATABASE_URL"),  # part: sqlite
        ({"database_url": "postgresql://app:postgres@db/app"}, "DATABASE_URL"),
        ({"database_url": "postgresql://application1:application1@db/app"}, "DATABASE_URL"),
        ({"database_url": "postgresql://app:password123456@db/app"}, "DATABASE_URL"),
        ({"database_url": "postgresql://app:x9tkQ2emZ7rpL4nw@192.0.2.1/app"}, "DATABASE_URL"),
        ({"database_url": "postgresql://app:x9tkQ2emZ7rpL4nw@d.example/app?sslmode=prefer"}, "DATABASE_URL"),
        ({"login_limit_pair": "off"}, "LOGIN_LIMIT_PAIR"),
        ({"login_limit_client": "21/5m"}, "LOGIN_LIMIT_CLIENT"),
        ({"login_limit_account": "50/1m"}, "LOGIN_LIMIT_ACCOUNT"),
        ({"login_limit_success": "off"}, "LOGIN_LIMIT_SUCCESS"),
        ({"register_limit": "off"}, "REGISTER_LIMIT"),
        ({"trusted_proxies": "0.0.0.0/0"}, "TRUSTED_PROXIES"),
        ({"trusted_proxies": "0.0.0.0/1,128.0.0.0/1"}, "TRUSTED_PROXIES"),
        ({"database_url": "postgresql:///x?host=db&password=password&user=app"}, "DATABASE_URL"),
        ({"database_url": "postgresql://app@/x?host=db.example.com&sslmode=disable"}, "DATABASE_URL"),
        ({"cors_origins": "http://app.example.com"}, "CORS_ORIGINS"),
        ({"smtp_url": "smtp://mail.example.com?tls=off"}, "SMTP_URL"),
        ({"app_url": "http://localhost:5000"}, "APP_URL"),
        *(
            ({"database_url": f"postgresql://app@{host}/app?sslmode=require"}, "DATABASE_POOLER")
            for host in POOLERS
        ),
    ],
)
def test_a_weak_setting_is_named(changes: dict[str, object], setting: str) -> None:
    assert [finding.setting for finding in check(settings(**changes)) if finding.is_weak] == [setting]


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"rate_limit": "off"}, "RATE_LIMIT"),
        ({"metrics_enabled": "true"}, "METRICS_ENABLED"),
        ({"smtp_url": None}, "SMTP_URL"),
        ({"allowed_hosts": ()}, "ALLOWED_HOSTS"),
        ({"trusted_proxies": ()}, "TRUSTED_PROXIES"),
        ({"secret_key_fallbacks": KEY[::-1]}, "SECRET_KEY_FALLBACKS"),
    ],
)
def test_a_deliberate_choice_is_a_note(changes: dict[str, object], setting: str) -> None:
    assert [(finding.setting, finding.is_weak) for finding in check(settings(**changes))] == [
        (setting, False)
    ]


@pytest.mark.parametrize(
    "url", ["postgresql://app@/app?host=/run/pg", "postgresql://app:x9tkQ2emZ7rpL4nw@db/app"]
)
def test_a_local_database_needs_no_tls(url: str) -> None:
    assert list(check(settings(database_url=url))) == []


@pytest.mark.parametrize("parameter", ["host=db.example.com", "hostaddr=192.0.2.1", "host=/run/pg,192.0.2.1"])
def test_a_parameter_of_the_url_can_name_a_remote_database(parameter: str) -> None:
    [finding] = check(settings(database_url=f"postgresql://app:x9tkQ2emZ7rpL4nw@localhost/app?{parameter}"))

    assert finding.setting == "DATABASE_URL"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "mail"])
def test_a_local_mail_server_needs_no_tls(host: str) -> None:
    assert list(check(settings(smtp_url=f"smtp://{host}:1025?tls=off"))) == []


@pytest.mark.parametrize("host", POOLERS)
def test_a_pooler_that_is_declared_is_no_finding(host: str) -> None:
    url = f"postgresql://app@{host}/app?sslmode=require"

    assert list(check(settings(database_url=url, database_pooler="transaction"))) == []


def test_the_environment_can_require_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLMODE", "require")
    url = "postgresql://app:x9tkQ2emZ7rpL4nw@db.example.com/app"

    assert list(check(settings(database_url=url))) == []
    assert [finding.setting for finding in check(settings(database_url=f"{url}?sslmode=allow"))] == [
        "DATABASE_URL"
    ]


def test_the_command_lists_weak_settings_and_fails() -> None:
    url = "postgresql://app:x9tkQ2emZ7rpL4nw@127.0.0.1:1/app"  # no database
    strong = create_app(settings(rate_limit="off", database_url=url))
    accepted = strong.test_cli_runner().invoke(args=["config", "check"])
    weak = create_app(settings(secret_key="no key but a sentence, for anyone to read", database_url=url))
    refused = weak.test_cli_runner().invoke(args=["config", "check"])

    assert (accepted.exit_code, accepted.output.splitlines()[-1]) == (0, "No setting is weak.")
    assert accepted.output.startswith("note: RATE_LIMIT is off")
    assert "note: DATABASE_URL has a role that couldn't be checked" in accepted.output
    assert refused.exit_code == 1
    assert refused.output.startswith("weak: SECRET_KEY doesn't look random.")
    assert "Weak settings: 1" in refused.output
    assert "for anyone to read" not in refused.output


def findings_for(url: URL) -> list[Finding]:
    app = create_app(settings_for(url))
    with app.app_context():
        found = list(check_database_role())
        for engine in db.engines.values():
            engine.dispose()
    return found


@pytest.fixture
def role(database_url: URL) -> Iterator[URL]:
    """The database with a new role, which can only log in."""
    with new_role(database_url, "checked") as url:
        yield url


@pytest.mark.parametrize(
    ("statement", "power"),
    [
        ("ALTER ROLE {} SUPERUSER", "is a superuser."),
        ("ALTER ROLE {} CREATEROLE REPLICATION", "may create roles, may copy the whole server."),
        ("ALTER ROLE {} BYPASSRLS", "bypasses row security."),
        ("GRANT {owner} TO {}", "is a superuser."),
        ("GRANT pg_execute_server_program TO {}", "may run programs on the server."),
        ("GRANT pg_read_server_files TO {}", "may read files of the server."),
        ("GRANT pg_write_server_files TO {}", "may write files of the server."),
    ],
)
def test_a_powerful_database_role_is_weak(role: URL, database_url: URL, statement: str, power: str) -> None:
    plain = findings_for(role)
    owner = create_engine(database_url)
    with owner.begin() as connection:
        connection.execute(text(statement.format(f'"{role.username}"', owner=f'"{database_url.username}"')))
    owner.dispose()

    [finding] = findings_for(role)

    assert plain == []
    assert (finding.setting, finding.is_weak) == ("DATABASE_URL", True)
    assert finding.advice.startswith(f"has a role that {power}")


def test_a_role_that_owns_the_tables_is_a_note(role: URL, database_url: URL, migrated_app: object) -> None:
    owner = create_engine(database_url, isolation_level="AUTOCOMMIT")
    with owner.connect() as connection:
        connection.execute(text(f'ALTER TABLE alembic_version OWNER TO "{role.username}"'))
        [finding] = findings_for(role)
        connection.execute(text("ALTER TABLE alembic_version OWNER TO CURRENT_USER"))
    owner.dispose()

    assert (finding.setting, finding.is_weak) == ("DATABASE_URL", False)
    assert "owns the tables" in finding.advice


# part: sqlite
def test_sqlite_has_no_roles_to_check(tmp_path: Path) -> None:
    assert findings_for(settings(database_url=f"sqlite:///{tmp_path}/app.db").database_url) == []


# end of part
