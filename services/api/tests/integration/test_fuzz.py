"""Generated requests, in this process. See tests/support/fuzzing.py."""

from collections.abc import Iterator
from itertools import count
from typing import Any
from unittest.mock import patch

import pytest
import schemathesis
from flask import Flask
from schemathesis.checks import load_all_checks
from schemathesis.core.result import Ok
from schemathesis.pytest.lazy import get_all_tests

from app.model.passwords import Passwords
from tests.support import fuzzing
from tests.support.credentials import PASSWORD
from tests.support.documented import documented_paths
from tests.support.examples import FEWEST, examples
from tests.support.people import People

pytestmark = [pytest.mark.any_database, pytest.mark.long]
OPERATIONS = [
    f"{method.upper()} {path}"
    for path, methods in documented_paths().items()
    for method in methods
    if path != "/openapi.json"  # schemathesis skips the path of the document itself
]
names = (f"fuzz-{number}" for number in count())


@pytest.fixture(scope="session")
def schema(migrated_app: Flask) -> Any:
    load_all_checks()
    return schemathesis.openapi.from_wsgi("/openapi.json", migrated_app, config=fuzzing.CONFIG)


@pytest.fixture
def fuzzed_people(committed_app: Flask, cheap_passwords: Passwords) -> Iterator[People]:
    committed_app.config["PROPAGATE_EXCEPTIONS"] = False  # report bugs as 500 responses
    with patch.dict(committed_app.extensions, passwords=cheap_passwords):
        yield People(committed_app, cheap_passwords.hash(PASSWORD))
    committed_app.config["PROPAGATE_EXCEPTIONS"] = None


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_response_matches_the_document(operation: str, schema: Any, fuzzed_people: People) -> None:
    # Not with schema.parametrize(): that generates the requests while pytest collects, in every worker.
    only = schema.exclude(lambda context: context.operation.label != operation)
    [result] = get_all_tests(schema=only, test_func=ask, settings=None, given_kwargs=None)
    assert isinstance(result, Ok)
    _, ask_often = result.ok()
    ask_often(people=fuzzed_people)


@examples(FEWEST)
def ask(case: Any, people: People) -> None:
    caller = people(next(names), fuzzing.role_for(case.operation))
    tokens = {"access_token": caller.access, "refresh_token": caller.refresh}

    case.call_and_validate(headers=fuzzing.authorization(case.operation, tokens))
