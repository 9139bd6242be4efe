"""Where hand-written code uses a resource."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tools.scaffold.resource import ScaffoldError
from tools.scaffold.tree import Record, Tree


def uses(tree: Tree, record: Record) -> list[str]:
    """Return each place in app/ and tests/ that would fail without the resource."""
    resource = record.resource
    texts = tree.without(record).texts
    own = set(tree.paths(resource))
    found = []
    for file in sorted(each for folder in ("app", "tests") for each in (tree.api / folder).rglob("*.py")):
        path = file.relative_to(tree.api).as_posix()
        if path not in own:
            text = texts.get(path) or tree.read(path)
            found += [f"{path}:{line}: {what}" for line, what in _uses_in(text, path, own, resource.plural)]
    return found


def _uses_in(text: str, path: str, own: set[str], table: str) -> Iterator[tuple[int, str]]:
    modules = {each.removesuffix(".py").replace("/", ".") for each in own}
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise ScaffoldError(
            f"services/api/{path}, line {error.lineno}: the syntax is invalid. Fix it."
        ) from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name in sorted(modules & set(_imported(node, path))):
                yield node.lineno, f"imports {name}"
        elif isinstance(node, ast.Constant) and node.value == f"{table}.id":
            yield node.lineno, f"refers to {table}.id"


def _imported(node: ast.Import | ast.ImportFrom, path: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names)
        return
    package = Path(path).parts[: -node.level] if node.level else ()
    module = ".".join([*package, *([node.module] if node.module else [])])
    yield module
    yield from (f"{module}.{name.name}" for name in node.names)
