"""What each error means: the pages that the `type` of a problem leads to."""

from flask import Blueprint
from werkzeug.exceptions import NotFound

from app.blueprint.endpoint import endpoint
from app.blueprint.handlers import PROBLEMS, Problem
from app.blueprint.schemas import ProblemType, ProblemTypeList

blueprint = Blueprint("problems", __name__, url_prefix="/problems")


@blueprint.get("")
@endpoint(returns=ProblemTypeList, uses_database=False)
def list_problems() -> ProblemTypeList:
    """List every error that this API answers, with what it means."""
    return ProblemTypeList(items=[_page(problem) for problem in PROBLEMS])


@blueprint.get("/<name>")
@endpoint(returns=ProblemType, raises=[NotFound], uses_database=False)
def show(name: str) -> ProblemType:
    """Tell what an error means and what a client can do about it. The name is its code with hyphens."""
    for problem in PROBLEMS:
        if problem.type == f"/problems/{name}":
            return _page(problem)
    raise NotFound


def _page(problem: Problem) -> ProblemType:
    return ProblemType(
        type=problem.type,
        code=problem.code,
        status=problem.status,
        title=problem.title,
        meaning=problem.meaning,
        advice=problem.advice,
    )
