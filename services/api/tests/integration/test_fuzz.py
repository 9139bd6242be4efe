"""Requests that nobody thought of, inside the process; see tests/fuzzing.py."""

from collections.abc import Iterator
from itertools import count
from typing import Any
from unittest.mock import patch

import pytest
import schemathesis
from flask import Flask

from app import create_app
from app.model.models import Role
from app.model.passwords import Passwords
from tests import fuzzing
from tests.conftest import NEVER_OPENED, settings_for
from tests.examples import FEWEST, examples
from tests.integration.conftest import PASSWORD, People

pytest_plugins = ["schemathesis.pytest.plugin"]
pytestmark = pytest.mark.any_database
names = (f"fuzz-{number}" for number in count())


class Stage:
    """The app that is asked: the document's own while pytest collects, then the one with a database."""

    app = create_app(settings_for(NEVER_OPENED))

    def __call__(self, environ: Any, start_response: Any) -> Any:
        return self.app(environ, start_response)


stage = Stage()
schema = schemathesis.openapi.from_wsgi("/openapi.json", stage, config=fuzzing.CONFIG)


@pytest.fixture
def fuzzed_people(committed_app: Flask, cheap_passwords: Passwords) -> Iterator[People]:
    stage.app = committed_app
    committed_app.config["PROPAGATE_EXCEPTIONS"] = False  # a defect is to be answered, and found
    with patch.dict(committed_app.extensions, passwords=cheap_passwords):
        yield People(committed_app, cheap_passwords.hash(PASSWORD))
    committed_app.config["PROPAGATE_EXCEPTIONS"] = None


@schema.parametrize()
@examples(FEWEST)
def test_every_answer_is_as_documented(case: Any, fuzzed_people: People) -> None:
    caller = fuzzed_people(next(names), Role.ADMIN if fuzzing.is_for_admins(case.operation) else Role.USER)
    tokens = {"access_token": caller.access, "refresh_token": caller.refresh}

    case.call_and_validate(headers=fuzzing.authorization(case.operation, tokens))
