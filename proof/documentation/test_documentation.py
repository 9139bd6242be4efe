"""The code blocks of README.md and docs/ work as written. The tests run in order, as a reader would work."""

import re
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from proof.documentation.blocks import Block, blocks
from proof.documentation.conftest import REPOSITORY, Project, free_port
from proof.documentation.links import broken_links

DOCUMENTS = [
    "README.md",
    *(str(file.relative_to(REPOSITORY)) for file in sorted(REPOSITORY.glob("docs/**/*.md"))),
]
BLOCKS = [block for document in DOCUMENTS for block in blocks(document, REPOSITORY)]
START = "docs/1-start.md"
BUILD = "docs/2-build.md"
COMMANDS = "docs/2-build/commands-and-streams.md"
FRONT_ENDS = "docs/2-build/browser-front-ends.md"
MAIL = "docs/2-build/mail.md"
KEYS = "docs/2-build/api-keys.md"
FILES = "docs/2-build/files.md"
CLIENTS = "docs/2-build/clients.md"
RESOURCES = "docs/2-build/resources.md"
CHANGES = ("docs/2-build/columns.md", "docs/2-build/resource-changes.md", "docs/2-build/common-changes.md")
ONE_SERVER = "docs/3-run/one-server.md"
# part: heroku
HEROKU = "docs/3-run/heroku.md"
# end of part
BACKUPS = "docs/3-run/backups.md"
ROLES = "docs/3-run/database-roles.md"
PGBOUNCER = "docs/3-run/pgbouncer.md"
TROUBLESHOOTING = "docs/5-troubleshooting.md"

# The blocks that no test here runs, and the reason, or what runs them.
ELSEWHERE = {
    ("docs/templates/README.md", "Run it", 1): "the commands of README.md, for a project with its own name",
    ("docs/templates/README.md", "Test it", 1): "the commands of README.md, for a project with its own name",
    (START, "Develop", 1): "they don't end; .ci/run runs make dev",
    (BUILD, "Project layout", 1): "a listing, which test_lists.py compares with the code",
    (FILES, "Add a file to a resource", 1): ".ci/run generates a resource with a file",
    (RESOURCES, "Delete rows softly", 1): "the tests of a resource with --soft-delete restore and purge rows",
    (RESOURCES, "Change rows of a list", 1): "test_rows_of_a_list_are_changed_behind_their_locks",
    (KEYS, "After a leak", 1): "test_operators_list_and_delete_keys",
    (KEYS, "Find leaked keys", 1): "tests/kit/security/test_api_keys.py",
    (FRONT_ENDS, "Turn it on", 1): "needs a front end; proof/clients/test_browser_front_ends.py",
    (FRONT_ENDS, "Log in, refresh and log out", 1): "proof/clients/test_browser_front_ends.py",
    (MAIL, "Set up a mail server", 1): "needs a mail server; tests/unit/test_config.py reads these forms",
    (MAIL, "Set up a mail server", 2): "needs a mail server; test_commands.py runs these commands",
    (TROUBLESHOOTING, "No mail arrives", 1): "needs a job that waits; tests/kit/jobs runs these commands",
    (MAIL, "During development", 1): "a line of the log; test_a_file_is_announced_with_its_link",
    (MAIL, "Add a message", 1): "test_the_documented_message_is_sent",
    (MAIL, "Add a message", 2): "test_the_documented_message_is_sent",
    (ONE_SERVER, "Deploy", 1): "proof/scripts/deploy-rehearsal",
    (ONE_SERVER, "Update", 1): "proof/scripts/deploy-rehearsal",
    (ONE_SERVER, "Roll back", 1): "proof/scripts/deploy-rehearsal",
    # part: swarm
    ("docs/3-run/many-servers.md", "Deploy", 1): "proof/scripts/swarm-drill",
    ("docs/3-run/many-servers.md", "Deploy", 2): "proof/scripts/swarm-drill",
    # end of part
    (ROLES, "With another database", 1): "proof/scripts/swarm-drill",
    (ROLES, "Restrict a table further", 1): "test_a_table_declares_what_the_api_may_do",
    (
        "docs/4-reference/audit.md",
        "Record your own events",
        1,
    ): "test_changes_are_recorded of scaffolded resources",
    ("docs/2-build/jobs.md", "Write a job", 1): "proof/tests/test_celery.py",
    ("docs/2-build/jobs.md", "Hand over to Celery", 1): "proof/tests/test_celery.py",
    ("docs/2-build/jobs.md", "Hand over to Celery", 2): "proof/tests/test_celery.py",
    ("docs/2-build/jobs.md", "Hand over to Celery", 3): "proof/tests/test_celery.py",
    (CLIENTS, "TypeScript", 1): "needs Node.js; proof/clients/test_typescript_client.py",
    (CLIENTS, "TypeScript", 2): "proof/clients/test_typescript_client.py has these calls",
    (CLIENTS, "Python", 1): "proof/clients/test_generated_client.py",
    (CLIENTS, "Python", 2): "proof/clients/test_generated_client.py has these calls",
    (
        RESOURCES,
        "Fill the development database",
        1,
    ): "tests/tools/test_seed.py and tests/scripts/test_clients.py",
    (BUILD, "Migrate without stopping traffic", 2): "tests/tools/test_lint_migrations.py",
    (BUILD, "Migrate without stopping traffic", 1): "test_an_index_is_created_outside_of_a_transaction",
    # part: heroku
    (
        HEROKU,
        "Deploy from the command line",
        1,
    ): "proof/scripts/heroku-rehearsal; the heroku commands need an account",
    (
        HEROKU,
        "Push an image instead",
        1,
    ): "proof/scripts/heroku-rehearsal; the heroku commands need an account",
    (HEROKU, "Scale", 1): "needs an account",
    (HEROKU, "Jobs", 1): "needs an account; proof/scripts/heroku-rehearsal runs both kinds of workers",
    # end of part
    # part: swarm
    ("docs/3-run/many-servers.md", "Deploy", 3): "needs a mail server; tests/scripts/test_stack_deploy.py",
    # end of part
    ("docs/4-reference/logging.md", "Jobs", 1): "a line of the log; tests/kit/jobs",
    ("docs/2-build/template.md", "Leave parts out", 1): "proof/scripts/without",
    ("docs/2-build/template.md", "Take later versions", 1): "proof/tests/test_update.py",
    (PGBOUNCER, "Use a pooler", 1): "proof/scripts/pgbouncer-rehearsal",
    (PGBOUNCER, "Use a pooler", 2): "proof/scripts/pgbouncer-rehearsal",
    ("docs/4-reference/security.md", "Containers", 1): "needs a registry and an account",
    ("docs/4-reference/security.md", "Containers", 2): "needs a registry",
    (
        TROUBLESHOOTING,
        'The proxy restarts with "unrecognized timeouts option"',
        1,
    ): "needs a registry; proof/scripts/deploy-rehearsal builds the proxy",
    ("docs/4-reference/api-rules.md", "Errors", 1): "a response, which test_lists.py compares with the API's",
    (
        "docs/4-reference/logging.md",
        "Requests",
        1,
    ): "a line of the log, which test_lists.py compares with the API's",
    (
        "docs/4-reference/metrics.md",
        "Scrape them",
        1,
    ): "the configuration of Prometheus, which isn't installed here",
    (TROUBLESHOOTING, "Troubleshooting", 1): ".ci/run, because make doctor also checks the machine",
}


class Typed:
    """The blocks that a test has run, so that the last test finds the others."""

    def __init__(self) -> None:
        self.places: set[tuple[str, str, int]] = set(ELSEWHERE)

    def __call__(self, document: str, heading: str, number: int = 1) -> str:
        """Return the text of a block that the test runs."""
        return self.block(find(document, heading, number)).text

    def block(self, block: Block) -> Block:
        self.places.add((block.document, block.heading, block.number))
        return block


def find(document: str, heading: str, number: int = 1) -> Block:
    [found] = [
        each for each in BLOCKS if (each.document, each.heading, each.number) == (document, heading, number)
    ]
    return found


def replace_once(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in:\n{text}"
    return text.replace(old, new)


@pytest.fixture(scope="session")
def typed() -> Typed:
    return Typed()


@pytest.fixture(scope="session")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder into which the README's first command clones the last commit."""
    return tmp_path_factory.mktemp("clone") / "flask-api"


@pytest.mark.parametrize(
    "block", [each for each in BLOCKS if each.language in ("sh", "cron")], ids=lambda each: each.place
)
def test_commands_are_ones_that_exist(block: Block) -> None:
    """Blocks that run elsewhere in another form still name real targets, scripts and settings."""
    if block.language == "sh":
        checked = subprocess.run(
            ["bash", "-n"], input=block.text, text=True, capture_output=True, check=False
        )
        assert checked.returncode == 0, checked.stderr
    makefile, example = (REPOSITORY / "Makefile").read_text(), (REPOSITORY / ".env.example").read_text()
    code = re.sub(r"(^|\s)#.*", "", block.text)

    for target in re.findall(r"(?:^|&& |[A-Z_]+=\S+ )make ([a-z-]+)", code, re.MULTILINE):
        assert f"\n{target}:" in makefile, target
    for script in re.findall(r"(?:^|\s)(scripts/[\w-]+)", code):
        assert (REPOSITORY / script).exists(), script
    for setting in re.findall(r"echo ([A-Z_]+)=", code):
        assert f"\n#{setting}=" in example or setting.startswith("COMPOSE_"), setting


def test_the_readme_clones_the_project(project: Project, typed: Typed, clone: Path) -> None:
    command = typed("README.md", "Quick start").splitlines()[0]
    [url] = re.findall(r"https://\S+", command)

    # Git reads the repository from this machine instead.
    instead = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{REPOSITORY}.insteadOf",
        "GIT_CONFIG_VALUE_0": url,
    }
    project.type(f"{command} && test -f compose.yaml", folder=clone.parent, **instead)


def test_windows_line_endings_are_replaced(project: Project, typed: Typed, clone: Path) -> None:
    project.type(typed(TROUBLESHOOTING, "bash\\r: not found on Windows"), folder=clone)

    assert project.type("git status --porcelain", folder=clone) == ""


def test_the_project_is_renamed_and_its_links_still_work(project: Project, typed: Typed, clone: Path) -> None:
    (clone / ".venv").symlink_to(REPOSITORY / ".venv")
    (clone / ".git/info/exclude").write_text("/.venv\n")

    project.type(typed("README.md", "Rename the project"), folder=clone)

    assert (clone / "README.md").read_text().startswith("# book-shop\n")
    documents = [clone / "README.md", *clone.glob("docs/**/*.md")]
    assert {str(each): broken for each in documents if (broken := broken_links(each))} == {}
    assert project.type("git remote get-url origin", folder=clone).strip() == "URL-OF-YOUR-REPOSITORY"


def test_the_history_starts_afresh(project: Project, typed: Typed, clone: Path) -> None:
    project.type(typed(START, "Rename the project"), folder=clone)

    assert project.type("git log --format=%s", folder=clone) == "Start book-shop\n"


def test_an_endpoint_is_added(project: Project, typed: Typed) -> None:
    for block in BLOCKS:
        if (block.document, block.heading) == (BUILD, "Add an endpoint"):
            typed.block(block).apply(project.folder)


def test_a_command_is_added(project: Project, typed: Typed) -> None:
    for block in BLOCKS:
        if (block.document, block.heading) == (COMMANDS, "Add a command"):
            typed.block(block).apply(project.folder)


STREAM_AND_COPY = '''"""The examples of docs/2-build/commands-and-streams.md."""

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

    result = committed_app.test_cli_runner().invoke(args=["user", "csv"])

    with committed_app.app_context():
        is_postgresql = db.engine.dialect.name == "postgresql"
    assert (result.stdout == "bob,user\\n") is is_postgresql
    assert ("needs PostgreSQL" in str(result.exception)) is not is_postgresql
'''


def test_a_response_is_streamed_and_rows_are_copied(project: Project, typed: Typed) -> None:
    api = project.folder / "services/api"
    for heading in ("Stream a response", "Export rows with COPY"):
        typed.block(find(COMMANDS, heading)).apply(project.folder)

    blueprints = api / "app/blueprint/__init__.py"
    text = blueprints.read_text().replace("    users,\n", "    names,\n    users,\n")
    blueprints.write_text(text.replace("    problem_pages.bl", "    names.blueprint,\n    problem_pages.bl"))
    with (api / "tests/authorization.md").open("a") as table:
        table.write("| GET /names | 401 | 403 | 403 | 200 | 401 | 401 | 401 | 401 | 200 | 403 |\n")
    (api / "tests/integration/test_names.py").write_text(STREAM_AND_COPY)


def test_a_resource_is_added_and_removed(project: Project, typed: Typed) -> None:
    book = project.folder / "services/api/app/model/book.py"
    add = typed(RESOURCES, "Add a resource")

    assert "test_book.py" in project.type(add)
    project.type(typed(RESOURCES, "Change or remove a resource"))
    assert not book.exists()

    project.type(add)
    assert book.exists()


@pytest.mark.parametrize(
    ("document", "heading"),
    list(dict.fromkeys((each.document, each.heading) for each in BLOCKS if each.document in CHANGES)),
    ids=lambda each: each.rpartition("/")[2],
)
def test_a_change_is_applied(project: Project, typed: Typed, document: str, heading: str) -> None:
    for block in (each for each in BLOCKS if (each.document, each.heading) == (document, heading)):
        typed.block(block)
        if block.language == "sh":
            project.type(block.text)
        else:
            block.apply(project.folder)


def test_the_documents_of_the_changed_project_are_current(project: Project) -> None:
    project.type("scripts/docs --check")

    assert "| `GREETING` | `Hello` |" in (project.folder / "docs/4-reference/settings.md").read_text()


def test_the_code_in_the_documentation_keeps_the_rules(project: Project) -> None:
    for check in ("ruff check", "ruff format --check", "mypy"):
        project.type(f"cd services/api && ../../.venv/bin/{check}")


def test_the_suite_passes_with_all_of_it(project: Project, typed: Typed) -> None:
    # `make test` runs the other tests, which don't depend on the code of the documentation.
    dependent = "make test t='tests/integration tests/unit tests/e2e -m \"not sqlite and not long\"'"
    test = typed("README.md", "Quick start").splitlines()[2]
    project.type(replace_once(test, "make test", dependent))


def test_the_stack_comes_up_with_all_of_it(project: Project, typed: Typed) -> None:
    up_and_down = typed(START, "Start and stop the stack")
    project.type(replace_once(up_and_down, "--follow ", "--tail 1 "))  # which would not end

    project.type(typed("README.md", "Quick start").splitlines()[1])
    project.type(typed(BUILD, "Add a migration"))


def test_a_session_with_curl(project: Project, typed: Typed) -> None:
    session = replace_once(
        typed("README.md", "A session with curl"), "api=http://localhost:5000\n", f"api={project.api}\n"
    )

    printed = project.type(session)

    assert '"username":"ann"' in printed
    assert printed.rstrip().endswith("}")
    assert '"code":"token_revoked"' in printed.splitlines()[-1]


def test_an_api_key_with_curl(project: Project, typed: Typed) -> None:
    commands = typed(KEYS, "Create and use a key")

    printed = project.type(replace_once(commands, "api=http://localhost:5000\n", f"api={project.api}\n"))

    assert printed.count('"username":"keys-of-ann"') == 2
    assert '"code":"insufficient_scope"' in printed


def test_the_first_admin_is_created(project: Project, typed: Typed) -> None:
    create, list_ = typed(START, "Create the first admin").splitlines()

    asked = project.type_at_a_terminal(create, "a password that is long enough\n" * 2)
    listed = project.type(list_)

    assert "Repeat for confirmation" in asked
    assert "root\tadmin" in listed


def test_a_setting_is_changed(project: Project, typed: Typed) -> None:
    project.type(typed(START, "Change a setting"))

    assert "\nACCESS_TOKEN_SECONDS=300\n" in project.type("docker compose exec -T api env")


def test_two_clones_have_their_own_stacks(project: Project, typed: Typed) -> None:
    *settings, up = typed(START, "Run two clones on one machine").splitlines()
    env = project.folder / ".env"
    before = env.read_text()

    project.type("\n".join(settings))
    config = project.type("env -u COMPOSE_PROJECT_NAME -u API_PORT docker compose config")
    env.write_text(before)

    assert up == "docker compose up --wait"
    assert config.startswith("name: other\n")
    assert 'published: "5001"' in config


def test_the_settings_are_checked(project: Project, typed: Typed) -> None:
    checked = project.type(typed("docs/4-reference/security.md", "Check a deployment"))

    assert "No setting is weak." in checked


def test_metrics_are_served(project: Project, typed: Typed) -> None:
    project.type(typed("docs/4-reference/metrics.md", "Turn them on"))

    assert "http_requests_total{" in project.type(
        f"curl -fsS {project.api}/metrics && curl -fsS {project.api}/metrics"
    )


def test_the_limits_are_switched_off(project: Project, typed: Typed) -> None:
    project.type(typed(TROUBLESHOOTING, "429 too_many_attempts during development"))

    environment = project.type("docker compose exec -T api env")
    login = [f"LOGIN_LIMIT_{each}" for each in ("PAIR", "CLIENT", "ACCOUNT", "SUCCESS")]
    for limit in (*login, "REGISTER_LIMIT"):
        assert f"\n{limit}=off\n" in environment


def test_the_port_is_changed(project: Project, typed: Typed) -> None:
    port = free_port()
    command = typed(TROUBLESHOOTING, "Port 5000 is in use")

    project.type(replace_once(command, "API_PORT=5001", f"API_PORT={port}"))

    project.type(f"curl -fsS http://localhost:{port}/health/ready")
    project.type("docker compose up --wait")


def test_a_backup_is_made_and_restored(project: Project, typed: Typed) -> None:
    backup, restore = typed(BACKUPS, "Back up and restore").splitlines()
    project.type(backup)
    [written] = (project.folder / "backups").iterdir()

    assert re.fullmatch(rf"{project.name}-\d{{8}}T\d{{6}}Z\.dump", written.name)  # as in the example
    restored, replaced = re.subn(r"backups/flask-api-\d{8}T\d{6}Z\.dump", f"backups/{written.name}", restore)
    assert replaced == 1
    project.type(f"REPLACE=1 {restored}")
    assert "root\tadmin" in project.type("docker compose exec -T api flask user list")


SCHEDULE = "Schedule backups, and copy them off the server"


def test_scheduled_backups_are_copied_to_another_folder(
    project: Project, typed: Typed, tmp_path: Path
) -> None:
    """With cp in place of rsync, which isn't on every machine."""
    [job] = re.findall(r"^30 2 \* \* \* (.*)$", typed(BACKUPS, SCHEDULE), re.MULTILINE)
    (tmp_path / "api").mkdir()
    (tmp_path / "rsync").write_text('#!/bin/sh\n[ "$1" = --archive ] && cp -R "$2". "$3"\n')
    (tmp_path / "rsync").chmod(0o755)

    local = replace_once(
        replace_once(job, "/home/deploy/api", str(project.folder)),
        "backup@backup.example.com:",
        f"{tmp_path}/",
    )
    printed = project.type(f"PATH={tmp_path}:$PATH; {local}")

    assert printed == ""
    assert {each.name for each in (tmp_path / "api").iterdir()} == {
        each.name for each in (project.folder / "backups").iterdir()
    }


def test_a_backup_is_encrypted(project: Project, typed: Typed) -> None:
    command = typed(BACKUPS, SCHEDULE, 2)
    if shutil.which("gpg") is None:
        pytest.skip("gpg isn't installed")
    backup = next((project.folder / "backups").glob("*.dump"))
    encrypt, replaced = re.subn(r"backups/flask-api-\d{8}T\d{6}Z\.dump", f"backups/{backup.name}", command)
    assert replaced == 1
    with TemporaryDirectory() as home:  # a short path, because gpg-agent's socket is in it
        make_key = "gpg --quiet --batch --passphrase '' --quick-generate-key backup@example.com"
        project.type(f"{make_key}\n{encrypt}\ngpgconf --kill all", GNUPGHOME=home)

    encrypted = backup.with_name(f"{backup.name}.gpg")
    assert encrypted.exists()
    encrypted.unlink()


def test_the_database_passwords_are_replaced(project: Project, typed: Typed) -> None:
    read = "docker compose exec -T db cat /secrets/owner/password /secrets/database/api-password"
    before = project.type(read)

    project.type(typed(ROLES, "With Compose").replace("exec db", "exec -T db"))

    ready = f"curl -fsS --retry 30 --retry-all-errors --retry-delay 1 {project.api}/health/ready"
    assert '"migrations":"ok"' in project.type(ready)
    assert project.type(read) != before
    project.type("docker compose up --wait")  # migrates as the owner


def test_postgresql_is_replaced_by_another_major_version(project: Project, typed: Typed) -> None:
    """With the same version again, because the image of another one isn't on every machine."""
    block = typed("docs/3-run/postgresql-major.md", "Upgrade")
    assert "postgres:18-trixie" in block

    project.type(block.replace("postgres:18", "postgres:17").replace("flask-api_", f"{project.name}_"))

    assert "root\tadmin" in project.type("docker compose exec -T api flask user list")


def test_the_image_runs_without_a_database_server(project: Project, typed: Typed) -> None:
    block = typed(ONE_SERVER, "Try the image without a database server")
    project.type("docker compose down --timeout 0")
    own = block.replace("127.0.0.1:5000", f"127.0.0.1:{project.port}").replace("flask-api", project.name)
    remove = f"docker rm --force --volumes {project.name}-alone; docker volume rm {project.name}-sqlite"
    try:
        project.type(own)
        ready = f"curl -fsS --retry 30 --retry-all-errors --retry-delay 1 {project.api}/health/ready"
        assert '"migrations":"ok"' in project.type(ready)
    finally:
        project.type(remove)


def test_everything_is_deleted(project: Project, typed: Typed) -> None:
    project.type(typed(TROUBLESHOOTING, "Start from scratch"))

    assert project.type(f"docker volume ls --quiet --filter name={project.name}_") == ""


def test_every_block_is_typed_here_or_runs_elsewhere(typed: Typed) -> None:
    places = {(each.document, each.heading, each.number): each.place for each in BLOCKS}

    untyped = [place for key, place in places.items() if key not in typed.places]
    assert untyped == [], (
        "Run each in a test of this file, or say in ELSEWHERE why not or what runs its commands"
    )
    assert set(ELSEWHERE) - set(places) == set()
