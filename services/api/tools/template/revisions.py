"""The numbers of migrations. The template and a project number theirs independently.

In a project with added migrations, the template's new ones get the next free numbers, after the project's. A
database at the project's newest revision then runs them, and the history stays a line.
"""

import ast
import re
from pathlib import Path

from tools.template.git import Refused

VERSIONS = "services/api/migrations/versions"


def read(repository: Path) -> dict[str, str | None]:
    """Return the revision that each migration follows, in the order of their files."""
    follows: dict[str, str | None] = {}
    for file in sorted((repository / VERSIONS).glob("*.py")):
        names = _assigned(ast.parse(file.read_text(encoding="utf-8")))
        if "revision" in names:
            follows[str(names["revision"])] = names["down_revision"]
    return follows


def _assigned(module: ast.Module) -> dict[str, str | None]:
    """Return the revision and what it follows, written in any valid way. Several are joined by commas."""
    found: dict[str, str | None] = {}
    for node in module.body:
        pairs: list[tuple[ast.expr, ast.expr | None]] = []
        if isinstance(node, ast.AnnAssign):
            pairs = [(node.target, node.value)]
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
            if isinstance(node.value, ast.Tuple):
                pairs = list(zip(node.targets[0].elts, node.value.elts, strict=False))
        elif isinstance(node, ast.Assign):
            pairs = [(node.targets[0], node.value)]
        for target, value in pairs:
            if isinstance(target, ast.Name) and target.id in ("revision", "down_revision") and value:
                meant = ast.literal_eval(value)
                found[target.id] = ",".join(meant) if isinstance(meant, tuple) else meant
    return found


def plan(
    project: dict[str, str | None],
    before: dict[str, str | None],
    after: dict[str, str | None],
    kept: dict[str, str],
) -> dict[str, str]:
    """Return the project's numbers of the template's migrations, where they differ.

    `before` and `after` are the template's migrations in the two versions, `kept` the numbers given earlier.
    """
    numbers = dict(kept)
    new = _in_order({revision: down for revision, down in after.items() if revision not in before})
    own = set(project) - {numbers.get(revision, revision) for revision in before}
    if not new or not own:
        return numbers
    heads = _heads(project)
    if len(heads) > 1:
        raise Refused(
            f"Your migrations have several heads: {', '.join(heads)}. Run: scripts/flask db merge heads"
        )
    highest = max((int(each) for each in project if each.isdecimal()), default=0)
    for number, revision in enumerate(new, start=highest + 1):
        numbers[revision] = f"{number:04}"
    return {revision: number for revision, number in numbers.items() if revision != number}


def _heads(project: dict[str, str | None]) -> list[str]:
    followed = {each for down in project.values() if down for each in down.split(",")}
    return sorted(set(project) - followed)


def _in_order(new: dict[str, str | None]) -> list[str]:
    ordered: list[str] = []
    rest = dict(new)
    while rest:
        ready = [
            revision for revision, down in rest.items() if not down or not set(down.split(",")) & set(rest)
        ]
        ordered += ready or list(rest)
        rest = {revision: down for revision, down in rest.items() if revision not in ordered}
    return ordered


def renumber(template: Path, numbers: dict[str, str], project: dict[str, str | None]) -> None:
    """Give the migrations in a checkout of the template the project's numbers."""
    follows = read(template)
    new = [
        revision
        for revision in _in_order(follows)
        if revision in numbers and numbers[revision] not in project
    ]
    texts = {file.name: file.read_text(encoding="utf-8") for file in (template / VERSIONS).glob("*.py")}
    renamed = {}
    for revision, number in numbers.items():
        for name in [name for name in texts if name.endswith(f"_{revision}.py")]:
            if number in project:
                down = project[number]
            elif new.index(revision) == 0:
                down = _heads(project)[0]
            else:
                down = numbers[new[new.index(revision) - 1]]
            renamed[f"{name.removesuffix(f'_{revision}.py')}_{number}.py"] = _numbered(
                texts[name], number, down
            )
            (template / VERSIONS / name).unlink()
    for name, text in renamed.items():
        (template / VERSIONS / name).write_text(text, encoding="utf-8")


def _numbered(text: str, number: str, down: str | None) -> str:
    for pattern, line in (
        (r'^revision = ".*"$', f'revision = "{number}"'),
        (r"^down_revision = .*$", f'down_revision = "{down}"'),
        (r"^Revision ID: .*$", f"Revision ID: {number}"),
        (r"^Revises: .*$", f"Revises: {down}"),
    ):
        text = re.sub(pattern, line, text, count=1, flags=re.MULTILINE)
    return text
