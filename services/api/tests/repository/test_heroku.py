"""heroku.yml and app.json are valid and agree with each other."""

import json
import secrets

import pytest
import yaml

from app import config
from app.config import Settings
from tests.support.paths import REPOSITORY

MANIFEST = yaml.safe_load((REPOSITORY / "heroku.yml").read_text(encoding="utf-8"))
APP = json.loads((REPOSITORY / "app.json").read_text(encoding="utf-8"))
NOT_OURS = {"PGSSLMODE"}  # libpq reads it


def test_the_button_sets_up_what_heroku_create_does() -> None:
    values = {name: variable["value"] for name, variable in APP["env"].items() if "value" in variable}

    assert values == MANIFEST["setup"]["config"]
    assert APP["addons"] == MANIFEST["setup"]["addons"]
    assert APP["stack"] == "container"


def test_every_app_gets_its_own_key() -> None:
    assert APP["env"]["SECRET_KEY"]["generator"] == "secret"
    assert "value" not in APP["env"]["SECRET_KEY"]
    assert "SECRET_KEY" not in MANIFEST["setup"]["config"]


def test_the_app_accepts_the_settings_of_the_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    given = MANIFEST["setup"]["config"]
    assert {name for name in APP["env"] if name.lower() not in Settings.model_fields} == NOT_OURS
    assert all(
        isinstance(value, str) for value in given.values()
    )  # Heroku needs strings, and YAML guesses types

    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SECRET_KEY", secrets.token_hex(32))  # as Heroku's generator writes it
    monkeypatch.setenv("DATABASE_URL", "postgres://u9:p0@ec2-192-0-2-1.compute-1.amazonaws.com:5432/d7")
    settings = config.load()

    assert settings.flask_env == "production"
    assert str(settings.database_pool_size) == given["DATABASE_POOL_SIZE"]
    assert all(network.is_private for network in settings.trusted_proxies)


def test_the_manifest_is_complete_and_has_only_keys_that_heroku_knows() -> None:
    assert set(MANIFEST) == {"setup", "build", "release", "run"}
    assert set(MANIFEST["build"]["docker"]) == {"web"}
    assert set(MANIFEST["run"]) == {"web", "worker"}
    assert MANIFEST["run"]["worker"] == {"image": "web", "command": ["exec flask work"]}
    assert "/" not in MANIFEST["build"]["docker"]["web"]  # its folder is the build context
    assert MANIFEST["release"]["image"] in MANIFEST["build"]["docker"]
    assert "flask db upgrade" in MANIFEST["release"]["command"]
    known = {"name", "description", "success_url", "stack", "addons", "env", "formation"}
    assert set(APP) <= known
    assert set(APP["formation"]) == set(MANIFEST["run"])


def test_jobs_run_although_there_is_no_worker_dyno() -> None:
    assert APP["formation"]["worker"]["quantity"] == 0
    assert MANIFEST["setup"]["config"]["WORKER"] == "thread"


def test_the_release_image_differs_only_in_curl_and_its_command() -> None:
    def lines(name: str) -> list[str]:
        text = (REPOSITORY / "docker" / name).read_text(encoding="utf-8")
        return [line for line in text.splitlines() if line and not line.startswith("#")]

    *web, serve = lines("Dockerfile.web")
    *release, migrate = [line for line in lines("Dockerfile.release") if " curl " not in line]

    assert release == web, "Make each change of docker/Dockerfile.web in docker/Dockerfile.release too."
    assert (serve, migrate) == ('CMD ["flask", "serve"]', 'CMD ["flask", "db", "upgrade"]')
