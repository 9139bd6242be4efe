"""Requests that nobody thought of: made from the document by schemathesis, or from a property by hypothesis.

The seed is fixed, so that a run is like the one before. `make fuzz` takes longer, with a new seed each time.
"""

import os
from typing import Any

import hypothesis
from schemathesis.config import SchemathesisConfig

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "5"))
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


def examples(ordinary: int) -> hypothesis.settings:
    """Return the settings of a test: so many examples in an ordinary run, FUZZ_EXAMPLES in a longer one."""
    return hypothesis.settings(
        max_examples=max(ordinary, EXAMPLES),
        derandomize="FUZZ_EXAMPLES" not in os.environ,
        deadline=None,
        database=None,  # what failed is told, not kept in a file
        suppress_health_check=list(hypothesis.HealthCheck),
    )


SETTINGS = examples(EXAMPLES)
hypothesis.settings.register_profile("tests", SETTINGS)
hypothesis.settings.load_profile("tests")


def authorization(operation: Any, tokens: dict[str, Any]) -> dict[str, str]:
    """Return the header with the token that the operation needs, if it needs one."""
    needed = [scheme for need in operation.definition.raw["security"] for scheme in need]
    return {"Authorization": f"Bearer {tokens[needed[0]]}"} if needed else {}
