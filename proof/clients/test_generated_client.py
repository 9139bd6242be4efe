"""The Python client that `make client-python` writes, run against the running stack."""

import compileall
import importlib
import os
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support.credentials import PASSWORD
from tests.support.paths import REPOSITORY


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Generate the client without warnings, compile it, and import it."""
    folder = tmp_path / "client"
    environment = os.environ | {"WITH_TOOLS": "dev"}  # this container has the tools

    result = subprocess.run(
        ["scripts/client-python", str(folder)],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert "warning" not in (result.stdout + result.stderr).lower()
    [package] = [file.parent.name for file in folder.glob("*/client.py")]
    assert compileall.compile_dir(folder / package, quiet=1)
    monkeypatch.syspath_prepend(folder)
    return importlib.import_module(package)


def test_a_generated_client_registers_logs_in_and_reads_the_account(
    client: ModuleType, base_url: str, username: str
) -> None:
    def operation(name: str) -> Any:
        return importlib.import_module(f"{client.__name__}.api.{name}")

    models: Any = importlib.import_module(f"{client.__name__}.models")
    credentials = {"username": username, "password": PASSWORD}

    with client.Client(base_url=base_url) as anonymous:
        registered = operation("auth.auth_register").sync(
            client=anonymous, body=models.NewAccount(**credentials)
        )
        pair = operation("auth.auth_login").sync(client=anonymous, body=models.Login(**credentials))
    with client.AuthenticatedClient(base_url=base_url, token=pair.access_token) as known:
        account = operation("account.account_read").sync(client=known)
        first = operation("auth.auth_list_tokens").sync(client=known, limit=1)
        second = operation("auth.auth_list_tokens").sync(client=known, limit=1, cursor=first.next_cursor)
    with client.AuthenticatedClient(base_url=base_url, token="x") as unknown:
        refused = operation("account.account_read").sync(client=unknown)

    assert isinstance(account, models.Account)
    assert account == registered
    assert account.username == username
    assert isinstance(first, models.TokenList)
    assert {first.items[0].token_type, second.items[0].token_type} == {"access", "refresh"}
    assert second.next_cursor is None
    assert isinstance(refused, models.Problem)
    assert refused.code == "invalid_token"
