"""What is written twice says the same."""

import re
from pathlib import Path

import pytest

from app import exceptions
from app.blueprint.handlers import PROBLEMS, Problem
from app.config import VERSION, Settings
from app.exceptions import DomainError, UserNotFound
from tests.conftest import NEVER_OPENED, SECRET_KEY

REPOSITORY = Path(__file__).parents[4]


def test_the_version_is_the_newest_of_the_changelog() -> None:
    headings = re.findall(r"^## (\S+)", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert headings[0] == VERSION


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: str(problem.code))
def test_every_problem_has_its_words(problem: Problem) -> None:
    for words in (problem.title, problem.meaning, problem.advice):
        assert words[0].isupper()
    assert problem.meaning.endswith(".")


def test_every_problem_is_one_of_its_own() -> None:
    codes = [problem.code for problem in PROBLEMS]
    facts = [fact for problem in PROBLEMS for fact in problem.facts]

    assert len(codes) == len(set(codes))
    assert len(facts) == len(set(facts))


ALL_FACTS = [
    each for each in vars(exceptions).values() if isinstance(each, type) and issubclass(each, DomainError)
]
ONLY_COMMANDS = {DomainError, UserNotFound}


@pytest.mark.parametrize(
    "fact", [fact for fact in ALL_FACTS if fact not in ONLY_COMMANDS], ids=lambda fact: str(fact.__name__)
)
def test_every_fact_of_the_domain_is_answered_as_a_problem(fact: type[DomainError]) -> None:
    answered = [problem.code for problem in PROBLEMS if issubclass(fact, problem.facts)]
    assert answered, f"Add a row for {fact.__name__} to PROBLEMS in app/blueprint/handlers.py"


def test_the_example_has_the_defaults_of_the_settings() -> None:
    example = (REPOSITORY / ".env.example").read_text()
    suggestions = "take the # from these four:"
    example = re.sub(f"{suggestions}.*?\n\n", "", example, count=1, flags=re.DOTALL)
    shown = dict(re.findall(r"^#([A-Z_]+)=(.+)$", example, re.MULTILINE))
    required = {"DATABASE_URL": NEVER_OPENED, "SECRET_KEY": SECRET_KEY}
    defaults = Settings.model_validate(required)

    own = {name: value for name, value in shown.items() if name.lower() in Settings.model_fields}
    assert Settings.model_validate(required | own) == defaults
    assert len(own) > 20
