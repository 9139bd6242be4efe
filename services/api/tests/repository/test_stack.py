"""stack.yaml: permissions and settings of the containers."""

import re
from typing import Any

import pytest
import yaml

from tests.support.paths import REPOSITORY

TEXT = (REPOSITORY / "stack.yaml").read_text()
STACK: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES = STACK["services"]
# Only for Compose: secrets in the environment. Swarm has them in files.
NOT_HERE = {"DATABASE_URL", "SECRET_KEY", "SECRET_KEY_FALLBACKS", "SMTP_URL"}
WORKED_OUT = {"API_TRUSTED_PROXIES", "PROXY_CONFIG", "SMTP_URL_FILE"}  # by scripts/stack-deploy
IN_FILES = {f"{name}_FILE" for name in NOT_HERE}


def names(environment: list[str]) -> set[str]:
    return {each.partition("=")[0] for each in environment}


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_confined(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "proxy" else [])
    assert not service["user"].startswith(("0", "root"))
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}


def test_the_api_has_the_same_settings_as_in_compose() -> None:
    compose = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())

    in_compose = names(compose["services"]["api"]["environment"])
    differing = names(SERVICES["api"]["environment"]) ^ (in_compose - NOT_HERE | IN_FILES)
    assert not differing, f"In only one of compose.yaml and stack.yaml: {sorted(differing)}"


def test_the_example_lists_exactly_the_available_settings() -> None:
    example = (REPOSITORY / ".env.example").read_text()
    asked = set(re.findall(r"\$\{([A-Z_]+)", TEXT)) - WORKED_OUT
    passed_on = {each for service in SERVICES.values() for each in service["environment"] if "=" not in each}

    assert asked | passed_on <= settings(example)
    only_in_the_script = {"STACK_NAME", "MIGRATION_DATABASE_URL_SECRET"}
    assert settings(example.partition("# --- Many servers")[2]) <= asked | only_in_the_script


def test_no_message_for_a_missing_setting_contains_a_hyphen() -> None:
    # `docker stack` would take what follows it for a default.
    assert not re.findall(r"\$\{\w+:\?[^}]*-", TEXT)


def settings(example: str) -> set[str]:
    return set(re.findall("^#([A-Z_]+)=", example, re.MULTILINE))


@pytest.mark.parametrize("service", ["api", "worker"])
def test_a_new_version_is_healthy_before_the_old_one_stops(service: str) -> None:
    deploy = SERVICES[service]["deploy"]

    assert deploy["update_config"]["order"] == "start-first"
    assert deploy["update_config"]["failure_action"] == "rollback"
    assert deploy["rollback_config"]["order"] == "start-first"
    path = SERVICES[service]["healthcheck"]["test"][3].removeprefix("/app/")
    assert (REPOSITORY / "services/api" / path).exists()


def test_a_database_outage_does_not_kill_the_api() -> None:
    assert SERVICES["api"]["healthcheck"]["test"][-1] == "--then-live"


def test_the_worker_is_like_the_api_but_not_in_the_network_that_the_api_trusts() -> None:
    api, worker = SERVICES["api"], SERVICES["worker"]

    assert worker["command"] == ["flask", "work"]
    assert {name for name in api.keys() | worker.keys() if api.get(name) != worker.get(name)} == {
        "command",
        "deploy",
        "healthcheck",
        "networks",
    }
    assert (api["networks"], "networks" in worker) == (["proxy"], False)


def test_the_proxy_is_the_same_as_on_one_server() -> None:
    dockerfile = (REPOSITORY / "docker/proxy.Dockerfile").read_text()
    [image] = re.findall("^FROM (.+)$", dockerfile, re.MULTILINE)

    assert SERVICES["proxy"]["image"] == f"${{PROXY_IMAGE:-{image}}}"
    assert f"\n#PROXY_IMAGE={image.partition('@')[0]}\n" in (REPOSITORY / ".env.example").read_text()


def test_no_service_needs_the_kernels_load_balancer() -> None:
    for service in (SERVICES["api"], SERVICES["worker"]):
        assert service["deploy"]["endpoint_mode"] == "dnsrr"
        assert "ports" not in service
    assert {port["mode"] for port in SERVICES["proxy"]["ports"]} == {"host"}
