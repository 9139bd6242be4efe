"""A typed Python client that openapi-python-client generates from the OpenAPI document."""

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.credentials import PASSWORD

DOCUMENT = Path(__file__).parents[2] / "postman" / "openapi.json"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Generate the client package without warnings, and import it."""
    (tmp_path / "config.yaml").write_text("post_hooks: []\n")
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"]
    options = ["--path", str(DOCUMENT), "--config", "config.yaml", "--output-path", "api_client"]

    result = subprocess.run(
        [*command, *options, "--fail-on-warning"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert "warning" not in (result.stdout + result.stderr).lower()
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module("api_client")


def test_a_generated_client_registers_logs_in_and_reads_the_account(
    client: ModuleType, base_url: str, username: str
) -> None:
    def operation(name: str) -> Any:
        return importlib.import_module(f"api_client.api.{name}")

    models: Any = importlib.import_module("api_client.models")
    credentials = {"username": username, "password": PASSWORD}

    with client.Client(base_url=base_url) as anonymous:
        registered = operation("auth.auth_register").sync(
            client=anonymous, body=models.NewAccount(**credentials)
        )
        pair = operation("auth.auth_login").sync(client=anonymous, body=models.Login(**credentials))
    with client.AuthenticatedClient(base_url=base_url, token=pair.access_token) as known:
        account = operation("account.account_read").sync(client=known)
    with client.AuthenticatedClient(base_url=base_url, token="x") as unknown:
        refused = operation("account.account_read").sync(client=unknown)

    assert isinstance(account, models.Account)
    assert account == registered
    assert account.username == username
    assert isinstance(refused, models.Problem)
    assert refused.code == "invalid_token"
