"""How many examples a test of many makes up, by hypothesis or schemathesis.

The seed is fixed, so that a run is like the one before. `make -C proof fuzz` has a new seed each time.
"""

import os

import hypothesis

FEWEST = int(os.environ.get("FUZZ_EXAMPLES", "5"))


def examples(ordinary: int) -> hypothesis.settings:
    """Return the settings of a test: so many examples in an ordinary run, FUZZ_EXAMPLES in a longer one."""
    return hypothesis.settings(
        max_examples=max(ordinary, FEWEST),
        derandomize="FUZZ_EXAMPLES" not in os.environ,
        deadline=None,
        database=None,  # what failed is told, not kept in a file
        suppress_health_check=list(hypothesis.HealthCheck),
    )


hypothesis.settings.register_profile("tests", examples(FEWEST))
hypothesis.settings.load_profile("tests")
