"""Generated requests against the running stack. See tests/support/fuzzing.py."""

from typing import Any

import httpx
import hypothesis
import schemathesis

from tests.support import fuzzing
from tests.support.credentials import PASSWORD
from tests.support.examples import FEWEST, examples


def test_every_response_matches_the_document(base_url: str, http: httpx.Client, username: str) -> None:
    credentials = {"username": username, "password": PASSWORD}
    schema: Any = schemathesis.openapi.from_url(f"{base_url}/openapi.json", config=fuzzing.CONFIG)
    operations = [result.ok() for result in schema.get_all_operations()]

    assert len(operations) > 10
    for operation in operations:
        http.post("/auth/register", json=credentials)  # a generated request may have deleted it
        ask(operation, http.post("/auth/login", json=credentials).json())


def ask(operation: Any, tokens: dict[str, Any]) -> None:
    """Send many requests for one operation and validate the responses."""

    @examples(FEWEST)
    @hypothesis.given(case=operation.as_strategy())
    def ask_once(case: Any) -> None:
        case.call_and_validate(headers=fuzzing.authorization(operation, tokens))

    ask_once()
