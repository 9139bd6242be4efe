"""The Compose files: permissions of the containers, and their independence from the host."""

import re
from typing import Any

import pytest
import yaml

from tests.support.paths import REPOSITORY


def read(name: str) -> dict[str, Any]:
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    stack: dict[str, Any] = yaml.safe_load(re.sub("!(override|reset)", "", text))  # tags of Compose
    return stack


STACK = read("compose.yaml")
SERVICES = STACK["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_confined(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert name == "db" or (service["user"] == "10001:10001" and "cap_add" not in service)


def test_no_service_has_a_default_secret() -> None:
    given = [each for service in SERVICES.values() for each in service["environment"] if "=" in each]

    assert {each.partition("=")[0] for each in given if re.search("PASSWORD|SECRET|KEY|URL", each)} == {
        "DATABASE_URL_FILE",
        "SECRET_KEY_FILE",
        "STORAGE_URL",
    }
    assert "STORAGE_URL=${STORAGE_URL:-file:/files}" in given  # a folder


@pytest.mark.parametrize("service", ["api", "worker"])
def test_the_api_and_the_worker_never_get_the_secret_of_the_databases_owner(service: str) -> None:
    who_mounts_it = [name for name, service in SERVICES.items() if "owner-secrets" in str(service["volumes"])]

    assert who_mounts_it == ["db", "migrate"]
    assert "env_file" not in SERVICES[service]
    assert not [each for each in SERVICES[service]["environment"] if re.search("MIGRATION|POSTGRES", each)]
    assert "/secrets/owner/url" in (REPOSITORY / SERVICES["migrate"]["env_file"]).read_text()


def test_the_worker_is_like_the_api_but_for_its_command() -> None:
    api, worker = SERVICES["api"], SERVICES["worker"]

    assert worker["command"] == ["flask", "work"]
    assert worker["volumes"] == [
        "database-secrets:/secrets/database:ro",
        "api-secrets:/secrets/api:ro",
        "files:/files",
    ]
    for name in ("image", "environment", "volumes", "networks", "depends_on", "stop_grace_period"):
        assert worker[name] == api[name], name
    assert "default" in worker["networks"]  # the way to a mail server
    for path in [worker["healthcheck"]["test"][-1], api["healthcheck"]["test"][-1]]:
        assert (REPOSITORY / "services/api" / path.removeprefix("/app/")).exists()


@pytest.mark.parametrize("service", ["api", "worker"])
def test_make_dev_restarts_after_a_change_of_any_file(service: str) -> None:
    """Not only of Python files: an error in a mail template stops the start, too."""
    assert "--filter=default" in read("compose.dev.yaml")["services"][service]["command"]


def test_only_the_api_can_be_reached() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["api"]
    assert SERVICES["api"]["ports"] == ["${API_BIND:-127.0.0.1}:${API_PORT:-5000}:5000"]
    assert SERVICES["db"]["networks"] == ["database"]
    assert STACK["networks"]["database"] == {"internal": True}


@pytest.mark.parametrize("name", ["compose.yaml", "compose.test.yaml", "compose.production.yaml"])
def test_no_host_path_is_mounted(name: str) -> None:
    """The Docker engine may run elsewhere, and would mount an empty folder in place of a missing file."""
    stack = read(name)
    sources = {
        volume["source"] if isinstance(volume, dict) else volume.partition(":")[0]
        for service in stack["services"].values()
        for volume in service.get("volumes", [])
    }
    files = [
        each for kind in ("configs", "secrets") for each in stack.get(kind, {}).values() if "file" in each
    ]

    assert sources <= set(stack["volumes"])
    assert files == []  # Compose mounts these too


def test_the_tests_use_the_same_postgresql_image() -> None:
    dockerfile = (REPOSITORY / "docker" / "db.Dockerfile").read_text(encoding="utf-8")
    image = read("compose.test.yaml")["services"]["test-db"]["image"]

    assert f"\nFROM {image}\n" in dockerfile


IMAGES = [
    "Dockerfile.web",
    "Dockerfile.release",  # part: heroku
    "db.Dockerfile",
    "proxy.Dockerfile",
]


@pytest.mark.parametrize("file", IMAGES)
def test_no_program_of_an_image_can_change_its_user(file: str) -> None:
    last_stage = (REPOSITORY / "docker" / file).read_text(encoding="utf-8").rpartition("\nFROM ")[2]

    assert "find / -xdev -type f -perm /6000 -exec chmod a-s {} +" in last_stage
