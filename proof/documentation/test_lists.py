"""The lists and examples in README.md and docs/ that repeat code match the code, and the links work."""

import io
import json
import logging
import re
import subprocess
from itertools import chain, dropwhile
from pathlib import Path

import click
import pytest
from flask_migrate.cli import db

from app import create_app
from app.blueprint import BLUEPRINTS
from kit.security import common_passwords
from kit.security.events import all_events
from kit.serving import logs
from kit.web import openapi
from proof.documentation.blocks import blocks
from proof.documentation.links import broken_links, internal_links
from tests.support.settings import NEVER_OPENED, settings_for
from tools import settings_table
from tools.scaffold.kinds import KINDS
from tools.scaffold.tree import Tree

REPOSITORY = Path(__file__).parents[2]
TEMPLATE = REPOSITORY / "docs/templates/README.md"
README = REPOSITORY / "README.md"
OPTIONAL = ("mail", "keys", "cookies", "second_factor")  # folders of app that the layout shows in one line
PAGES = sorted({*REPOSITORY.glob("docs/**/*.md")} - {TEMPLATE})
DOCUMENTATION = "\n".join(file.read_text() for file in (README, *PAGES))
MAKEFILE = (REPOSITORY / "Makefile").read_text()
PROOF_MAKEFILE = (REPOSITORY / "proof/Makefile").read_text()


def page(name: str) -> str:
    return (REPOSITORY / "docs" / name).read_text()


def table_rows(text: str, header: str) -> list[list[str]]:
    """Return the cells of the table that starts with a header row."""
    [table] = re.findall(rf"^{re.escape(header)}\n\|[-|: ]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table.splitlines()]


def test_every_promise_names_tests_that_exist() -> None:
    promises = re.findall(r"^\| (P\d\d) \|.*\| (.*) \|$", (REPOSITORY / "docs/promises.md").read_text(), re.M)
    folders = (REPOSITORY / "services/api/tests", REPOSITORY / "proof")
    tests = " ".join(file.read_text() for folder in folders for file in folder.rglob("*.py"))
    held_by = {number: re.findall("`([^`]+)`", names) for number, names in promises}

    assert list(held_by) == [f"P{number:02}" for number in range(1, 92)]
    for number, names in held_by.items():
        assert names, number
        for name in names:
            exists = (REPOSITORY / name).is_file() if "/" in name else f"def {name}(" in tests
            assert exists, f"{number}: {name}"


def test_the_promises_are_counted() -> None:
    promises = re.findall(r"^\| (P\d\d) \|", DOCUMENTATION, re.MULTILINE)

    assert re.findall(r"makes (\d+) promises", DOCUMENTATION) == [str(len(promises))]


def test_the_table_of_settings_is_current() -> None:
    example = (REPOSITORY / ".env.example").read_text()

    assert f"\n{settings_table.render(example)}\n" in page("4-reference/settings.md")


def test_the_documentation_lists_every_security_event() -> None:
    rows = table_rows(page("4-reference/logging.md"), "| event | logged when |")

    tree = Tree(REPOSITORY / "services/api")
    generated = {event for name in tree.made() for event in tree.record(name).resource.events}
    events = set(all_events(create_app(settings_for(NEVER_OPENED))))
    assert sorted(event.strip("`") for event, _ in rows) == sorted(events - generated)


def test_the_documentation_lists_every_metric() -> None:
    rows = table_rows(page("4-reference/metrics.md"), "| metric | type | labels | meaning |")
    listed = {(name.strip("`"), kind) for name, kind, *_ in rows}

    app = create_app(settings_for(NEVER_OPENED, metrics_enabled="true", worker="thread"))
    metrics = {
        (family.name + ("_total" if family.type == "counter" else ""), family.type)
        for family in app.extensions["metrics"].registry.collect()
    }
    assert listed == metrics


def test_the_documentation_lists_every_type_of_the_scaffolder() -> None:
    [types] = re.findall(r"^\| types \| (.*) \|$", page("2-build/resources.md"), re.MULTILINE)

    assert {re.sub(r"\(.*", "", each) for each in re.findall("`([^`]+)`", types)} == set(KINDS)


def test_the_example_of_an_error_is_a_response() -> None:
    [example] = [json.loads(each.text) for each in blocks("docs/4-reference/api-rules.md", REPOSITORY)]
    client = create_app(settings_for(NEVER_OPENED)).test_client()

    account = {"username": "ann", "password": "correct horse battery staple", "role": "admin"}
    response = client.post("/auth/register", json=account)

    assert response.get_json() | {"request_id": example["request_id"]} == example


def test_the_example_of_a_log_line_has_the_fields_of_one() -> None:
    example = json.loads(blocks("docs/4-reference/logging.md", REPOSITORY)[0].text)
    app, stream = create_app(settings_for(NEVER_OPENED)), io.StringIO()
    handler = logs.make_handler("json", stream)
    logging.getLogger("app.request").addHandler(handler)
    try:
        app.test_client().get("/")
    finally:
        logging.getLogger("app.request").removeHandler(handler)

    assert [*json.loads(stream.getvalue()), "user_id"] == [*example]


def test_the_common_passwords_are_counted() -> None:
    passwords = [
        *dropwhile(lambda line: line.startswith("# "), common_passwords.LIST.read_text().splitlines())
    ]

    assert re.findall(r"([\d,]+) most common\s+passwords", DOCUMENTATION) == [f"{len(passwords):,}"]


def test_the_documentation_lists_every_operation() -> None:
    table = page("4-reference/api-rules.md").partition("| request | purpose |")[2].partition("\n\n")[0]
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


def part_of_the_layout(folder: str) -> str:
    """Return the lines about a folder of services/api."""
    [lines] = re.findall(rf"^services/api/{folder}/ .*\n((?:  .*\n)*)", page("2-build.md"), re.MULTILINE)
    return str(lines)


def test_the_layout_shows_every_module_of_the_app() -> None:
    names = set(re.findall(r"[\w*.]+\.py", part_of_the_layout("app")))
    app = REPOSITORY / "services/api/app"
    modules = {file for file in app.rglob("*.py") if file.name != "__init__.py" or file.parent == app}

    matched = {name: {file for file in modules if file.match(name)} for name in names}
    assert [name for name, files in matched.items() if not files] == []
    explained_as_one = {*(blueprint.import_name for blueprint in BLUEPRINTS)}
    rest = {file for file in modules - set(chain(*matched.values())) if file.parent.name not in OPTIONAL}
    assert [file for file in rest if f"app.blueprint.{file.stem}" not in explained_as_one] == []


def test_the_layout_shows_every_package_of_the_kit() -> None:
    shown = set(re.findall(r"^  (\w+)/ ", part_of_the_layout("kit"), re.MULTILINE))

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
    added = page("2-build/commands-and-streams.md")  # by its examples
    text = DOCUMENTATION.replace(added, "")
    for group, name in re.findall(r"flask (user|token|config|db) ([a-z][a-z-]+)", text):
        command = commands[group]
        assert isinstance(command, click.Group)
        assert name in command.commands, f"flask {group} {name}"


def test_the_readme_fits_on_two_screens() -> None:
    assert len(README.read_text().splitlines()) <= 130


def test_the_readme_leads_to_every_page() -> None:
    linked = {(REPOSITORY / link.partition("#")[0]).resolve() for link in internal_links(README)}

    assert [file.name for file in PAGES if file not in linked] == []


def test_no_page_links_to_the_readme_which_a_renamed_project_replaces() -> None:
    pages = [file for file in PAGES if any(link.startswith("../README.md") for link in internal_links(file))]

    assert pages == []


@pytest.mark.parametrize(
    "document",
    [*REPOSITORY.glob("*.md"), *PAGES, *REPOSITORY.glob("proof/*.md")],
    ids=lambda path: str(path.relative_to(REPOSITORY)),
)
def test_every_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    assert broken_links(document) == []


def test_the_links_of_the_template_work_in_the_root() -> None:
    assert broken_links(TEMPLATE, REPOSITORY) == ["docs/skeleton.md"]  # which scripts/rename writes


def test_every_page_that_the_code_mentions_exists() -> None:
    listed = [
        "git",
        "grep",
        "-hoE",
        r"docs/[0-9a-z][0-9a-z/-]*\.md",
        "--",
        ":!docs",
        ":!*.md",
        ":!proof",
        ":!*/tests/*",
    ]
    named = set(subprocess.check_output(listed, cwd=REPOSITORY, text=True).split()) - {"docs/skeleton.md"}

    assert [name for name in sorted(named) if not (REPOSITORY / name).exists()] == []
    assert len(named) > 5
