"""The lists in README.md and docs/ that repeat code say what the code says."""

import re
from itertools import chain
from pathlib import Path

import click
import pytest
from flask_migrate.cli import db

from app import create_app
from app.blueprint import BLUEPRINTS
from kit.security.events import all_events
from kit.serving.metrics import Metrics
from kit.web import openapi
from tests.support.settings import NEVER_OPENED, settings_for
from tools.scaffold.kinds import KINDS

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text()
DOCUMENTATION = "\n".join(
    [README, *(file.read_text() for file in sorted((REPOSITORY / "docs").glob("*.md")))]
)
MAKEFILE = (REPOSITORY / "Makefile").read_text()
PROOF_MAKEFILE = (REPOSITORY / "proof/Makefile").read_text()


def test_every_promise_names_tests_that_exist() -> None:
    promises = re.findall(r"^\| (P\d\d) \|.*\| (.*) \|$", (REPOSITORY / "docs/promises.md").read_text(), re.M)
    folders = (REPOSITORY / "services/api/tests", REPOSITORY / "proof")
    tests = " ".join(file.read_text() for folder in folders for file in folder.rglob("*.py"))
    held_by = {number: re.findall("`([^`]+)`", names) for number, names in promises}

    assert list(held_by) == [f"P{number:02}" for number in range(1, 66)]
    for number, names in held_by.items():
        assert names, number
        for name in names:
            exists = (REPOSITORY / name).is_file() if "/" in name else f"def {name}(" in tests
            assert exists, f"{number}: {name}"


def code_after(start: str, end: str) -> set[str]:
    """Return what the documentation writes as code between two texts."""
    [found] = re.findall(f"{re.escape(start)}(.*?){re.escape(end)}", DOCUMENTATION, re.DOTALL)
    return set(re.findall("`([^`]+)`", found))


def test_the_documentation_counts_the_promises_right() -> None:
    promises = re.findall(r"^\| (P\d\d) \|", DOCUMENTATION, re.MULTILINE)

    assert re.findall(r"lists (\d+) promises", DOCUMENTATION) == [str(len(promises))]


def test_the_documentation_lists_every_security_event() -> None:
    events = all_events(create_app(settings_for(NEVER_OPENED)))

    assert code_after("(`app.security`:", ")") == set(events)


def test_the_documentation_lists_every_metric() -> None:
    app = create_app(settings_for(NEVER_OPENED))
    names = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in Metrics(app).registry.collect()
    }

    assert code_after("`GET /metrics` for Prometheus:", "With several") == names


def test_the_documentation_lists_every_type_of_the_scaffolder() -> None:
    listed = {re.sub(r"\(.*", "", each) for each in code_after("| types |", "|\n")}

    assert listed == set(KINDS)


def test_the_documentation_lists_every_operation() -> None:
    table = README.partition("| request | answer |")[2].partition("\n\n")[0]
    listed = set()
    methods: list[str] = []
    for method, path in re.findall(r"`([A-Z]+)(?: (/[^`]*))?`", table):  # `GET`, `PATCH /account`
        methods.append(method)
        if path:
            listed |= {(each, re.sub("<.*?>", "{}", path)) for each in methods}
            methods = []

    document = openapi.build(create_app(settings_for(NEVER_OPENED)))
    operations = {
        (method.upper(), re.sub("{.*?}", "{}", path))
        for path, item in document["paths"].items()
        for method in item
    }
    assert listed - {("GET", "/docs")} == operations - {("GET", "/")}


def part_of_the_map(folder: str) -> str:
    """Return the lines of the map about a folder of services/api."""
    [lines] = re.findall(rf"^services/api/{folder}/ .*\n((?:  .*\n)*)", README, re.MULTILINE)
    return str(lines)


def test_the_map_shows_every_module_of_the_app() -> None:
    names = set(re.findall(r"[\w*.]+\.py", part_of_the_map("app")))
    app = REPOSITORY / "services/api/app"
    modules = {file for file in app.rglob("*.py") if file.name != "__init__.py" or file.parent == app}

    matched = {name: {file for file in modules if file.match(name)} for name in names}
    assert [name for name, files in matched.items() if not files] == []
    explained_as_one = {*(blueprint.import_name for blueprint in BLUEPRINTS)}
    rest = modules - set(chain(*matched.values()))
    assert [file for file in rest if f"app.blueprint.{file.stem}" not in explained_as_one] == []


def test_the_map_shows_every_package_of_the_kit() -> None:
    shown = set(re.findall(r"^  (\w+)/ ", part_of_the_map("kit"), re.MULTILINE))

    assert shown == {file.parent.name for file in (REPOSITORY / "services/api/kit").glob("*/__init__.py")}


def targets(makefile: str) -> set[str]:
    return set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE)) - {"help"}


def test_every_make_command_of_the_documentation_exists() -> None:
    named = set(re.findall(r"(?:^|`|\w+=\S+\s|&& )make\s([a-z][a-z-]*)", DOCUMENTATION, re.MULTILINE))
    proofs = set(re.findall(r"make\s-C\s+proof\s([a-z-]+)", DOCUMENTATION))

    assert named - targets(MAKEFILE) == set()
    assert proofs - targets(PROOF_MAKEFILE) == set()
    assert len(named) > 14


@pytest.mark.parametrize("makefile", [MAKEFILE, PROOF_MAKEFILE], ids=["root", "proof"])
def test_make_lists_every_command(makefile: str) -> None:
    explained = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    phony = set(re.sub(r"\\\n", "", makefile).partition(".PHONY:")[2].partition("\n")[0].split())

    assert targets(makefile) == explained == phony - {"help"}


def test_the_readme_of_proof_explains_every_target() -> None:
    readme = (REPOSITORY / "proof/README.md").read_text()

    assert set(re.findall(r"^\| `([a-z-]+)` \|", readme, re.MULTILINE)) == targets(PROOF_MAKEFILE)


def test_every_flask_command_of_the_documentation_exists() -> None:
    commands = {**create_app(settings_for(NEVER_OPENED)).cli.commands, "db": db}
    for group, name in re.findall(r"flask (user|token|config|db) ([a-z][a-z-]+)", README):
        command = commands[group]
        assert isinstance(command, click.Group)
        assert name in command.commands, f"flask {group} {name}"


@pytest.mark.parametrize(
    "document",
    [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md"), *REPOSITORY.glob("proof/*.md")],
    ids=lambda path: str(path.relative_to(REPOSITORY)),
)
def test_every_link_to_a_file_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text())

    for link in links:
        assert re.match("https?:", link) or (document.parent / link).exists(), f"{document.name}: {link}"
