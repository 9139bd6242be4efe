"""`make deploy` under load: no client may notice it, even if the new version is broken."""

import json
import os
import re
import shlex
import ssl
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import httpx
import pytest

from proof.production.conftest import REPOSITORY, SITE

PROJECT = os.environ.get("COMPOSE_PROJECT_NAME", "")
PREVIOUS = f"{PROJECT}:previous"
RUNNING = "another deploy is running"
# The worst case: it listens and answers every request with an error.
NEVER_HEALTHY = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Broken(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(500)
    do_POST = do_GET
HTTPServer(("", 5000), Broken).serve_forever()
"""
NEW_VERSION = "RUN sed -i 's/^VERSION = .*/VERSION = \"0.0.0-changed\"/' app/config.py"


def added_migration() -> str:
    """Return a command that adds a migration with which the running version still works."""
    files = (REPOSITORY / "services/api/migrations/versions").glob("*.py")
    head = max(re.findall(r'^revision = "(\w+)"', "".join(file.read_text() for file in files), re.MULTILINE))
    lines = [
        "from alembic import op",
        f'revision, down_revision = "added", "{head}"',
        "def upgrade():",
        '    op.execute("CREATE TABLE added (id integer)")',
    ]
    return f"printf '%s\\n' {shlex.join(lines)} > migrations/versions/added.py"


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=REPOSITORY,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def image(name: str, *lines: str) -> str:
    """Build an image on top of the running one and return its name."""
    dockerfile = "\n".join((f"FROM {PROJECT}", *lines))
    tag = f"{PROJECT}:{name}"
    subprocess.run(["docker", "build", "--quiet", "--tag", tag, "-"], input=dockerfile.encode(), check=True)
    return tag


ENQUEUE = """
from datetime import timedelta
from app import create_app
from app.database import db
from app.jobs import delete_old_rows
from kit.jobs.jobs import enqueue
with create_app().app_context():
    for seconds in range(0, 40, 2):
        enqueue(delete_old_rows.later(timedelta(seconds=seconds)))
    db.session.commit()
"""


def enqueue_jobs() -> None:
    """Queue jobs that are due now and during the next 40 seconds."""
    queued = run("docker", "compose", "exec", "-T", "worker", "python", "-c", ENQUEUE)
    assert queued.returncode == 0, queued.stderr


def wait_for_jobs() -> None:
    """Wait until every job is done. A job that fails stays in the list."""
    until = time.monotonic() + 120
    while jobs := run("docker", "compose", "exec", "-T", "worker", "flask", "job", "list").stdout:
        assert time.monotonic() < until, jobs
        time.sleep(1)


def containers(service: str = "api") -> dict[str, str]:
    """Return the containers of a service: id -> image."""
    listed = run("docker", "compose", "ps", "--all", "--format", "json", service).stdout
    return {item["ID"]: item["Image"] for item in map(json.loads, listed.splitlines())}


@contextmanager
def load(authority: ssl.SSLContext, bearer: dict[str, str]) -> Iterator[Counter[int | str]]:
    """Send reads and writes, up to 50 per second and worker, on kept and on new connections."""
    answers: Counter[int | str] = Counter()
    done = Event()

    def work(number: int) -> None:
        client = httpx.Client(base_url=SITE, verify=authority, headers=bearer, timeout=30)
        while not done.wait(0.02):
            if number % 2:
                client.close()
                client = httpx.Client(base_url=SITE, verify=authority, headers=bearer, timeout=30)
            try:
                if number < 4:
                    answer = client.get("/account")
                else:
                    answer = client.post("/auth/logout", json={"scope": "others"})
                answers[answer.status_code if answer.is_success else answer.text] += 1
            except httpx.HTTPError as error:
                answers[repr(error)] += 1
        client.close()

    with ThreadPoolExecutor(8) as pool:
        workers = [pool.submit(work, number) for number in range(8)]
        try:
            yield answers
            time.sleep(2)
        finally:
            done.set()
    for worker in workers:
        worker.result()


def test_a_deploy_loses_no_request(
    http: httpx.Client, authority: ssl.SSLContext, bearer: dict[str, str]
) -> None:
    changed = image("changed", "USER 0", NEW_VERSION, f"RUN {added_migration()}", "USER 10001:10001")
    before = containers() | containers("worker")
    enqueue_jobs()

    with load(authority, bearer) as answers:
        deployed = run("scripts/deploy", IMAGE=changed)

    assert deployed.returncode == 0, deployed.stderr
    assert set(answers) == {200, 204}, answers
    assert answers.total() > 100
    assert {http.get("/").json()["version"] for _ in range(10)} == {"0.0.0-changed"}
    after = containers() | containers("worker")
    assert len(after) == len(before)
    assert not set(after) & set(before)
    assert set(containers("worker").values()) == set(containers().values())
    wait_for_jobs()


def test_docker_compose_up_after_a_deploy_changes_nothing() -> None:
    before = containers() | containers("worker")

    up = run("docker", "compose", "up", "--detach", "--wait", "--no-build")

    assert up.returncode == 0, up.stderr
    assert containers() | containers("worker") == before


@pytest.mark.parametrize(
    ("kind", "line"),
    [("broken", f"CMD {json.dumps(['python', '-c', NEVER_HEALTHY])}"), ("ending", 'CMD ["false"]')],
)
def test_a_deploy_that_does_not_become_healthy_is_rolled_back(
    authority: ssl.SSLContext, bearer: dict[str, str], kind: str, line: str
) -> None:
    broken = image(kind, line)
    before = containers() | containers("worker")

    with load(authority, bearer) as answers:
        deployed = run("scripts/deploy", IMAGE=broken, DEPLOY_SECONDS="10")

    assert deployed.returncode == 1
    assert "healthy" in deployed.stderr
    assert "is still serving" in deployed.stderr
    assert set(answers) == {200, 204}, answers
    assert containers() | containers("worker") == before
    test_docker_compose_up_after_a_deploy_changes_nothing()


def test_a_worker_that_does_not_become_healthy_is_rolled_back() -> None:
    broken = image("unworkable", "USER 0", "RUN echo 1/0 > kit/jobs/commands.py", "USER 10001:10001")
    before = containers() | containers("worker")

    deployed = run("scripts/deploy", IMAGE=broken, DEPLOY_SECONDS="30")

    assert deployed.returncode == 1
    assert "ZeroDivisionError" in deployed.stderr
    assert containers() | containers("worker") == before
    enqueue_jobs()
    wait_for_jobs()


def test_a_failed_migration_changes_nothing() -> None:
    broken = image("unmigratable", "USER 0", "RUN echo '1 / 0' > migrations/env.py", "USER 10001:10001")
    before = containers()

    deployed = run("scripts/deploy", IMAGE=broken)

    assert deployed.returncode == 1
    assert "the migration failed" in deployed.stderr
    assert containers() == before


def test_deploying_the_same_image_keeps_previous_and_the_database() -> None:
    database = run("docker", "compose", "ps", "--quiet", "db").stdout
    previous = run("docker", "image", "inspect", "--format", "{{.Id}}", PREVIOUS).stdout
    before = containers()

    # The password is also a setting of the database, whose container must not be replaced.
    deployed = run("scripts/deploy", IMAGE=PROJECT, POSTGRES_PASSWORD="another one, for later")

    assert deployed.returncode == 0, deployed.stderr
    assert not set(containers()) & set(before)
    assert run("docker", "image", "inspect", "--format", "{{.Id}}", PREVIOUS).stdout == previous
    assert run("docker", "compose", "ps", "--quiet", "--status", "running", "db").stdout == database


def test_a_second_deploy_is_refused_and_a_killed_one_can_be_repeated(http: httpx.Client) -> None:
    before = len(containers())
    first = subprocess.Popen(["scripts/deploy"], cwd=REPOSITORY, env=os.environ | {"IMAGE": PREVIOUS})
    try:
        while len(containers()) == before and first.poll() is None:
            time.sleep(0.1)
        second = run("scripts/deploy", IMAGE=PREVIOUS)
    finally:
        first.kill()
        first.wait()
    assert second.returncode == 1
    assert RUNNING in second.stderr

    again = run("scripts/deploy", IMAGE=PREVIOUS)
    while RUNNING in again.stderr:  # processes of the killed deploy still hold the lock
        time.sleep(0.5)
        again = run("scripts/deploy", IMAGE=PREVIOUS)

    assert again.returncode == 0, again.stderr
    enqueue_jobs()
    wait_for_jobs()
    assert "a newer release has migrated" in again.stderr
    assert len(containers()) == before
    assert http.get("/").json()["version"] != "0.0.0-changed"


def test_only_the_proxy_is_published() -> None:
    listed = run("docker", "compose", "ps", "--format", "json").stdout
    published = {
        (item["Service"], port["TargetPort"])
        for item in map(json.loads, listed.splitlines())
        for port in item["Publishers"] or ()
        if port["PublishedPort"]
    }

    assert published == {("proxy", 80), ("proxy", 443)}


def test_metrics_are_available_inside_the_container() -> None:
    ask = (
        "from urllib.request import Request, urlopen\n"
        "request = Request('http://127.0.0.1:5000/metrics', headers={'Host': 'localhost'})\n"
        "print(urlopen(request).status)"
    )

    assert run("docker", "compose", "exec", "-T", "api", "python", "-c", ask).stdout == "200\n"


@pytest.mark.parametrize("service", ["api", "worker", "db", "proxy"])
def test_no_program_can_change_its_user(service: str) -> None:
    image = run("docker", "compose", "images", "--quiet", service).stdout.split()[0]
    find = ("find", image, "/", "-xdev", "-type", "f", "-perm", "/6000")

    found = run("docker", "run", "--rm", "--user", "0", "--entrypoint", *find)

    assert (found.returncode, found.stdout) == (0, "")


def test_no_container_has_more_rights_than_it_needs() -> None:
    for container in run("docker", "compose", "ps", "--quiet").stdout.split():
        host = json.loads(run("docker", "inspect", container).stdout)[0]
        name = host["Config"]["Labels"]["com.docker.compose.service"]
        assert host["HostConfig"]["ReadonlyRootfs"], name
        assert host["HostConfig"]["CapDrop"] == ["ALL"], name
        assert "no-new-privileges:true" in host["HostConfig"]["SecurityOpt"], name
        assert host["HostConfig"]["Memory"], name
        if name in ("api", "worker", "proxy"):
            assert host["Config"]["User"].split(":")[0].isdigit(), name
            assert host["Config"]["User"] != "0:0", name
