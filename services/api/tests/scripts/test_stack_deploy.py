"""`scripts/stack-deploy`, with a fake swarm. proof/scripts/swarm-drill uses a real one."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.copies import Copy, without_docker
from tests.support.paths import REPOSITORY

SWARM: dict[str, str] = {
    "stack config*": "true",
    "service create*": "echo migration",
    "service ps*_migrate": "echo 'Complete 1 second ago '",
    "service ps*": "echo 'flask-api_api.1 on node-3: Failed 5 seconds ago unhealthy'",
    "service rm*": "true",
    "service logs*": "echo 'Error: The database cannot be migrated'",
    "stack deploy*": "env >environment",
    "service inspect*": "echo completed",
}
ASKED: Any = {"IMAGE": "flask-api:2", "SITE_NAME": "api.example.com", "SITE_TLS": "off"}


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    copy = Copy(tmp_path, "stack-deploy", docker=SWARM)
    copy.write("docker/Caddyfile")
    copy.write("docker/proxy-start.sh")
    copy.write("stack.yaml", (REPOSITORY / "stack.yaml").read_text())
    return copy


def environment(copy: Copy) -> dict[str, str]:
    """Return the environment that stack.yaml was deployed with."""
    lines = (copy.folder / "environment").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def has_begun(copy: Copy) -> bool:
    return any(call.startswith(("service create", "stack deploy")) for call in copy.calls())


def test_the_migration_comes_first(copy: Copy) -> None:
    done = copy.run("stack-deploy", **ASKED)

    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "stack-deploy: flask-api:2 is serving.")
    created, deployed = (
        next(number for number, call in enumerate(copy.calls()) if call.startswith(command))
        for command in ("service create", "stack deploy")
    )
    assert created < deployed
    assert copy.calls()[created].endswith("flask-api:2 flask db upgrade")


def test_only_the_migration_gets_the_owners_secret(copy: Copy) -> None:
    copy.run("stack-deploy", MIGRATION_DATABASE_URL_SECRET="the-owners", **ASKED)

    [migration] = [call for call in copy.calls() if call.startswith("service create")]
    assert "--secret source=the-owners,target=migration_database_url,uid=10001" in migration
    assert "--env MIGRATION_DATABASE_URL_FILE=/run/secrets/migration_database_url" in migration
    assert "MIGRATION_DATABASE_URL" not in (REPOSITORY / "stack.yaml").read_text()


def test_nothing_is_deployed_if_the_migration_fails(copy: Copy) -> None:
    failed = {"service ps*_migrate": "echo 'Failed 1 second ago non-zero exit (1)'"}

    done = copy.run("stack-deploy", docker=failed, **ASKED)

    assert done.returncode == 1
    assert "The database cannot be migrated" in done.stderr
    assert "the migration failed" in done.stderr
    assert not any(call.startswith("stack deploy") for call in copy.calls())
    assert copy.calls()[-1] == "service rm flask-api_migrate"


def test_only_one_deploy_at_a_time(copy: Copy) -> None:
    taken = {"service create*": "echo 'flask-api_migrate already exists' >&2; exit 1"}

    done = copy.run("stack-deploy", docker=taken, **ASKED)

    assert done.returncode == 1
    assert "another deploy is running" in done.stderr
    assert copy.calls()[-1].startswith("service create")  # the other's job stays


@pytest.mark.parametrize(
    ("state", "message"),
    [("rollback_completed", "was rolled back by Swarm"), ("paused", "is in the state paused")],
)
def test_a_failed_update_is_reported(copy: Copy, state: str, message: str) -> None:
    done = copy.run("stack-deploy", docker={"service inspect*": f"echo {state}"}, **ASKED)

    assert done.returncode == 1
    assert f"flask-api_api {message}" in done.stderr
    assert "unhealthy" in done.stderr
    assert "is serving.\n" not in done.stderr


def test_an_update_is_watched_after_docker_stops_waiting(copy: Copy) -> None:
    late = "if [ -e asked ]; then echo rollback_completed; else touch asked; echo updating; fi"

    done = copy.run("stack-deploy", docker={"service inspect*": late}, **ASKED)

    assert done.returncode == 1
    assert "was rolled back by Swarm" in done.stderr


def test_an_update_that_does_not_end_is_reported(copy: Copy) -> None:
    done = copy.run("stack-deploy", docker={"stack deploy*": "exec sleep 60"}, DEPLOY_SECONDS="1", **ASKED)

    assert done.returncode == 1
    assert "was not updated in time" in done.stderr


def test_missing_requirements_are_reported_before_any_change(copy: Copy) -> None:
    assert "IMAGE" in copy.run("stack-deploy").stderr
    assert copy.run("stack-deploy", docker={"stack config*": "exit 1"}, **ASKED).returncode == 1
    assert not has_begun(copy)


def test_it_needs_docker_but_not_compose(copy: Copy, tmp_path: Path) -> None:
    none = copy.run("stack-deploy", PATH=without_docker(tmp_path / "tools", "bash", "dirname"), **ASKED)
    no_compose = copy.run("stack-deploy", docker={"compose*": "exit 1"}, **ASKED)

    assert (none.returncode, none.stderr.count("\n")) == (1, 1)
    assert none.stderr.startswith("stack-deploy: there is no docker on PATH")
    assert no_compose.returncode == 0


@pytest.mark.parametrize(
    ("how", "told"),
    [("public", "must be off or files"), ("internal", "must be off or files"), ("files", "remove the #")],
)
def test_tls_that_cannot_work_is_refused(copy: Copy, how: str, told: str) -> None:
    done = copy.run("stack-deploy", **ASKED | {"SITE_TLS": how})

    assert done.returncode == 1
    assert told in done.stderr
    assert not has_begun(copy)


def test_settings_come_from_env_and_the_shell_wins(copy: Copy) -> None:
    copy.write(".env", "API_REPLICAS=5\r\nTRUSTED_PROXIES=10.9.0.0/16 # ours\nSITE_NAME=other.example.com\n")

    copy.run("stack-deploy", **ASKED)

    deployed = environment(copy)
    assert deployed["API_REPLICAS"] == "5"
    assert deployed["API_TRUSTED_PROXIES"] == "10.213.67.0/24,10.9.0.0/16"
    assert deployed["SITE_NAME"] == deployed["ALLOWED_HOSTS"] == "api.example.com"


def test_env_is_read_but_not_executed(copy: Copy) -> None:
    copy.write(".env", '#THREADS=9\nJWT_ISSUER="an issuer"\nJWT_AUDIENCE=$(touch run) `touch run` $HOME=\n')

    copy.run("stack-deploy", **ASKED)

    deployed = environment(copy)
    assert deployed["JWT_ISSUER"] == "an issuer"
    assert deployed["JWT_AUDIENCE"] == "$(touch run) `touch run` $HOME="
    assert "THREADS" not in deployed
    assert not (copy.folder / "run").exists()


@pytest.mark.parametrize(
    ("written", "value"), [("a$$b", "a$b"), ('"a$$b"', "a$b"), ("'a$b'", "a$b"), ("'a$$b'", "a$$b")]
)
def test_a_dollar_sign_is_read_as_in_compose(copy: Copy, written: str, value: str) -> None:
    copy.write(".env", f"JWT_ISSUER={written}\n")

    copy.run("stack-deploy", **ASKED)

    assert environment(copy)["JWT_ISSUER"] == value


def test_the_url_of_the_mail_server_is_an_optional_secret(copy: Copy) -> None:
    copy.run("stack-deploy", **ASKED)
    without = environment(copy)
    copy.run("stack-deploy", SMTP_URL_SECRET="mail", **ASKED)
    deployed = environment(copy)

    assert (without["SMTP_URL_FILE"], without["SMTP_URL_SECRET"]) == ("", without["SECRET_KEY_SECRET"])
    assert (deployed["SMTP_URL_FILE"], deployed["SMTP_URL_SECRET"]) == ("/run/secrets/smtp_url", "mail")


def test_a_worker_that_was_rolled_back_is_reported(copy: Copy) -> None:
    failed = {"service inspect*_worker": "echo rollback_completed"}

    done = copy.run("stack-deploy", docker=failed, **ASKED)

    assert done.returncode == 1
    assert "flask-api_worker was rolled back by Swarm" in done.stderr


def test_without_a_fallback_no_other_key_is_accepted(copy: Copy) -> None:
    copy.run("stack-deploy", SECRET_KEY_SECRET="key-2", **ASKED)

    assert environment(copy)["SECRET_KEY_FALLBACKS_SECRET"] == "key-2"
