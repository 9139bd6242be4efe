"""The Postman collection, run with newman against the running stack."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

POSTMAN = Path(__file__).parents[2] / "postman"
COLLECTION = POSTMAN / "flask-api.postman_collection.json"
ENVIRONMENT = POSTMAN / "flask-api.postman_environment.json"


def newman(collection: Path, base_url: str, report: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Run a collection. Return the exit status and newman's report."""
    given = ["--environment", str(ENVIRONMENT), "--env-var", f"baseUrl={base_url}"]
    reporters = ["--reporters", "json", "--reporter-json-export", str(report)]
    command = ["newman", "run", str(collection), *given, *reporters, *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert report.exists(), result.stdout + result.stderr
    run = json.loads(report.read_text(encoding="utf-8"))["run"]
    return result.returncode, run


def failures(run: dict[str, Any]) -> list[str]:
    return [
        f"{failure['source'].get('name')}: {failure['error']['test'] or ''} {failure['error']['message']}"
        for failure in run["failures"]
    ]


@pytest.mark.parametrize(("api", "has_mail"), [("base_url", False), ("mail_url", True)])
def test_the_collection_runs_from_top_to_bottom_and_again(
    request: pytest.FixtureRequest, api: str, has_mail: bool, tmp_path: Path
) -> None:
    for _ in range(2):
        status, run = newman(COLLECTION, request.getfixturevalue(api), tmp_path / "report.json")

        assert failures(run) == []
        assert status == 0
        assert run["stats"]["requests"]["total"] > 80
        assert run["stats"]["assertions"]["total"] > 3 * run["stats"]["requests"]["total"]
        sent = [each["item"]["name"] for each in run["executions"] if "response" in each]
        assert ("Request a password reset" in sent) == has_mail


def test_a_base_url_may_end_with_a_slash(base_url: str, tmp_path: Path) -> None:
    status, run = newman(COLLECTION, f"{base_url}/", tmp_path / "report.json", "--folder", "health")

    assert failures(run) == []
    assert status == 0


def test_the_collection_stops_at_a_limit_and_says_which(tmp_path: Path) -> None:
    status, run = newman(COLLECTION, os.environ["API_LIMITED_URL"], tmp_path / "report.json")

    [failure] = failures(run)
    assert status == 1
    assert failure.startswith("Register a taken name: The API's limits allow this request")
    assert re.search(
        r"The limit REGISTER_LIMIT .* is reached. Wait \d+ seconds .* switch the limit off", failure
    )
    assert run["executions"][-1]["item"]["name"] == "Register a taken name"


@pytest.mark.parametrize(
    ("right", "wrong", "failed"),
    [
        ('const documented = {\\"200\\"', 'const documented = {\\"299\\"', "The status is one of 299"),
        ('\\"X-Request-ID\\"', '\\"X-Nothing\\"', "The headers are present"),
        ('\\"const\\": \\"ok\\"', '\\"const\\": \\"bad\\"', "The body matches the schema"),
    ],
    ids=["status", "headers", "schema"],
)
def test_a_wrong_expectation_fails(
    right: str, wrong: str, failed: str, base_url: str, tmp_path: Path
) -> None:
    text = COLLECTION.read_text(encoding="utf-8")
    assert right in text
    broken = tmp_path / "broken.json"
    broken.write_text(text.replace(right, wrong), encoding="utf-8")

    status, run = newman(broken, base_url, tmp_path / "report.json", "--folder", "health")

    assert status == 1
    assert any(failed in failure for failure in failures(run))
