"""Run the containers of the benchmark, and measure their CPU time, memory, size and start time."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import median
from typing import Any

from proof.bench.rounds import Round, Subject, read

COMPOSE = Path(__file__).parent / "compose.yaml"
DATABASE, LARGE_DATABASE = "flask_api_test", "flask_api_large_test"
BASE_IMAGE = "python:3.13-slim-trixie"
NOTES_A_USER = 25  # a full page and more
CREATE_NOTES = """
    CREATE TABLE notes (
      id uuid CONSTRAINT pk_notes PRIMARY KEY,
      owner_id uuid NOT NULL CONSTRAINT fk_notes_owner_id_users REFERENCES users (id) ON DELETE CASCADE,
      body text NOT NULL,
      pinned boolean NOT NULL,
      created_at timestamp with time zone NOT NULL,
      updated_at timestamp with time zone NOT NULL
    );
    INSERT INTO notes
    SELECT gen_random_uuid(), {owner}, 'Note ' || n || E'\\nwith two lines', false, time, time
    FROM generate_series(1, {users}) o, generate_series(1, {notes}) n,
      LATERAL (SELECT now() - n * interval '1 min') t(time);
    GRANT ALL ON notes TO PUBLIC;
    CREATE INDEX ix_notes_owner_id_created_at_id ON notes (owner_id, created_at, id)"""
Pair = tuple[str, str]  # an access and a refresh token


class Stack:
    """The stack of compose.yaml, which proof/scripts/bench builds and removes."""

    def __init__(self, project: str) -> None:
        self.project = project
        self.ports = {service: _free_port() for service in ("floor", "api", "notes", "wired")}
        os.environ |= {f"{service.upper()}_PORT": str(port) for service, port in self.ports.items()}
        self._cpu_files: dict[str, str] = {}

    def up(self, *services: str) -> None:
        self.compose("up", "--wait", "--no-build", *services)

    def compose(self, *arguments: str, stdin: str | None = None) -> str:
        project = ("--project-name", self.project, "--file", str(COMPOSE), "--env-file", os.devnull)
        return run("docker", "compose", "--progress", "quiet", *project, *arguments, stdin=stdin)

    def execute(self, service: str, *command: str, stdin: str | None = None) -> str:
        return self.compose("exec", "-T", service, *command, stdin=stdin)

    def sql(self, database: str, statement: str) -> str:
        return self.execute("db", "psql", "-qAt", "-U", "flask_api", "-c", statement, database).strip()

    def fill(self, database: str, users: int) -> float:
        """Fill an empty database. Return the seconds that it took."""
        begun = time.monotonic()
        script = (COMPOSE.parent / "fill.sh").read_text(encoding="utf-8")
        self.execute("db", "bash", "-s", "--", database, str(users), stdin=script)
        return time.monotonic() - begun

    def fill_notes(self, database: str, users: int) -> None:
        """Create the table of notes.py with notes of the first users of `fill`."""
        owner = "md5('user ' || o)::uuid"
        self.sql(database, CREATE_NOTES.format(owner=owner, users=users, notes=NOTES_A_USER))
        self.sql(database, "VACUUM ANALYZE notes")

    def pairs(self, service: str, users: int, count: int) -> list[Pair]:
        """Return the tokens of random sessions in a service's database."""
        script = (COMPOSE.parent / "tokens.py").read_text(encoding="utf-8")
        environment = "DATABASE_URL=$(sed 's/_test$/_large_test/' /secrets/database/url) " * (
            service == "large"
        )
        command = f"{environment}exec python - {users} {count}"
        printed = self.execute(service, "sh", "-c", command, stdin=script)
        return [tuple(json.loads(line)) for line in printed.splitlines()]

    def write_file(self, name: str, text: str) -> None:
        """Write a file for wrk."""
        self.execute("load", "sh", "-c", f"cat >/tmp/{name}", stdin=text)

    def drive(self, subject: Subject, seconds: float) -> Round:
        """Drive a subject with wrk. Return its results and the CPU time of the subject's container."""
        if subject.service not in self._cpu_files:
            self._cpu_files[subject.service] = self._cpu_file(subject.service)
        command = (
            'cat "$0" && wrk --threads 1 --connections "$1" --duration "$2" --latency --timeout 10s'
            ' --script /bench/requests.lua "http://$3:5000$4" -- "$5" "/tmp/$6" && cat "$0"'
        )
        arguments = (
            self._cpu_files[subject.service],
            str(subject.connections),
            f"{seconds:g}s",
            subject.service,
            subject.path,
            subject.kind,
            subject.file,
        )
        return read(self.execute("load", "sh", "-c", command, *arguments))

    def ask(self, service: str, method: str, path: str, token: str = "", body: object = None) -> Any:
        """Send a request to a published service. Return the JSON body."""
        connection = HTTPConnection("127.0.0.1", self.ports[service], timeout=10)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body:
            headers["Content-Type"] = "application/json"
        connection.request(method, path, json.dumps(body) if body else None, headers)
        with closing(connection), connection.getresponse() as response:
            answer = response.read()
            if response.status >= 300:
                raise SystemExit(f"{method} {path} answered {response.status}: {answer.decode()}")
            return json.loads(answer or "null")

    def seconds_until(self, service: str, path: str) -> float:
        """Restart a published service. Return the seconds from the container's start to the first 200."""
        container = self.container(service)
        run("docker", "stop", container)
        run("docker", "start", container)
        while not _answers(self.ports[service], path):
            time.sleep(0.005)
        ready = time.time()
        started = run("docker", "inspect", "--format", "{{.State.StartedAt}}", container).strip()
        return ready - datetime.fromisoformat(started[:26] + "+00:00").timestamp()

    def import_seconds(self, service: str, statement: str) -> float:
        """Return the seconds that a new Python process takes for an import: the median of five."""
        timed = f"from time import perf_counter as t; b = t(); {statement}; print(t() - b)"
        return median(float(self.execute(service, "python", "-c", timed)) for _ in range(5))

    def resident(self, service: str) -> float:
        """Return the resident memory of a service's largest process, in MB."""
        lines = self.execute(service, "sh", "-c", "grep -h ^VmRSS /proc/[0-9]*/status").splitlines()
        return max(int(line.split()[1]) for line in lines) * 1024 / 1e6

    def image_size(self) -> float:
        """Return the size of the API's image without its base image, in MB."""
        size = [
            int(run("docker", "image", "inspect", "--format", "{{.Size}}", image))
            for image in (self.project, BASE_IMAGE)
        ]
        return (size[0] - size[1]) / 1e6

    def printed(self, service: str) -> list[str]:
        """Return the output of a service, without Compose's prefixes."""
        return run("docker", "logs", self.container(service)).splitlines()

    def container(self, service: str) -> str:
        return self.compose("ps", "--quiet", "--no-trunc", service).strip()

    def _cpu_file(self, service: str) -> str:
        """Return the path of the cgroup file with the container's CPU time, in the load container."""
        find = 'find /cgroup -path "*$0*" -name cpu.stat -exec grep -l usage_usec {} +'
        return self.execute("load", "sh", "-c", find, self.container(service)).splitlines()[0]


def lines(pairs: Iterable[Pair]) -> str:
    return "\n".join(map(json.dumps, pairs))


def run(*command: str, stdin: str | None = None) -> str:
    done = subprocess.run(command, check=False, input=stdin, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:12])} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _answers(port: int, path: str) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
