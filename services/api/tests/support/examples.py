"""The number of examples that hypothesis and schemathesis generate.

The seed is fixed, so that runs are reproducible. `make -C proof fuzz` uses a new seed each time.
"""

import os

import hypothesis

FEWEST = int(os.environ.get("FUZZ_EXAMPLES", "5"))


def examples(ordinary: int) -> hypothesis.settings:
    """Return settings with this number of examples, or FUZZ_EXAMPLES if that is more."""
    return hypothesis.settings(
        max_examples=max(ordinary, FEWEST),
        derandomize="FUZZ_EXAMPLES" not in os.environ,
        deadline=None,
        database=None,  # failures are printed, not stored
        suppress_health_check=list(hypothesis.HealthCheck),
    )


hypothesis.settings.register_profile("tests", examples(FEWEST))
hypothesis.settings.load_profile("tests")
