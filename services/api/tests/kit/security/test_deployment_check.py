"""`flask config check`: it names every weak setting and prints no secret."""

from secrets import token_hex
from typing import Any

import pytest

from app import create_app
from app.config import Settings
from kit.security.deployment_check import check

KEY = token_hex(32)
STRONG: dict[str, Any] = {
    "database_url": "postgresql://app:x9tkQ2emZ7rpL4nw@db.example.com/app?sslmode=verify-full",
    "secret_key": KEY,
    "allowed_hosts": "api.example.com",
    "trusted_proxies": "10.0.0.0/8",
    "rate_limit": "600/1m",
}


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
        ({"database_url": "sqlite:///app.db"}, "DATABASE_URL"),
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
    ],
)
def test_a_weak_setting_is_named(changes: dict[str, object], setting: str) -> None:
    assert [finding.setting for finding in check(settings(**changes)) if finding.is_weak] == [setting]


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"rate_limit": "off"}, "RATE_LIMIT"),
        ({"metrics_enabled": "true"}, "METRICS_ENABLED"),
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


def test_the_environment_can_require_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLMODE", "require")
    url = "postgresql://app:x9tkQ2emZ7rpL4nw@db.example.com/app"

    assert list(check(settings(database_url=url))) == []
    assert [finding.setting for finding in check(settings(database_url=f"{url}?sslmode=allow"))] == [
        "DATABASE_URL"
    ]


def test_the_command_lists_weak_settings_and_fails() -> None:
    strong = create_app(settings(rate_limit="off")).test_cli_runner().invoke(args=["config", "check"])
    weak = create_app(settings(secret_key="no key but a sentence, for anyone to read"))
    refused = weak.test_cli_runner().invoke(args=["config", "check"])

    assert (strong.exit_code, strong.output.splitlines()[-1]) == (0, "No setting is weak.")
    assert strong.output.startswith("note: RATE_LIMIT is off")
    assert refused.exit_code == 1
    assert refused.output.startswith("weak: SECRET_KEY doesn't look random.")
    assert "Weak settings: 1" in refused.output
    assert "for anyone to read" not in refused.output
