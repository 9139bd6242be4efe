"""Checks of this project's stack: who started it, its port, its containers, its migrations."""

from collections.abc import Iterator

from tools.doctor.checkout import Checkout, Finding, problem

ANY_ADDRESS = ("", "0.0.0.0", "::", "[::]")  # noqa: S104 (only compared)
STATES = '{{.Service}} {{.State}} {{or .Health "none"}} {{.ExitCode}}'
LABEL = "com.docker.compose"
LABELS = ("service", "config-hash", "project.config_files")
STARTED = " ".join(f'{{{{.Label "{LABEL}.{name}"}}}}' for name in LABELS)
APPLIED = 'psql -qAtX -U "$POSTGRES_USER" "$POSTGRES_DB" -c "SELECT version_num FROM alembic_version"'
UP = "docker compose up --wait"
STOPPED = ("0", "143")  # by itself, and by SIGTERM


def folder(checkout: Checkout) -> Iterator[Finding]:
    if other := checkout.other_folder:
        name = checkout.project
        message = f"The stack {name} was started from {other}, which has the same project name."
        fix = f"put COMPOSE_PROJECT_NAME={name}-2 in this folder's .env; to run both, also API_PORT=5001"
        yield problem(f"{message} The two folders share containers, database and secrets.", fix)
        yield Finding("skipped", f"port, containers and pending migrations: the stack belongs to {other}")


def port(checkout: Checkout) -> Iterator[Finding]:
    for published in checkout.api.get("ports", [])[:1]:  # none where another Compose file removes it
        number, address = published.get("published", ""), published.get("host_ip", "")
        connection = ("127.0.0.1" if address in ANY_ADDRESS else address, number)
        if checkout.host.output("docker", "compose", "port", "api", "5000").endswith(f":{number}"):
            yield Finding("ok", f"port {number}: used by this stack")
        elif checkout.host.succeeds("bash", "-c", 'exec 3<>"/dev/tcp/$0/$1"', *connection):
            message = f"Another program uses port {number} (on macOS, AirPlay uses 5000)."
            yield problem(message, f"API_PORT={int(number) + 1} {UP}")
        else:
            yield Finding("ok", f"port {number}: free")


def containers(checkout: Checkout) -> Iterator[Finding]:
    found = [*failed_services(checkout), *changed_settings(checkout)]
    yield from found or [Finding("ok", "containers")]


def failed_services(checkout: Checkout) -> Iterator[Finding]:
    states = checkout.host.output("docker", "compose", "ps", "--all", "--format", STATES)
    rows = [line.split() for line in states.splitlines()]
    if is_without_worker(checkout, rows):
        yield problem("The API runs without a worker, so jobs wait.", UP)
    for service, state, health, status in rows:
        if (state, health) == ("running", "unhealthy"):
            yield problem(f"{service} runs, but isn't healthy.", f"look at docker compose logs {service}")
        elif state == "restarting":
            yield problem(f"{service} exits and restarts again and again.", advice(checkout, service))
        elif state == "exited" and status not in STOPPED:
            yield problem(f"{service} exited with status {status}.", advice(checkout, service))


def is_without_worker(checkout: Checkout, rows: list[list[str]]) -> bool:
    """Return whether the worker was stopped or never started. Failed ones are reported like any service."""
    if not checkout.has_worker or ["api", "running"] not in [row[:2] for row in rows]:
        return False
    return not [row for row in rows if row[0] == "worker" and (row[1] != "exited" or row[3] not in STOPPED)]


def advice(checkout: Checkout, service: str) -> str:
    logs = checkout.host.output("docker", "compose", "logs", "--tail", "20", service)
    if "database files are incompatible" not in logs:
        return f"look at docker compose logs {service}"
    return (
        "its files are from another major version of PostgreSQL: restore that image in docker/db.Dockerfile;"
        " docs/3-run/postgresql-major.md describes the upgrade"
    )


def changed_settings(checkout: Checkout) -> Iterator[Finding]:
    changed = [
        service
        for service, started_with in sorted(started_from_compose_yaml(checkout))
        if started_with not in checkout.host.output("docker", "compose", "config", "--hash", service).split()
    ]
    if changed:
        message = f"The settings have changed since these services were started: {' '.join(changed)}."
        yield problem(f"{message} A new POSTGRES_PASSWORD is set in the database at the next start.", UP)


def started_from_compose_yaml(checkout: Checkout) -> set[tuple[str, str]]:
    """Return services and the hashes of their configuration, without those that make dev started."""
    label = f"--filter=label={LABEL}"
    ours = (f"{label}.project={checkout.project}", f"{label}.oneoff=False")
    output = checkout.host.output("docker", "ps", *ours, "--format", STARTED)
    rows = (line.split(" ", 2) for line in output.splitlines())
    return {(name, digest) for name, digest, file in rows if checkout.host.is_same_file(file, "compose.yaml")}


def migrations(checkout: Checkout) -> Iterator[Finding]:
    running = checkout.host.output("docker", "compose", "ps", "--quiet", "--status", "running", "db")
    if running and not checkout.settings.get("DATABASE_URL"):
        applied = checkout.host.output("docker", "compose", "exec", "-T", "db", "bash", "-c", APPLIED)
        yield compare_migrations(applied, *checkout.migrations)
    else:
        yield Finding("skipped", "pending migrations: Compose's database isn't running")


def compare_migrations(applied: str, revisions: list[str], heads: list[str]) -> Finding:
    if applied.split() == heads:
        return Finding("ok", "migrations in the database")
    if applied and applied not in revisions:
        fix = "check out that version, or restore an older backup"
        return problem(f"The database is at {applied}, which only a newer version of the code has.", fix)
    database = f"the database is at {applied or 'nothing'}"
    return problem(f"Migrations are pending: {database}, the code at {' '.join(heads)}.", UP)
