"""The layers: imports point inward, the kit doesn't know the app, and the model doesn't know Flask."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.paths import API
from tests.support.settings import NEVER_OPENED, SECRET_KEY

# From the outside in. A module may import its own layer and those below. Your own modules needn't be listed.
LAYERS = [
    ["app"],
    ["app.second_factor"],
    ["app.commands"],
    ["app.mail", "app.keys", "app.cookies"],
    ["app.blueprint"],
    ["app.jobs", "app.confirmation"],
    ["app.limits", "app.authentication"],
    ["app.account_mail", "app.account_keys", "app.account_factor", "app.token_delivery"],
    ["app.database"],
    ["app.model"],
    ["app.exceptions", "app.events", "app.config"],
    ["kit.commands", "kit.deleted_rows", "kit.jobs.commands"],
    ["kit.storage.stored_files"],
    ["kit.jobs"],
    ["kit.mail"],
    ["kit.serving"],
    ["kit.web"],
    ["kit.storage"],
    ["kit.security"],
    ["kit.data"],
    ["kit"],
]
MODULES = sorted([*(API / "app").rglob("*.py"), *(API / "kit").rglob("*.py")])
# Each adds a tenth to the start-up time, is for an optional feature, or is a development tool.
NOT_FOR_SERVING = {
    "alembic",
    "email_validator",
    "flask_migrate",
    "gunicorn",
    "kit.storage.s3",
    "nacl",
    "obstore",
    "prometheus_client",
    "pydantic_settings",
    "pytest",
    "smtplib",
    "tools.scaffold.commands",
}


def name_of(file: Path) -> str:
    parts = file.relative_to(API).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def layer_of(module: str) -> int | None:
    """Return the depth of a module's layer, or None if it isn't listed."""
    if module == "app":
        return 0
    depths = {name: depth for depth, names in enumerate(LAYERS) for name in names if name != "app"}
    while module and module not in depths:
        module = module.rpartition(".")[0]
    return depths.get(module)


def imports_of(file: Path) -> Iterator[tuple[str, str]]:
    """Yield each imported module with its line: `from app import config` is app.config."""
    source = file.read_text()
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            assert node.level == 0, f"{file}:{node.lineno}: use an absolute import"
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [each if is_module(each) else str(node.module) for each in full]
        for name in names:
            yield (
                name,
                f"{file.relative_to(API)}:{node.lineno}: {source.splitlines()[node.lineno - 1].strip()}",
            )


def is_module(name: str) -> bool:
    path = API / Path(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_imports_point_inward(file: Path) -> None:
    own = layer_of(name_of(file))

    outward = [
        line
        for module, line in imports_of(file)
        if own is not None and (layer := layer_of(module)) is not None and layer < own
    ]

    assert not outward, "These lines import a layer further out:\n" + "\n".join(outward)


def test_the_kit_imports_neither_the_app_nor_the_tools() -> None:
    lines = [
        line
        for file in (API / "kit").rglob("*.py")
        for module, line in imports_of(file)
        if module.partition(".")[0] in ("app", "tools", "tests")
    ]

    assert not lines, "\n".join(lines)


def test_the_kit_has_no_circular_imports() -> None:
    graph = {
        name_of(file): {module for module, _ in imports_of(file) if module.startswith("kit.")}
        for file in (API / "kit").rglob("*.py")
    }

    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"These modules import each other: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_no_function_contains_an_import(file: Path) -> None:
    functions = [
        node
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]

    hidden = [
        inner.lineno
        for function in functions
        for inner in ast.walk(function)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]
    assert not hidden, f"{file.relative_to(API)}: move the imports of these lines to the top: {hidden}"


@pytest.mark.parametrize(
    "file",
    [file for file in MODULES if "model" in file.parts or file.name in ("exceptions.py", "errors.py")],
    ids=name_of,
)
def test_the_model_and_the_errors_do_not_use_flask_or_commit(file: Path) -> None:
    source = file.read_text()

    is_http = file.is_relative_to(API / "kit/web")
    assert is_http or not [
        line for module, line in imports_of(file) if "flask" in module or "werkzeug" in module
    ]
    assert ".commit()" not in source
    assert ".rollback()" not in source


def test_start_up_imports_only_what_serving_needs() -> None:
    code = "import sys, flask.cli, app; app.create_app(); print(*sys.modules)"

    loaded = subprocess.run(
        [sys.executable, "-c", code],
        cwd=API,
        env={"DATABASE_URL": NEVER_OPENED, "SECRET_KEY": SECRET_KEY},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.split()

    assert "kit.serving.waitress_server" in loaded
    unneeded = NOT_FOR_SERVING & set(loaded)
    assert not unneeded, f"create_app() imports what serving doesn't need: {sorted(unneeded)}"
