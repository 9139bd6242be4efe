"""Requests that nobody thought of, made from the document by schemathesis: each answer must be as documented.

The seed is fixed, so that a run is like the one before. `make fuzz` takes longer, with a new seed each time.
"""

import os
from collections.abc import Iterator
from itertools import count
from typing import Any

import hypothesis
import pytest
import schemathesis
from flask import Flask
from schemathesis.config import SchemathesisConfig

from app import create_app
from app.model.passwords import PasswordHash
from tests.conftest import settings_for
from tests.integration.conftest import People, bearer

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "8"))
# A schema cannot say that a password is too easy to guess, or that a cursor is not one of ours.
TAKES_MORE_THAN_A_SCHEMA_SAYS = ["auth_register", "account_change", "account_replace", "auth_list_tokens"]
CONFIG = SchemathesisConfig.from_dict(
    {
        "operations": [
            {
                "include-operation-id": name,
                "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", "4xx"]}},
            }
            for name in TAKES_MORE_THAN_A_SCHEMA_SAYS
        ]
    }
)
pytestmark = pytest.mark.any_database
names = (f"fuzz-{number}" for number in count())


class Stage:
    """The app that is asked: the document's own while pytest collects, then the one with a database."""

    app = create_app(settings_for("postgresql+psycopg2://nobody@127.0.0.1:1/never_opened_test"))

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.app(environ, start_response)


stage = Stage()
schema = schemathesis.openapi.from_wsgi("/openapi.json", stage, config=CONFIG)


@pytest.fixture
def fuzzed_people(committed_app: Flask, password_hash: PasswordHash) -> Iterator[People]:
    stage.app = committed_app
    committed_app.config["PROPAGATE_EXCEPTIONS"] = False  # a defect is to be answered, and found
    yield People(committed_app, password_hash)
    committed_app.config["PROPAGATE_EXCEPTIONS"] = None


@schema.parametrize()
@hypothesis.settings(
    max_examples=EXAMPLES,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_every_answer_is_as_documented(case: Any, fuzzed_people: People) -> None:
    caller = fuzzed_people(next(names))
    needs = {scheme for need in case.operation.definition.raw["security"] for scheme in need}
    tokens = {"access_token": caller.access, "refresh_token": caller.refresh}

    case.call_and_validate(headers=bearer(tokens[needs.pop()]) if needs else None)
