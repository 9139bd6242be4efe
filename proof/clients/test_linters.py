"""Common linters have no findings in the OpenAPI document."""

import subprocess
from pathlib import Path

import httpx
import pytest

DOCUMENT = Path(__file__).parents[2] / "postman" / "openapi.json"
# OpenAPI 3.1 allows the names of roles and scopes for every security scheme, but this rule only for OAuth 2.
RULESET = 'extends: ["spectral:oas"]\nrules: {oas3-operation-security-defined: off}\n'


@pytest.fixture(params=["committed", "with mail"])
def document(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "committed":
        return DOCUMENT
    file = tmp_path / "openapi.json"
    file.write_bytes(httpx.get(f"{request.getfixturevalue('mail_url')}/openapi.json", timeout=60).content)
    return file


@pytest.mark.parametrize(
    "command",
    [
        ["redocly", "lint", "--max-problems", "1000"],
        ["spectral", "lint", "--fail-severity", "hint", "--ruleset", "spectral.yaml"],
    ],
    ids=lambda command: str(command[0]),
)
def test_the_document_has_no_warning(command: list[str], document: Path, tmp_path: Path) -> None:
    (tmp_path / "spectral.yaml").write_text(RULESET)

    result = subprocess.run(
        [*command, str(document)], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100
    )

    output = result.stdout + result.stderr
    assert result.returncode == 0, output
    assert "Warning was generated" not in output, output
