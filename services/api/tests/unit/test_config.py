"""The settings."""

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from secrets import token_hex, token_urlsafe

import pytest

from app import config
from app.config import Settings
from kit.settings import InvalidSettings
from kit.smtp_url import SmtpServer
from tests.support.paths import REPOSITORY

KEY = token_urlsafe(32)
PUBLISHED = [
    r"b'\xacP=\x12\xa6\xa2\x19`\xbcu{\x0b\xe4&H\x8d'",
    r'"\xacP=\x12\xa6\xa2\x19`\xbcu{\x0b\xe4&H\x8d"',
    r"\xacP=\x12\xa6\xa2\x19`\xbcu{\x0b\xe4&H\x8d",
    "AC503D12A6A21960BC757B0BE426488D",
    r"b'\xceY\x01\x1e\xc1\x13\x05\xc3\xaa\xfb\xe7\xc5\xe9\x8b\xdaW'",
    "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "a-string-secret-at-least-256-bits-long",
    "django-insecure-x9tkq2emz7rpl4nw-x9tkq2emz7rpl4nw",
]
URL = "postgresql://ann:secret@db/app"


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)


def load(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return config.load()


def wrong(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    with pytest.raises(InvalidSettings) as refused:
        load(monkeypatch, **environment)
    assert "\n" not in refused.value.message
    return refused.value.message


def test_production_is_the_default_and_needs_two_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, DATABASE_URL=URL, SECRET_KEY=KEY)

    assert settings.flask_env == "production"
    assert (settings.host, settings.port) == ("127.0.0.1", 5000)
    assert settings.access_token_seconds == 900


def test_all_errors_are_reported_at_once_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    message = wrong(
        monkeypatch,
        DATABASE_URL="mysql://ann:secret@db/app",
        SECRET_KEY="secret",
        PORT="high",
        THREADS="0",
        FLASK_ENV="prod",
    )

    for name in ("DATABASE_URL", "SECRET_KEY", "PORT", "THREADS", "FLASK_ENV"):
        assert f"{name}: " in message
    assert "secret@" not in message
    assert '"secret"' not in message


def test_a_variable_in_lower_case_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, DATABASE_URL=URL, SECRET_KEY=KEY, port="1", Threads="x", flask_env="testing")

    assert (settings.port, settings.threads, settings.flask_env) == (5000, 24, "production")
    monkeypatch.delenv("SECRET_KEY")
    assert "SECRET_KEY: is required" in wrong(monkeypatch, secret_key=KEY)


@pytest.mark.parametrize(
    "key",
    [
        "short",
        "k" * 32,
        " " * 64,
        "abcdefghi" * 9,
        "changeme" * 8,
        "change-me-change-me-change-me-please",
        "CHANGE_THIS_SECRET_KEY_IN_PRODUCTION",
        "your-secret-key-your-secret-key-1234567890",
        "super secret key with at least 32 bytes",
        "my-very-long-random-jwt-secret-key!!",
        *PUBLISHED,
    ],
)
def test_a_weak_key_is_refused_at_startup(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    message = wrong(monkeypatch, DATABASE_URL=URL, SECRET_KEY=key)

    assert "SECRET_KEY: " in message
    assert "DATABASE_URL" not in message


@pytest.mark.parametrize("key", PUBLISHED)
def test_a_published_key_is_refused_as_a_fallback_too(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    message = wrong(monkeypatch, DATABASE_URL=URL, SECRET_KEY=KEY, SECRET_KEY_FALLBACKS=f"{KEY},{key}")

    assert "SECRET_KEY_FALLBACKS: was published as an example" in message
    assert key not in message


@pytest.mark.parametrize("make", [token_urlsafe, token_hex])
def test_a_random_key_is_accepted(monkeypatch: pytest.MonkeyPatch, make: Callable[[int], str]) -> None:
    for _ in range(50):
        load(monkeypatch, DATABASE_URL=URL, SECRET_KEY=make(32))


@pytest.mark.parametrize(
    "password", ["changeme", "changethis", "Change-Me!", "change_it", "[YOUR-PASSWORD]", "<password>", "****"]
)
def test_a_placeholder_as_the_databases_password_is_refused_in_production(
    monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    url = f"postgresql://ann:{password}@db/app"

    message = wrong(monkeypatch, DATABASE_URL=url, SECRET_KEY=KEY)
    settings = load(monkeypatch, DATABASE_URL=url, SECRET_KEY=KEY, FLASK_ENV="development")

    assert "DATABASE_URL: still has a placeholder" in message
    assert password not in message
    assert settings.database_url.password == password


@pytest.mark.parametrize("around", ["", " ", "\n", "\r\n", "\ufeff", " \t\n", "\u00a0"])
def test_white_space_and_a_byte_order_mark_do_not_belong_to_a_value(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, around: str
) -> None:
    file = tmp_path / "secret"
    file.write_text(f"\ufeff{around}{KEY}{around}", encoding="utf-8")
    given = {
        "DATABASE_URL": URL,
        "PORT": "81",
        "DOCS_ENABLED": "false",
        "CORS_ORIGINS": "https://app.example",
    }

    settings = load(
        monkeypatch,
        SECRET_KEY_FILE=f"{around}{file}{around}",
        JWT_ISSUER=around,
        **{name: f"{around}{value}{around}" for name, value in given.items()},
    )

    assert settings.secret_key.get_secret_value() == KEY
    assert settings.database_url.password == "secret"
    assert (settings.port, settings.docs_enabled, settings.jwt_issuer) == (81, False, "flask-api")
    assert settings.cors_origins == ("https://app.example",)
    assert "SECRET_KEY: is required" in wrong(monkeypatch, SECRET_KEY=around, SECRET_KEY_FILE=around)


@pytest.mark.parametrize("quote", ["'", '"'])
def test_quotes_around_a_wrong_value_are_explained(monkeypatch: pytest.MonkeyPatch, quote: str) -> None:
    message = wrong(monkeypatch, DATABASE_URL=f"{quote}{URL}{quote}", SECRET_KEY=KEY)

    assert "remove the quotes" in message
    assert "secret@" not in message


def test_an_empty_setting_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, DATABASE_URL=URL, SECRET_KEY=KEY, PORT="", CORS_ORIGINS="", FLASK_ENV="")

    assert (settings.port, settings.cors_origins, settings.flask_env) == (5000, (), "production")
    assert "SECRET_KEY: is required" in wrong(monkeypatch, SECRET_KEY="")


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("ACCESS_TOKEN_SECONDS", 1, 900),
        ("REFRESH_TOKEN_SECONDS", 1, 2_592_000),
        ("SESSION_MAX_SECONDS", 1, 7_776_000),
        ("FRESH_SECONDS", 1, 900),
        ("REFRESH_GRACE_SECONDS", 0, 10),
        ("CLOCK_LEEWAY_SECONDS", 0, 30),
        ("RETENTION_DAYS", 1, 3650),
        ("AUDIT_DAYS", 30, 3650),
        ("PASSWORD_MIN_LENGTH", 8, 64),
        ("PORT", 1, 65_535),
        ("THREADS", 1, 200),
        ("SLOW_REQUEST_MS", 0, 60_000),
    ],
)
def test_a_setting_out_of_range_is_refused_at_startup(
    monkeypatch: pytest.MonkeyPatch, name: str, low: int, high: int
) -> None:
    for value in (low, high):
        settings = load(monkeypatch, DATABASE_URL=URL, SECRET_KEY=KEY, **{name: str(value)})
        assert getattr(settings, name.lower()) == value
    for value in (low - 1, high + 1):
        assert f"{name}: " in wrong(monkeypatch, **{name: str(value)})


@pytest.mark.parametrize("value", ["900.0", "+900", "9_0", "9 00", "-1", "0x10", "\u0669", "nine"])
def test_a_number_is_written_in_digits(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    assert "ACCESS_TOKEN_SECONDS: must be a whole number" in wrong(monkeypatch, ACCESS_TOKEN_SECONDS=value)


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("postgres://u:p@h:5433/d", "postgresql+psycopg2://u:p@h:5433/d"),
        ("postgresql://u@h/d", "postgresql+psycopg2://u@h/d"),
        ("postgresql+psycopg2://h/d", "postgresql+psycopg2://h/d"),
        ("postgres://u:p%40%2F@h/d?sslmode=require", "postgresql+psycopg2://u:p%40%2F@h/d?sslmode=require"),
        ("postgresql://u@[::1]:5432/d", "postgresql+psycopg2://u@[::1]:5432/d"),
        ("postgresql://u@/d?host=/run/pg", "postgresql+psycopg2://u@/d?host=%2Frun%2Fpg"),
        ("postgresql://u@%2Frun%2Fpg:5433/d", "postgresql+psycopg2://u@:5433/d?host=%2Frun%2Fpg"),
        ("sqlite:///app.db", "sqlite:///app.db"),  # part: sqlite
        ("sqlite:////data/app.db", "sqlite:////data/app.db"),  # part: sqlite
    ],
)
def test_a_database_url_can_have_several_forms(given: str, used: str) -> None:
    settings = Settings.model_validate({"DATABASE_URL": given, "SECRET_KEY": KEY})

    assert settings.database_url.render_as_string(hide_password=False) == used


@pytest.mark.parametrize(
    "url",
    [
        "mysql://h/d",
        "sqlite://",
        "sqlite:app.db",
        "sqlite://host/app.db",
        "sqlite:///:memory:",
        "app.db",
        "://",
        "sqlite:///file::memory:?uri=true",
        "sqlite:////data/app.db?timeout=soon",
    ],
)
def test_any_other_database_url_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    assert "DATABASE_URL: must be" in wrong(monkeypatch, DATABASE_URL=url, SECRET_KEY=KEY)


# part: sqlite
def unwritable(path: Path) -> Path:
    if os.getuid() == 0:
        pytest.skip("root may write everywhere")
    path.chmod(0o500 if path.is_dir() else 0o400)
    return path


@pytest.mark.parametrize("relative", [True, False])
def test_an_unusable_sqlite_file_is_refused_at_startup(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, relative: bool
) -> None:
    monkeypatch.setattr(config.Settings, "folder", tmp_path)
    instance = tmp_path / "instance"
    instance.mkdir()

    def fault(name: str) -> str:
        url = f"sqlite:///{name}" if relative else f"sqlite:///{instance / name}"
        return wrong(monkeypatch, DATABASE_URL=url, SECRET_KEY=KEY)

    (instance / "text").write_text("This is no database, but much longer than the header of one." * 9)
    (instance / "directory").mkdir()

    assert f"DATABASE_URL: the folder {instance / 'no'} doesn't exist" in fault("no/app.db")
    assert f"DATABASE_URL: {instance / 'text'} can't be opened (file is not a database)" in fault("text")
    assert f"DATABASE_URL: {instance / 'directory'} can't be opened" in fault("directory")
    assert f"DATABASE_URL: the folder {instance / 'text'} doesn't exist" in fault("text/app.db")


def test_a_read_only_sqlite_file_is_refused_at_startup(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    file = folder / "app.db"
    file.touch()
    url = f"sqlite:///{file}"

    unwritable(file)
    assert f"can't read and write {file}" in wrong(monkeypatch, DATABASE_URL=url, SECRET_KEY=KEY)
    unwritable(folder)
    assert f"can't write to the folder {folder}" in wrong(monkeypatch, DATABASE_URL=url, SECRET_KEY=KEY)


def test_a_new_or_used_sqlite_file_is_accepted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "app #%41.db"
    given = {"DATABASE_URL": f"sqlite:///{file}", "SECRET_KEY": KEY}

    load(monkeypatch, **given)
    assert not file.exists()
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        load(monkeypatch, **given)


# end of part
@pytest.mark.parametrize("name", ["DATABASE_URL", "SECRET_KEY"])
def test_a_secret_can_be_read_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    secrets = {"DATABASE_URL": URL, "SECRET_KEY": KEY}
    file = tmp_path / "secret"
    file.write_text(f"{secrets.pop(name)}\n")

    settings = load(monkeypatch, **secrets, **{f"{name}_FILE": str(file)})

    assert settings.secret_key.get_secret_value() == KEY
    assert settings.database_url.password == "secret"


def test_a_setting_overrides_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, DATABASE_URL=URL, SECRET_KEY=KEY, SECRET_KEY_FILE="/nowhere")

    assert settings.secret_key.get_secret_value() == KEY


def test_migrations_can_have_a_url_of_their_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgres://owner:other@direct/app\n")
    given = {"DATABASE_URL": URL, "SECRET_KEY": KEY}

    one_role = load(monkeypatch, **given)
    two_roles = load(monkeypatch, **given, MIGRATION_DATABASE_URL_FILE=str(tmp_path / "url"))

    assert one_role.owner_url == one_role.database_url
    assert str(two_roles.owner_url) == "postgresql+psycopg2://owner:***@direct/app"
    assert two_roles.database_url == one_role.database_url


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://ann:secret@db/app", "must be"),
        ("postgresql://ann:changeme@db/app", "still has a placeholder"),
        ("sqlite:///app.db", "isn't the same kind of database as DATABASE_URL"),  # part: sqlite
    ],
)
def test_a_wrong_url_for_migrations_is_refused_at_startup(
    monkeypatch: pytest.MonkeyPatch, url: str, reason: str
) -> None:
    message = wrong(monkeypatch, DATABASE_URL=URL, SECRET_KEY=KEY, MIGRATION_DATABASE_URL=url)

    assert f". MIGRATION_DATABASE_URL: {reason}" in message
    assert "secret" not in message


def test_an_unreadable_file_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    message = wrong(monkeypatch, DATABASE_URL=URL, SECRET_KEY_FILE=str(tmp_path / "nowhere"))

    assert "SECRET_KEY_FILE: cannot read" in message


@pytest.mark.parametrize("file_of", ["SECRET_KEY", "DATABASE_URL"])
def test_an_empty_file_is_a_missing_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file_of: str
) -> None:
    secrets = {"DATABASE_URL": URL, "SECRET_KEY": KEY}
    del secrets[file_of]
    (tmp_path / "empty").write_text("\n")

    assert f"{file_of}" in wrong(monkeypatch, **secrets, **{f"{file_of}_FILE": str(tmp_path / "empty")})


def test_origins_are_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    given = "https://app.example, http://localhost:3000,http://[::1]:65535,https://10.0.0.1,https://xn--ber-goa.example"

    settings = load(monkeypatch, DATABASE_URL=URL, SECRET_KEY=KEY, CORS_ORIGINS=given)

    assert settings.cors_origins == tuple(given.replace(" ", "").split(","))


@pytest.mark.parametrize(
    "origin",
    [
        "capacitor://localhost",
        "ionic://localhost",
        "app://-",
        "tauri://localhost",
        "https://tauri.localhost",
        "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
        "moz-extension://8b2f9e0c-3c53-4c35-9a7c-1f2f6ad2f9a1",
    ],
)
def test_the_origin_of_a_packaged_app_is_accepted(monkeypatch: pytest.MonkeyPatch, origin: str) -> None:
    settings = load(monkeypatch, DATABASE_URL=URL, SECRET_KEY=KEY, CORS_ORIGINS=origin)

    assert settings.cors_origins == (origin,)


@pytest.mark.parametrize(
    ("origin", "right"),
    [
        ("https://app.example/", "https://app.example"),
        ("https://App.example", "https://app.example"),
        ("HTTPS://app.example", "https://app.example"),
        ("https://app.example:443", "https://app.example"),
        ("http://app.example:80", "http://app.example"),
        ("https://app.example:0443", "https://app.example"),
        ("https://app.example.", "https://app.example"),
        ("https://app.example/path?token=secret#x", "https://app.example"),
        ("app.example", "https://app.example"),
        ("https://über.example", "https://xn--ber-goa.example"),
        ("https://[0:0::1]:8443", "https://[::1]:8443"),
        ("capacitor://localhost/", "capacitor://localhost"),
        ("Tauri://localhost", "tauri://localhost"),
    ],
)
def test_another_spelling_of_an_origin_is_refused_at_startup_with_the_right_one(
    monkeypatch: pytest.MonkeyPatch, origin: str, right: str
) -> None:
    message = wrong(monkeypatch, DATABASE_URL=URL, SECRET_KEY=KEY, CORS_ORIGINS=f"https://a.example,{origin}")

    assert f"CORS_ORIGINS: must be written as browsers send it: {right}." in message
    assert "token=secret" not in message


@pytest.mark.parametrize(
    "origins",
    [
        "*",
        "https://*.example",
        "null",
        "https://..",
        "https://.",
        "https://a..b",
        "https://-a",
        "https://a-",
        "https://a:65536",
        "https://a:port",
        "https://[::::]",
        "https://[1]",
        "https://",
        "https://10.1",
        "https://ann:secret@app.example",
        "file://",
        "javascript:alert(1)",
        "https://a.example,",
    ],
)
def test_an_inexact_origin_is_refused_at_startup(monkeypatch: pytest.MonkeyPatch, origins: str) -> None:
    message = wrong(monkeypatch, DATABASE_URL=URL, SECRET_KEY=KEY, CORS_ORIGINS=origins)

    assert "CORS_ORIGINS: must" in message
    assert "ann:secret" not in message


@pytest.mark.parametrize(("given", "meant"), [("true", True), ("false", False), ("", True)])
def test_a_boolean_is_true_or_false(monkeypatch: pytest.MonkeyPatch, given: str, meant: bool) -> None:
    assert load(monkeypatch, DATABASE_URL=URL, SECRET_KEY=KEY, DOCS_ENABLED=given).docs_enabled is meant


@pytest.mark.parametrize("given", ["yes", "0", "1", "on", "off", "True", "FALSE", "true true"])
def test_another_spelling_of_a_boolean_is_refused_at_startup(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    message = wrong(monkeypatch, DATABASE_URL=URL, SECRET_KEY=KEY, DOCS_ENABLED=given)

    assert "DOCS_ENABLED: must be true or false" in message


def test_a_network_with_bits_of_a_host_is_refused_with_the_right_one(monkeypatch: pytest.MonkeyPatch) -> None:
    message = wrong(monkeypatch, DATABASE_URL=URL, SECRET_KEY=KEY, TRUSTED_PROXIES="10.0.0.1/8")

    assert "TRUSTED_PROXIES: has bits of a host in a network. Write 10.0.0.0/8" in message


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(
        monkeypatch,
        DATABASE_URL=URL,
        SECRET_KEY=KEY,
        SECRET_KEY_FALLBACKS=f"{KEY}1, {KEY}2",
        ALLOWED_HOSTS="API.example.com., 192.0.2.1,[::1]",
        TRUSTED_PROXIES="10.0.0.0/8, 192.0.2.1, fd00::/8",
    )

    assert [key.get_secret_value() for key in settings.secret_key_fallbacks] == [f"{KEY}1", f"{KEY}2"]
    assert settings.allowed_hosts == ("api.example.com", "192.0.2.1", "[::1]")
    assert [str(each) for each in settings.trusted_proxies] == ["10.0.0.0/8", "192.0.2.1/32", "fd00::/8"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY_FALLBACKS", "too-short,short"),
        ("ALLOWED_HOSTS", "*"),
        ("ALLOWED_HOSTS", "api.example.com:5000"),
        ("ALLOWED_HOSTS", "https://api.example.com"),
        ("ALLOWED_HOSTS", "api.example.com,,"),
        ("ALLOWED_HOSTS", "a..b"),
        ("ALLOWED_HOSTS", "-"),
        ("ALLOWED_HOSTS", "[:::]"),
        ("TRUSTED_PROXIES", "fe80::1%eth0"),
        ("TRUSTED_PROXIES", "::ffff:10.0.0.0/104"),
        ("TRUSTED_PROXIES", "*"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TRUSTED_PROXIES", "proxy"),
        ("LOGIN_LIMIT_PAIR", "5"),
        ("LOGIN_LIMIT_PAIR", "5/5"),
        ("LOGIN_LIMIT_CLIENT", "0/5m"),
        ("LOGIN_LIMIT_CLIENT", "5/0m"),
        ("LOGIN_LIMIT_ACCOUNT", "50/2h"),
        ("LOGIN_LIMIT_ACCOUNT", "-1/1h"),
        ("REGISTER_LIMIT", "1001/1h"),
        ("REGISTER_LIMIT", "5/1d"),
        ("RATE_LIMIT", "none"),
        ("RATE_LIMIT", "OFF"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_an_implausible_value_is_refused_at_startup(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    message = wrong(monkeypatch, DATABASE_URL=URL, SECRET_KEY=KEY, **{name: value})

    assert f"{name}: " in message
    assert KEY not in message


@pytest.mark.parametrize(
    ("given", "meant"),
    [("5/5m", (5, 300)), ("1/1s", (1, 1)), ("1000/1h", (1000, 3600)), ("60/60m", (60, 3600)), ("off", None)],
)
def test_a_rate_limit_is_a_number_and_a_duration(
    monkeypatch: pytest.MonkeyPatch, given: str, meant: tuple[int, int] | None
) -> None:
    assert load(monkeypatch, DATABASE_URL=URL, SECRET_KEY=KEY, RATE_LIMIT=given).rate_limit == meant


def mail(monkeypatch: pytest.MonkeyPatch, **changes: str) -> Settings:
    """Load settings with mail."""
    given = {
        "SMTP_URL": "smtp://mail.example.com",
        "MAIL_FROM": "a@example.com",
        "APP_URL": "https://a.example",
    }
    return load(monkeypatch, DATABASE_URL=URL, SECRET_KEY=KEY, **given | changes)


def wrong_mail(monkeypatch: pytest.MonkeyPatch, **changes: str) -> str:
    with pytest.raises(InvalidSettings) as refused:
        mail(monkeypatch, **changes)
    assert "\n" not in refused.value.message
    return refused.value.message


@pytest.mark.parametrize(
    ("url", "host", "port", "security", "login"),
    [
        ("smtp://mail.example.com", "mail.example.com", 587, "starttls", None),
        ("smtp://u:p@mail.example.com:2525/", "mail.example.com", 2525, "starttls", ("u", "p")),
        ("smtps://u:p@mail.example.com", "mail.example.com", 465, "tls", ("u", "p")),
        ("SMTPS://u:p@Mail.Example.com.", "mail.example.com", 465, "tls", ("u", "p")),
        ("smtp://a%40b.example:p%3A%2F%40%25%23:x@h", "h", 587, "starttls", ("a@b.example", "p:/@%#:x")),
        ("smtp://u:p@[2001:DB8::1]:26", "2001:db8::1", 26, "starttls", ("u", "p")),
        ("smtp://u:p@192.0.2.1", "192.0.2.1", 587, "starttls", ("u", "p")),
        ("smtp://u:p@mail.bücher.example", "mail.xn--bcher-kva.example", 587, "starttls", ("u", "p")),
        ("smtp://mail?tls=off", "mail", 25, "plain", None),
        ("smtp://mailpit:1025?tls=off", "mailpit", 1025, "plain", None),
        ("smtp://u:p@localhost?tls=off", "localhost", 25, "plain", ("u", "p")),
        ("smtp://u:p@127.0.0.1:1025?tls=off", "127.0.0.1", 1025, "plain", ("u", "p")),
        ("smtp://u:p@[::1]:1025/?tls=off", "::1", 1025, "plain", ("u", "p")),
    ],
)
def test_a_mail_server_can_have_several_forms(
    monkeypatch: pytest.MonkeyPatch,
    url: str,
    host: str,
    port: int,
    security: str,
    login: tuple[str, str] | None,
) -> None:
    server = mail(monkeypatch, SMTP_URL=url).smtp_url

    assert isinstance(server, SmtpServer)
    assert (server.host, server.port, server.security) == (host, port, security)
    given = [each and each.get_secret_value() for each in (server.username, server.password)]
    assert given == list(login or (None, None))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mail.example.com", "must be smtp://USER:PASSWORD@HOST, smtps://"),
        ("mail.example.com:587", "must be smtp://"),
        ("smtp:secret@mail.example.com", "must be smtp://"),
        ("smtp+tls://u:secret@mail.example.com", "must be smtp://"),
        ("https://u:secret@mail.example.com", "must be smtp://"),
        ("'smtp://u:secret@mail.example.com'", "(remove the quotes"),
        ("SMTP_URL=smtp://u:secret@mail.example.com", "repeats the variable's name"),
        ("export SMTP_URL=smtp://u:secret@h", "repeats the variable's name"),
        ("smtp://u@b.example:secret@mail.example.com", "Write %40 instead of @"),
        ("smtp://u:secret/x@mail.example.com", "Write %2F instead of /"),
        ("smtp://u:secret?x@mail.example.com", "Write %3F instead of ?"),
        ("smtp://u:secret#x@mail.example.com", "Write %23 instead of #"),
        ("smtp://u:secret%x@mail.example.com", "Write %25 instead of %"),
        ("smtp://u:secret%ff@mail.example.com", "Write %25 instead of %"),
        ("smtp://u:sécret@mail.example.com", "printable ASCII"),
        ("smtp://u:secret%00@mail.example.com", "printable ASCII"),
        ("smtp://u:secret%0Ax@mail.example.com", "printable ASCII"),
        ("smtp://u@mail.example.com", "needs both a user name and a password"),
        ("smtp://:secret@mail.example.com", "needs both a user name and a password"),
        ("smtp://u:secret", "has a port that isn't a number from 1 to 65535, or no @HOST"),
        ("smtp://u:secret@mail.example.com:0", "has a port"),
        ("smtp://u:secret@mail.example.com:65536", "has a port"),
        ("smtp://u:secret@mail.example.com:", "has a port"),
        ("smtp://u:secret@mail.example.com:smtp", "has a port"),
        ("smtp://u:secret@", "has a host"),
        ("smtp://", "has a host"),
        ("smtp://u:secret@mail example.com", "has a host"),
        ("smtp://u:secret@-mail", "has a host"),
        ("smtp://u:secret@10.1", "has a host"),
        ("smtp://u:secret@[::x]", "has a host"),
        ("smtp://u:secret@::1", "has something other than HOST or HOST:PORT"),
        ("smtp://u:secret@mail.example.com/inbox", "has something other than HOST or HOST:PORT"),
        ("smtp://u:secret@mail.example.com?tls=yes", "Only tls=off is known"),
        ("smtp://u:secret@mail.example.com?ssl=true", "Only tls=off is known"),
        ("smtps://u:secret@localhost?tls=off", "has both smtps:// and tls=off"),
        ("smtp://u:secret@mail.example.com:465", "Write smtps:// instead of smtp://"),
        ("smtps://u:secret@mail.example.com:587", "Write smtp:// instead of smtps://"),
        ("smtp://u:secret@mail.example.com?tls=off", "without TLS to another machine"),
        ("smtp://u:secret@mail?tls=off", "without TLS to another machine"),
        ("smtp://u:changeme@mail.example.com", "still has a placeholder"),
        ("file:mail", "is a folder, for development"),
    ],
)
def test_any_other_mail_server_is_refused_at_startup_without_its_password(
    monkeypatch: pytest.MonkeyPatch, url: str, reason: str
) -> None:
    message = wrong_mail(monkeypatch, SMTP_URL=url)

    assert message.startswith("Invalid settings. SMTP_URL: ")
    assert reason in message
    assert "secret" not in message


def test_no_representation_of_the_settings_has_the_password_of_the_mail_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = mail(monkeypatch, SMTP_URL="smtp://a-token:another@mail.example.com")

    for text in (repr(settings), str(settings), str(settings.model_dump()), repr(settings.smtp_url)):
        assert "mail.example.com" in text
        assert "a-token" not in text
        assert "another" not in text


def test_the_mail_server_can_be_read_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("smtp://u:p@mail.example.com\n")

    settings = mail(monkeypatch, SMTP_URL="", SMTP_URL_FILE=str(tmp_path / "url"))

    assert isinstance(settings.smtp_url, SmtpServer)
    monkeypatch.delenv("MAIL_FROM")
    assert "MAIL_FROM: is required with SMTP_URL" in wrong(monkeypatch)


@pytest.mark.parametrize("missing", [["MAIL_FROM"], ["APP_URL"], ["APP_URL", "MAIL_FROM"]])
def test_a_mail_server_needs_a_sender_and_a_url_for_links(
    monkeypatch: pytest.MonkeyPatch, missing: list[str]
) -> None:
    message = wrong_mail(monkeypatch, **dict.fromkeys(missing, ""))

    assert message.startswith(
        "Invalid settings. " + "; ".join(f"{name}: is required with SMTP_URL" for name in missing) + "."
    )


def test_an_address_cannot_be_required_without_mail(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "REGISTER_EMAIL: can't be required without SMTP_URL" in wrong(
        monkeypatch, REGISTER_EMAIL="required"
    )


def test_a_sender_and_a_url_for_links_are_harmless_without_a_mail_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not mail(monkeypatch, SMTP_URL="").has_mail


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("noreply@example.com", ("", "noreply", "example.com")),
        ("<noreply@example.com>", ("", "noreply", "example.com")),
        ("Shop <noreply@example.com>", ("Shop", "noreply", "example.com")),
        ('"Shop, Inc." <noreply@example.com>', ("Shop, Inc.", "noreply", "example.com")),
        ("Shop, Inc. <noreply@example.com>", ("Shop, Inc.", "noreply", "example.com")),
        ("Bücher <büro@bücher.example>", ("Bücher", "büro", "xn--bcher-kva.example")),
    ],
)
def test_a_sender_is_an_address_with_or_without_a_name(
    monkeypatch: pytest.MonkeyPatch, given: str, meant: tuple[str, str, str]
) -> None:
    assert mail(monkeypatch, MAIL_FROM=given).mail_from == meant


@pytest.mark.parametrize(
    "sender",
    [
        "noreply",
        "noreply@localhost",
        "noreply@shop.test",
        "Shop",
        "Shop <noreply>",
        "Shop <noreply@example.com",
        "Shop noreply@example.com",
        "a@example.com, b@example.com",
        "a@example.com, Shop <b@example.com>",
        "Shop\nBcc: x <a@example.com>",
        "Shop <a@example.com> <b@example.com>",
        "mailto:noreply@example.com",
    ],
)
def test_any_other_sender_is_refused_at_startup(monkeypatch: pytest.MonkeyPatch, sender: str) -> None:
    assert wrong_mail(monkeypatch, MAIL_FROM=sender).startswith("Invalid settings. MAIL_FROM: ")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("https://app.example.com", "https://app.example.com"),
        ("https://app.example.com/", "https://app.example.com"),
        ("HTTPS://App.Example.com:443/Shop//", "https://app.example.com/Shop"),
        ("https://example.com:8443/a/b-c", "https://example.com:8443/a/b-c"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("http://localhost:5000", "http://localhost:5000"),
        ("http://127.0.0.1", "http://127.0.0.1"),
        ("http://[::1]:80", "http://[::1]"),
    ],
)
def test_the_url_of_links_has_one_form(monkeypatch: pytest.MonkeyPatch, given: str, meant: str) -> None:
    assert mail(monkeypatch, APP_URL=given).app_url == meant


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("app.example.com", "must begin with https://"),
        ("ftp://app.example.com", "must begin with https://"),
        ("//app.example.com", "must begin with https://"),
        ("http://app.example.com", "must begin with https:// in production"),
        ("http://app", "must begin with https:// in production"),
        ("https://app.example.com/?a=b", "must have no query"),
        ("https://app.example.com/#/", "must have no query"),
        ("https://", "must be a URL"),
        ("https:///app", "must be a URL"),
        ("https://u:secret@app.example.com", "must be a URL"),
        ("https://app.example.com:port", "must be a URL"),
        ("https://app.example.com:65536", "must be a URL"),
        ("https://a b.example", "must be a URL"),
        ("https://app.example.com/a b", "has a path"),
        ("https://app.example.com/a\nb", "has a path"),
        ("https://app.example.com/ä", "has a path"),
        ("https://app.example.com/a//b", "has a path"),
        ("https://app.example.com\\a", "must be a URL"),
    ],
)
def test_any_other_url_of_links_is_refused_at_startup(
    monkeypatch: pytest.MonkeyPatch, url: str, reason: str
) -> None:
    message = wrong_mail(monkeypatch, APP_URL=url)

    assert message.startswith(f"Invalid settings. APP_URL: {reason}")
    assert "secret" not in message


def test_development_can_write_mail_to_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(config.Settings, "folder", tmp_path)
    (tmp_path / "file").touch()

    def folder(url: str) -> Path:
        given = {"FLASK_ENV": "development", "APP_URL": "http://app.test", "MAIL_FROM": "a@shop.test"}
        return mail(monkeypatch, SMTP_URL=url, **given).mail_folder

    assert folder("file:mail") == tmp_path / "instance" / "mail"
    assert folder(f"file:{tmp_path}/own") == tmp_path / "own"
    assert folder(f"file://{tmp_path}/own") == tmp_path / "own"
    assert (tmp_path / "own").is_dir()
    for url in ("file:", "file://mail", "file:////", "file:a\nb"):
        assert "SMTP_URL: must be file:FOLDER" in wrong_mail(monkeypatch, SMTP_URL=url)
    assert "SMTP_URL: can't create the folder" in wrong_mail(monkeypatch, SMTP_URL=f"file:{tmp_path}/file/x")
    assert "SMTP_URL: can't create the folder" in wrong_mail(monkeypatch, SMTP_URL=f"file:{tmp_path}/file")


# part: sqlite
def test_development_needs_no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(config.Settings, "folder", tmp_path)

    settings = load(monkeypatch, FLASK_ENV="development")

    assert settings.database_url.database == "app.db"


# end of part
def test_development_generates_a_key_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(config.Settings, "folder", tmp_path)

    first = load(monkeypatch, FLASK_ENV="development", DATABASE_URL=URL)
    again = load(monkeypatch, FLASK_ENV="development", DATABASE_URL=URL)

    assert first.secret_key == again.secret_key
    assert len(first.secret_key.get_secret_value()) >= 32


def test_a_key_that_cannot_be_stored_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(config.Settings, "folder", tmp_path / "file")

    assert "SECRET_KEY: can't be stored" in wrong(monkeypatch, FLASK_ENV="development")


def test_production_generates_no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(config.Settings, "folder", tmp_path)

    message = wrong(monkeypatch, FLASK_ENV="production")

    assert "DATABASE_URL: is required" in message
    assert "SECRET_KEY: is required" in message
    assert not (tmp_path / "instance").exists()


def test_every_setting_is_explained_in_the_example() -> None:
    example = (REPOSITORY / ".env.example").read_text()

    missing = [name.upper() for name in Settings.model_fields if f"\n#{name.upper()}=" not in example]
    assert not missing, f"Describe these settings in .env.example, each with a line #NAME=default: {missing}"


def test_every_setting_is_passed_to_the_containers() -> None:
    files = ("compose.yaml", "docker/migrate.env")
    compose = "".join((REPOSITORY / file).read_text() for file in files)
    fixed_there = {"HOST", "PORT"}

    missing = [name for name in map(str.upper, Settings.model_fields) if name not in compose]
    absent = set(missing) - fixed_there
    assert not absent, f"Pass these settings on in compose.yaml, under x-app, environment: {sorted(absent)}"
