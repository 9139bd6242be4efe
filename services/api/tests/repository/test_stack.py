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
NOT_HERE = {"DATABASE_URL", "SECRET_KEY", "SECRET_KEY_FALLBACKS"}
WORKED_OUT = {"API_TRUSTED_PROXIES", "PROXY_CONFIG"}  # by scripts/stack-deploy
IN_FILES = {"DATABASE_URL_FILE", "SECRET_KEY_FILE", "SECRET_KEY_FALLBACKS_FILE"}


def names(environment: list[str]) -> set[str]:
    return {each.partition("=")[0] for each in environment}


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_confined(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == ([] if name == "api" else ["NET_BIND_SERVICE"])
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


def test_a_new_version_is_healthy_before_the_old_one_stops() -> None:
    deploy = SERVICES["api"]["deploy"]

    assert deploy["update_config"]["order"] == "start-first"
    assert deploy["update_config"]["failure_action"] == "rollback"
    assert deploy["rollback_config"]["order"] == "start-first"
    assert SERVICES["api"]["healthcheck"]["test"][-1] == "--then-live"


def test_the_proxy_is_the_same_as_on_one_server() -> None:
    dockerfile = (REPOSITORY / "docker/proxy.Dockerfile").read_text()
    [image] = re.findall("^FROM (.+)$", dockerfile, re.MULTILINE)

    assert SERVICES["proxy"]["image"] == f"${{PROXY_IMAGE:-{image}}}"
    assert f"\n#PROXY_IMAGE={image.partition('@')[0]}\n" in (REPOSITORY / ".env.example").read_text()


def test_no_service_needs_the_kernels_load_balancer() -> None:
    assert SERVICES["api"]["deploy"]["endpoint_mode"] == "dnsrr"
    assert "ports" not in SERVICES["api"]
    assert {port["mode"] for port in SERVICES["proxy"]["ports"]} == {"host"}
