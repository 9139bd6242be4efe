"""The list of mutations fits the code. `make -C proof mutations` runs them, which takes minutes."""

import pytest

from proof.mutations.mutations import MUTATIONS, Mutation
from tests.support.paths import API


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
def test_a_mutation_changes_one_place(mutation: Mutation) -> None:
    assert (API / mutation.file).read_text(encoding="utf-8").count(mutation.old) == 1
