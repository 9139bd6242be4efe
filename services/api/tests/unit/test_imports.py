"""What imports what: inward only, the domain without Flask, and no more than serving needs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import NEVER_OPENED, SECRET_KEY

APP = Path(__file__).parents[2] / "app"
# From the outside in. A module may import its own layer and those behind it.
LAYERS = [
    {"app"},
    {"app.commands", "app.logs", "app.metrics"},
    {"app.server", "app.worker"},
    {"app.blueprint"},
    {"app.authentication", "app.limits"},
    {"app.migrations", "app.drift", "app.migration_text"},
    {"app.database", "app.jwt_profile"},
    {
        "app.config",
        "app.deployment_check",
        "app.forwarded",
        "app.lifecycle",
        "app.request_id",
        "app.security_events",
    },
    {"app.model"},
    {
        "app.clock",
        "app.exceptions",
        "app.healthcheck",
        "app.plain_flask",
        "app.secret_key",
        "app.sqlite_file",
        "app.streaming",
        "app.strict_json",
        "app.uuids",
    },
]
MODULES = sorted(APP.rglob("*.py"))
# Each takes a tenth of what the whole app takes to load, or is a tool of development.
NOT_TO_SERVE = {
    "alembic",
    "flask_migrate",
    "gunicorn",
    "prometheus_client",
    "pydantic_settings",
    "pytest",
    "tools.scaffold.commands",
}


def name_of(file: Path) -> str:
    parts = file.relative_to(APP.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def layer_of(module: str) -> int:
    """Return how far inside a module is; a package's modules are in its layer."""
    name = module
    while module:
        for depth, layer in enumerate(LAYERS):
            if module in layer and (module != "app" or depth == 0):
                return depth
        module = module.rpartition(".")[0]
        if module == "app":
            break
    raise AssertionError(f"{name} is in no layer. Add it to LAYERS in tests/unit/test_imports.py.")


def imports_of(tree: ast.Module) -> set[str]:
    """Return what a module imports: `from app import config` counts as app.config."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            module = str(node.module)
            is_package = module == "app" or (APP.parent / Path(*module.split("."))).is_dir()
            found |= {f"{module}.{alias.name}" if is_package else module for alias in node.names}
    return found


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_imports_point_inward(file: Path) -> None:
    own = layer_of(name_of(file))

    outward = {
        module
        for module in imports_of(ast.parse(file.read_text()))
        if module.startswith("app.") and layer_of(module) < own
    }

    assert not outward, (
        f"{name_of(file)} imports a layer further out (LAYERS in this file): {sorted(outward)}"
    )


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_no_import_hides_inside_a_function(file: Path) -> None:
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
    assert not hidden, f"{file.relative_to(APP.parent)}: move the imports of these lines to the top: {hidden}"


@pytest.mark.parametrize(
    "file", [f for f in MODULES if f.parent.name == "model" or f.name == "exceptions.py"], ids=name_of
)
def test_the_domain_knows_no_flask_and_commits_nothing(file: Path) -> None:
    source = file.read_text()

    assert not [name for name in imports_of(ast.parse(source)) if "flask" in name or "werkzeug" in name]
    assert ".commit()" not in source
    assert ".rollback()" not in source


def test_a_start_loads_nothing_that_serving_does_not_need() -> None:
    code = "import sys, flask.cli, app; app.create_app(); print(*sys.modules)"

    loaded = subprocess.run(
        [sys.executable, "-c", code],
        cwd=APP.parent,
        env={"DATABASE_URL": NEVER_OPENED, "SECRET_KEY": SECRET_KEY},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.split()

    assert "app.server" in loaded
    unneeded = NOT_TO_SERVE & set(loaded)
    assert not unneeded, f"create_app() loads what serving doesn't need: {sorted(unneeded)}"
