"""Every error has a problem, and every problem has a unique code and texts."""

import pytest

from app import exceptions
from app.blueprint import handlers
from kit import errors
from kit.errors import DomainError
from kit.web import errors as web_errors
from kit.web.problems import KIT_PROBLEMS, ProblemType
from tests.support.problems import FEATURES, problems_of

PROBLEMS = (*KIT_PROBLEMS, *handlers.PROBLEMS, *problems_of(FEATURES))


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: str(problem.code))
def test_every_problem_has_a_title_a_meaning_and_advice(problem: ProblemType) -> None:
    for words in (problem.title, problem.meaning, problem.advice):
        assert words[0].isupper()
    assert problem.meaning.endswith(".")


def test_problem_codes_and_titles_are_unique() -> None:
    codes = [problem.code for problem in PROBLEMS]
    of_all = [error for problem in PROBLEMS for error in problem.errors]

    assert len(codes) == len(set(codes))
    assert len(of_all) == len(set(of_all))


ALL_ERRORS = [
    each
    for module in (errors, web_errors, exceptions)
    for each in vars(module).values()
    if isinstance(each, type) and issubclass(each, DomainError)
]
ONLY_COMMANDS = {
    DomainError,
    exceptions.UserNotFound,
    exceptions.MailNotConfigured,
    exceptions.AccountDisabled,
}


@pytest.mark.parametrize(
    "error", sorted(set(ALL_ERRORS) - ONLY_COMMANDS, key=str), ids=lambda each: each.__name__
)
def test_every_error_is_answered_as_a_problem(error: type[DomainError]) -> None:
    assert any(issubclass(error, problem.errors) for problem in PROBLEMS), (
        f"Add a line for {error.__name__} to PROBLEMS in app/blueprint/handlers.py"
    )
