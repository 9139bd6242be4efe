"""Load the fixtures from tests/support, and run the long tests first."""

import pytest

pytest.register_assert_rewrite(
    "tests.support.documented", "tests.support.problems", "tests.support.statements"
)
pytest_plugins = ["tests.support.databases", "tests.support.fixtures"]


@pytest.hookimpl(trylast=True)  # pytest itself sorts by session fixtures
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long tests, so that no worker is left with one at the end.

    The end-to-end tests come next: their stack starts while the long ones run.
    """

    def place(item: pytest.Item) -> int:
        if item.nodeid.startswith("tests/e2e/"):
            return 1
        return 0 if item.get_closest_marker("long") else 2

    items.sort(key=place)
