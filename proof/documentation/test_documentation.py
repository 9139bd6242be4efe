"""Each code block of README.md and docs/ works as written. The tests run in order, as a reader would type."""

import re
import subprocess

import pytest

from proof.documentation.blocks import Block, blocks
from proof.documentation.conftest import REPOSITORY, Project

DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]
README = {(each.heading, each.number): each for each in BLOCKS if each.document == "README.md"}
CHANGES = [each for each in BLOCKS if each.document == "changes.md"]
FIRST = README["flask-api", 1]

# Blocks that a test here doesn't run, and what runs the same commands.
ELSEWHERE = {
    ("README.md", "The map", 1): "a listing, which test_lists.py compares with the code",
    ("README.md", "One server", 1): "proof/scripts/deploy-rehearsal",
    ("README.md", "Many servers", 1): "proof/scripts/swarm-drill",
    ("README.md", "PgBouncer", 1): "proof/scripts/pgbouncer-rehearsal",
    ("README.md", "PgBouncer", 2): "proof/scripts/pgbouncer-rehearsal",
    ("README.md", "Heroku", 1): "proof/scripts/heroku-rehearsal",
    ("README.md", "Heroku", 2): "proof/scripts/heroku-rehearsal",
    ("README.md", "Development in containers", 1): ".ci/run all",
    ("README.md", "A name of your own", 1): "tests/scripts/test_rename.py, but for the fresh Git history",
}


class Typed:
    """The blocks that a test has run, so that the last test finds those that none has."""

    def __init__(self) -> None:
        self.blocks: set[tuple[str, str, int]] = set(ELSEWHERE)

    def __call__(self, block: Block) -> Block:
        self.blocks.add((block.document, block.heading, block.number))
        return block


@pytest.fixture(scope="session")
def typed() -> Typed:
    return Typed()


@pytest.mark.parametrize(
    "block", [each for each in BLOCKS if each.language == "sh"], ids=lambda each: each.place
)
def test_commands_are_ones_that_exist(block: Block) -> None:
    """What runs elsewhere in another form still names real targets, scripts, services and settings."""
    checked = subprocess.run(["bash", "-n"], input=block.text, text=True, capture_output=True, check=False)
    makefile, example = (REPOSITORY / "Makefile").read_text(), (REPOSITORY / ".env.example").read_text()
    code = re.sub(r"(^|\s)#.*", "", block.text)

    assert checked.returncode == 0, checked.stderr
    for target in re.findall(r"(?:^|&& |[A-Z_]+=\S+ )make ([a-z-]+)", code, re.MULTILINE):
        assert f"\n{target}:" in makefile, target
    for script in re.findall(r"(?:^|\s)(scripts/[\w-]+)", code):
        assert (REPOSITORY / script).exists(), script
    for setting in re.findall(r"echo ([A-Z_]+)=", code):
        assert f"\n#{setting}=" in example or setting.startswith("COMPOSE_"), setting


def test_the_endpoint_of_your_own(project: Project, typed: Typed) -> None:
    for block in BLOCKS:
        if block.heading == "An endpoint of your own":
            typed(block).apply(project.folder)


STREAM_AND_COPY = '''"""What README.md shows under "Streams and COPY"."""

from flask import Flask

from app.database import db
from app.model.models import Role
from tests.support.people import People
from tests.support.problems import problem


def test_the_stream_has_all_names(people: People) -> None:
    people("bob")

    assert people("root", Role.ADMIN).get("/names").text == "bob\\nroot\\n"
    assert problem(people.log_in("bob").get("/names")) == (403, "forbidden")


def test_the_command_copies(committed_app: Flask) -> None:
    People(committed_app, "x").register("bob")  # type: ignore[arg-type]

    result = committed_app.test_cli_runner().invoke(args=["user", "export"])

    with committed_app.app_context():
        is_postgresql = db.engine.dialect.name == "postgresql"
    assert (result.stdout == "bob,user\\n") is is_postgresql
    assert ("needs PostgreSQL" in str(result.exception)) is not is_postgresql
'''


def test_streams_and_copy(project: Project, typed: Typed) -> None:
    api = project.folder / "services/api"
    for number in (1, 2):
        typed(README["Streams and COPY", number]).apply(project.folder)

    blueprints = api / "app/blueprint/__init__.py"
    text = blueprints.read_text().replace("    users,\n", "    names,\n    users,\n")
    blueprints.write_text(text.replace("    problem_pages.bl", "    names.blueprint,\n    problem_pages.bl"))
    with (api / "tests/authorization.md").open("a") as table:
        table.write("| GET /names | 401 | 403 | 403 | 200 | 401 | 401 | 401 | 401 |\n")
    (api / "tests/integration/test_names.py").write_text(STREAM_AND_COPY)


def test_the_resource_of_your_own(project: Project, typed: Typed) -> None:
    printed = project.type(typed(README["A resource of your own", 1]).text)

    assert "test_book.py" in printed


@pytest.mark.parametrize("heading", list(dict.fromkeys(each.heading for each in CHANGES)))
def test_the_common_changes(project: Project, typed: Typed, heading: str) -> None:
    for block in (each for each in CHANGES if each.heading == heading):
        typed(block)
        if block.language == "sh":
            project.type(block.text)
        else:
            block.apply(project.folder)


def test_the_code_in_the_documentation_keeps_the_rules(project: Project) -> None:
    for check in ("ruff check", "ruff format --check", "mypy"):
        project.type(f"cd services/api && ../../.venv/bin/{check}")


def test_the_suite_passes_with_all_of_it(project: Project) -> None:
    project.type(FIRST.text.splitlines()[1], REQUIRE_DOCKER="1")


def test_the_stack_comes_up_with_all_of_it(project: Project, typed: Typed) -> None:
    project.type(typed(FIRST).text.splitlines()[0])
    project.type(typed(README["Migrations", 1]).text)


def test_a_session_with_curl(project: Project, typed: Typed) -> None:
    session = typed(README["A session with curl", 1]).text
    assert session.count("api=http://localhost:5000\n") == 1

    printed = project.type(session.replace("http://localhost:5000", project.api))

    assert '"username":"ann"' in printed
    assert printed.rstrip().endswith("}")
    assert '"code":"token_revoked"' in printed.splitlines()[-1]


def test_the_first_admin(project: Project, typed: Typed) -> None:
    create, list_ = typed(README["The first admin", 1]).text.splitlines()

    asked = project.type_at_a_terminal(create, "a password that is long enough\n" * 2)
    listed = project.type(list_)

    assert "Repeat for confirmation" in asked
    assert "root\tadmin" in listed


def test_the_settings_are_checked(project: Project, typed: Typed) -> None:
    checked = project.type(typed(README["Settings", 1]).text)

    assert "No setting is weak." in checked


def test_a_backup_is_made_and_restored(project: Project, typed: Typed) -> None:
    backup, restore = typed(README["Backups", 1]).text.splitlines()
    project.type(backup)
    [written] = (project.folder / "backups").iterdir()

    assert re.fullmatch(rf"{project.name}-\d{{8}}T\d{{6}}Z\.dump", written.name)  # as in the example
    restored, replaced = re.subn(r"backups/flask-api-\d{8}T\d{6}Z\.dump", f"backups/{written.name}", restore)
    assert replaced == 1
    project.type(f"REPLACE=1 {restored}")
    assert "root\tadmin" in project.type("docker compose exec -T api flask user list")


def test_postgresql_is_replaced_by_another_major_version(project: Project, typed: Typed) -> None:
    """With the same version again: the image of another one isn't on every machine."""
    block = typed(README["A new major version of PostgreSQL", 1]).text
    assert "postgres:18-trixie" in block

    project.type(block.replace("postgres:18", "postgres:17").replace("flask-api_", f"{project.name}_"))

    assert "root\tadmin" in project.type("docker compose exec -T api flask user list")


def test_the_image_alone(project: Project, typed: Typed) -> None:
    block = typed(README["The image alone", 1]).text
    project.type("docker compose down --timeout 0")
    own = block.replace("127.0.0.1:5000", f"127.0.0.1:{project.port}").replace("flask-api", project.name)
    remove = f"docker rm --force --volumes {project.name}-alone; docker volume rm {project.name}-sqlite"
    try:
        project.type(own)
        ready = f"curl -fsS --retry 30 --retry-all-errors --retry-delay 1 {project.api}/health/ready"
        assert '"migrations":"ok"' in project.type(ready)
    finally:
        project.type(remove)


def test_every_block_is_typed_here_or_runs_elsewhere(typed: Typed) -> None:
    untyped = [
        each.place for each in BLOCKS if (each.document, each.heading, each.number) not in typed.blocks
    ]

    assert untyped == [], "Run each in a test of this file, or say in ELSEWHERE what runs its commands"
