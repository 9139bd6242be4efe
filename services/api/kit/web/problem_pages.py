"""Every error that this API can answer with. The `type` of a problem leads here."""

from flask import Blueprint, current_app
from werkzeug.exceptions import NotFound

from kit.web.endpoint import endpoint
from kit.web.problems import ProblemType, all_problems
from kit.web.schemas import ProblemInfo, ProblemInfoList

blueprint = Blueprint("problems", __name__, url_prefix="/problems")


@blueprint.get("")
@endpoint(returns=ProblemInfoList, uses_database=False)
def list_problems() -> ProblemInfoList:
    """List all problems."""
    return ProblemInfoList(items=[_info(problem) for problem in all_problems(current_app)])


@blueprint.get("/<name>")
@endpoint(returns=ProblemInfo, raises=[NotFound], uses_database=False)
def show(name: str) -> ProblemInfo:
    """Get a problem. Its name is the code, with underscores or hyphens."""
    for problem in all_problems(current_app):
        if name == problem.code or problem.uri == f"/problems/{name}":
            return _info(problem)
    raise NotFound


def _info(problem: ProblemType) -> ProblemInfo:
    return ProblemInfo.of(problem, type=problem.uri)
