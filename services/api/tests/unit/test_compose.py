"""What compose.yaml lets the containers do."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

COMPOSE = (Path(__file__).parents[4] / "compose.yaml").read_text()
STACK: dict[str, Any] = yaml.safe_load(COMPOSE)
SERVICES = STACK["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_confined(name: str) -> None:
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert name == "db" or (service["user"] == "10001:10001" and "cap_add" not in service)


def test_nothing_has_a_default_secret() -> None:
    given = [each for service in SERVICES.values() for each in service["environment"] if "=" in each]

    assert {each.partition("=")[0] for each in given if re.search("PASSWORD|SECRET|KEY|URL", each)} == {
        "DATABASE_URL_FILE",
        "SECRET_KEY_FILE",
    }


def test_only_the_api_can_be_reached() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["api"]
    assert SERVICES["api"]["ports"] == ["${API_BIND:-127.0.0.1}:${API_PORT:-5000}:5000"]
    assert SERVICES["db"]["networks"] == ["database"]
    assert STACK["networks"]["database"] == {"internal": True}
