"""tests/support/documented.py: every response in a test is compared with the OpenAPI document."""

import json

import pytest
from flask import Response

from app import create_app
from kit.web.problems import MEDIA_TYPE
from tests.support.documented import refuse_undocumented
from tests.support.settings import NEVER_OPENED, settings_for


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (409, "last_admin", "Add LastAdmin to raises= of app.blueprint.account.read."),
        (401, "token_reused", "Add TokenReused to raises= of app.blueprint.account.read."),
        (202, "", "Add the status to also= of app.blueprint.account.read."),
    ],
)
def test_an_undocumented_response_fails_with_the_remedy(status: int, code: str, remedy: str) -> None:
    app = create_app(settings_for(NEVER_OPENED))

    with app.test_request_context("/account"), pytest.raises(AssertionError) as failure:
        refuse_undocumented(response(status, code))

    assert str(failure.value).endswith(remedy)


@pytest.mark.parametrize(("status", "code"), [(200, ""), (401, "token_expired"), (404, "not_found")])
def test_a_documented_response_passes(status: int, code: str) -> None:
    app = create_app(settings_for(NEVER_OPENED))
    documented = response(status, code)

    with app.test_request_context("/account"):
        assert refuse_undocumented(documented) is documented


def response(status: int, code: str) -> Response:
    return Response(
        json.dumps({"code": code}), status, content_type=MEDIA_TYPE if code else "application/json"
    )
