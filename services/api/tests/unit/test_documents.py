"""What is written twice says the same."""

import re
from pathlib import Path

import pytest

from app import exceptions
from app.blueprint.handlers import PROBLEMS, Problem
from app.config import VERSION
from app.exceptions import DomainError, UserNotFound

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
    assert [problem.code for problem in PROBLEMS if fact in problem.facts]


def test_every_promise_names_tests_that_exist() -> None:
    promises = re.findall(r"^\| (P\d\d) \|.*\| (.*) \|$", (REPOSITORY / "docs/promises.md").read_text(), re.M)
    tests = " ".join(file.read_text() for file in (REPOSITORY / "services/api/tests").rglob("*.py"))
    held_by = {number: re.findall("`([^`]+)`", names) for number, names in promises}

    assert list(held_by) == [f"P{number:02}" for number in range(1, 66)]
    for number, names in held_by.items():
        assert names, number
        for name in names:
            exists = (REPOSITORY / name).is_file() if "/" in name else f"def {name}(" in tests
            assert exists, f"{number}: {name}"


@pytest.mark.parametrize(
    "document", [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")], ids=lambda path: str(path.name)
)
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text())

    for link in links:
        assert re.match("https?:", link) or (document.parent / link).exists(), f"{document.name}: {link}"
