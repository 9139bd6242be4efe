"""The files for GitHub, coding agents and editors refer to existing commands and files."""

import json
import os
import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.paths import REPOSITORY

WORKFLOWS = sorted((REPOSITORY / ".github/workflows").glob("*.yml"))


def jobs(workflow: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(workflow.read_text())
    return dict(content["jobs"])


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda file: file.name)
def test_workflows_run_only_scripts_of_the_repository(workflow: Path) -> None:
    for job in jobs(workflow).values():
        for step in job.get("steps", []):
            if "run" in step:
                script = REPOSITORY / step["run"].split()[0]
                assert os.access(script, os.X_OK), script
        if job.get("uses", "").startswith("./"):
            assert (REPOSITORY / job["uses"]).is_file()


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda file: file.name)
def test_only_the_publishing_job_has_write_permission(workflow: Path) -> None:
    content = yaml.safe_load(workflow.read_text())
    writing = [
        name for name, job in content["jobs"].items() if "write" in job.get("permissions", {}).values()
    ]

    assert content["permissions"] == {"contents": "read"}
    assert writing == (["image"] if workflow.name == "release.yml" else [])


def test_an_image_is_published_only_after_all_checks() -> None:
    release = jobs(REPOSITORY / ".github/workflows/release.yml")

    assert release["image"]["needs"] == "ci"
    assert release["ci"]["needs"] == "version"


def test_a_published_image_has_a_bill_of_materials_and_a_signature() -> None:
    steps = jobs(REPOSITORY / ".github/workflows/release.yml")["image"]["steps"]
    [build] = [step for step in steps if "docker/build-push-action" in step.get("uses", "")]
    [signature] = [step for step in steps if "attest-build-provenance" in step.get("uses", "")]

    assert build["with"]["sbom"] is True
    assert build["with"]["provenance"] == "mode=max"
    assert "steps.build.outputs.digest" in signature["with"]["subject-digest"]


def test_dependabot_reads_every_file_that_names_an_image() -> None:
    updates = yaml.safe_load((REPOSITORY / ".github/dependabot.yml").read_text())["updates"]
    read = {each["package-ecosystem"]: each.get("directories", []) for each in updates}
    naming = [
        str(file.parent.relative_to(REPOSITORY))
        for folder in ("docker", ".devcontainer", "proof")
        for file in (REPOSITORY / folder).rglob("*Dockerfile*")
    ]

    for folder in naming:
        assert any(fnmatch(f"/{folder}", pattern) for pattern in read["docker"]), folder
    assert "/" in read["docker-compose"]


def test_the_commands_of_agents_md_exist() -> None:
    text = (REPOSITORY / "AGENTS.md").read_text()
    targets = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)

    made = re.findall(r"\bmake ([a-z-]+)", text)
    assert len(made) > 5
    assert set(made) <= set(targets)
    for path in re.findall(r"^scripts/[\w-]+", text, re.MULTILINE):
        assert os.access(REPOSITORY / path, os.X_OK), path


def test_the_dev_container_is_the_stack_with_a_workspace() -> None:
    folder = REPOSITORY / ".devcontainer"
    lines = (folder / "devcontainer.json").read_text().splitlines()
    container = json.loads("\n".join(line for line in lines if not line.startswith("//")))
    services: dict[str, Any] = {}
    for name in container["dockerComposeFile"]:
        services |= yaml.safe_load((folder / name).read_text())["services"]

    workspace = services[container["service"]]
    assert set(container["runServices"]) <= set(services)
    assert f".:{container['workspaceFolder']}" in workspace["volumes"]
    assert set(services["db"]["networks"]) <= set(workspace["networks"])
