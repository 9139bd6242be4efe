"""Each operation has a short summary: a verb and a noun, such as "List your tokens"."""

import re

import pytest

from tests.support.documented import documented_paths

SUMMARIES = [
    (f"{method.upper()} {path}", operation["summary"])
    for path, item in documented_paths().items()
    for method, operation in item.items()
]


@pytest.mark.parametrize(("operation", "summary"), SUMMARIES, ids=[operation for operation, _ in SUMMARIES])
def test_a_summary_is_a_verb_and_a_noun_in_at_most_six_words(operation: str, summary: str) -> None:
    first = summary.partition(" ")[0]
    is_short = re.fullmatch(r"[A-Z][a-z]+( [\w'-]+){1,5}", summary)
    is_imperative = first not in ("The", "A", "An", "This") and not first.endswith(("ing", "ed", "ts", "ns"))

    advice = f'{operation}, "{summary}": begin the docstring with a verb and a noun, in two to six words.'
    assert is_short, advice
    assert is_imperative, advice
